//! What peers and time may do, and with what.

use super::*;

/// One thing that peers or time may do. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    AgentJoins,
    AgentReturns(usize, bool),
    AgentDisconnects(usize),
    AgentDrains(usize),
    AgentLeaves(usize),
    TaskMoves(usize, usize, TaskState),
    FrameworkJoins(usize),
    FrameworkReturns(usize, usize),
    FrameworkChanges(usize, usize),
    FrameworkDisconnects(usize),
    Accepts { offers: [usize; 2], operation: usize, cpus: [u64; 2], refuse: u64 },
    LaunchesGroup { framework: usize, cpus: [u64; 3], whole: bool },
    Reserves(usize, usize),
    VolumeMade(usize, usize),
    VolumeDestroyed(usize),
    VolumeShared(usize, bool),
    AgentTellsVolumes(usize),
    Declines(usize, u64),
    Kills(usize),
    KilledByOperator(usize),
    AgentRemoved(usize),
    AgentWithdrawn(usize, Option<(u64, bool)>),
    AgentReactivated(usize),
    MaintenanceScheduled([usize; 2], u64, u64),
    MaintenanceCancelled(u64),
    AnswersInverse(usize, Option<u64>),
    TokenRevoked(usize),
    Acknowledges(usize),
    Reconciles(usize),
    Revives(usize, usize),
    Suppresses(usize, usize),
    Wants(usize, usize, [u32; 2]),
    Quota(usize, u64, u64),
    Measures(usize, u64),
    TearsDown(usize),
    Nonsense(usize),
    TimePasses(u64),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let one = || 0..100_usize;
    let moves = prop::sample::select(vec![
        TaskState::Starting,
        TaskState::Running,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
    ]);
    prop_oneof![
        3 => Just(Step::AgentJoins),
        3 => (one(), any::<bool>()).prop_map(|(agent, forgets)| Step::AgentReturns(agent, forgets)),
        2 => one().prop_map(Step::AgentDisconnects),
        1 => one().prop_map(Step::AgentDrains),
        1 => one().prop_map(Step::AgentLeaves),
        12 => (one(), one(), moves).prop_map(|(agent, task, state)| Step::TaskMoves(agent, task, state)),
        3 => one().prop_map(Step::FrameworkJoins),
        2 => (one(), one()).prop_map(|(framework, roles)| Step::FrameworkReturns(framework, roles)),
        2 => (one(), one()).prop_map(|(framework, roles)| Step::FrameworkChanges(framework, roles)),
        1 => one().prop_map(Step::FrameworkDisconnects),
        12 => ([one(), one()], one(), [0..4_u64, 1..4_u64], 0..3_u64)
            .prop_map(|(offers, operation, cpus, refuse)| Step::Accepts { offers, operation, cpus, refuse }),
        6 => (one(), [0..3_u64, 1..3_u64, 1..3_u64], prop::bool::weighted(0.8))
            .prop_map(|(framework, cpus, whole)| Step::LaunchesGroup { framework, cpus, whole }),
        2 => (one(), one()).prop_map(|(agent, operation)| Step::Reserves(agent, operation)),
        3 => (one(), one()).prop_map(|(agent, role)| Step::VolumeMade(agent, role)),
        1 => one().prop_map(Step::VolumeDestroyed),
        2 => (one(), any::<bool>()).prop_map(|(volume, shared)| Step::VolumeShared(volume, shared)),
        3 => one().prop_map(Step::AgentTellsVolumes),
        3 => (one(), 0..10_u64).prop_map(|(offer, refuse)| Step::Declines(offer, refuse)),
        2 => one().prop_map(Step::Kills),
        1 => one().prop_map(Step::KilledByOperator),
        1 => one().prop_map(Step::AgentRemoved),
        2 => (one(), prop::option::weighted(0.8, (0..20_u64, prop::bool::weighted(0.2))))
            .prop_map(|(agent, drain)| Step::AgentWithdrawn(agent, drain)),
        3 => one().prop_map(Step::AgentReactivated),
        2 => ([one(), one()], 0..60_u64, 1..60_u64)
            .prop_map(|(agents, start, lasts)| Step::MaintenanceScheduled(agents, start, lasts)),
        1 => (1..5_u64).prop_map(Step::MaintenanceCancelled),
        3 => (one(), prop::option::of(0..10_u64))
            .prop_map(|(framework, refuse)| Step::AnswersInverse(framework, refuse)),
        1 => one().prop_map(Step::TokenRevoked),
        4 => one().prop_map(Step::Acknowledges),
        1 => one().prop_map(Step::Reconciles),
        1 => (one(), one()).prop_map(|(framework, role)| Step::Revives(framework, role)),
        1 => (one(), one()).prop_map(|(framework, role)| Step::Suppresses(framework, role)),
        3 => (one(), one(), [0..4_u32, 0..3_u32])
            .prop_map(|(framework, role, wants)| Step::Wants(framework, role, wants)),
        1 => (one(), 0..3_u64, 0..9_u64).prop_map(|(role, least, most)| Step::Quota(role, least, most)),
        4 => (one(), 0..5_u64).prop_map(|(agent, cpus)| Step::Measures(agent, cpus)),
        1 => one().prop_map(Step::TearsDown),
        2 => one().prop_map(Step::Nonsense),
        6 => (0..40_u64).prop_map(Step::TimePasses),
    ]
}

pub(super) const ROLES: [&str; 3] = ["a", "b", "a/c"];

/// What a task holds that runs on what is idle.
pub(super) fn revocable_size(cpus: u64) -> Resources {
    size(0, 128 * cpus).with_revocable(MilliCpu::from_cores(cpus))
}

/// A framework in one to three roles.
pub(super) fn in_roles(pick: usize) -> FrameworkInfo {
    let roles = (0..3).filter(|at| (pick % 7 + 1) & (1 << at) != 0).map(|at| ROLES[at].to_owned());
    FrameworkInfo { roles: roles.collect(), ..framework_info("a") }
}

/// Something that can be done to what an agent has, or not.
pub(super) fn operation_of(pick: usize) -> Operation {
    let resources = with_disk(&size(pick as u64 / 9 % 3 + 1, 128), 128);
    let role = ROLES[pick % 3].to_owned();
    match pick / 3 % 3 {
        0 => Operation::Unreserve { role, resources },
        1 => Operation::Reserve { role, within: None, resources },
        _ => Operation::Reserve { role: "a/c".to_owned(), within: Some("a".to_owned()), resources },
    }
}

/// What agents keep by their own configuration: nothing, or one core for one of the roles.
pub(super) fn keeps(pick: usize) -> BTreeMap<String, Resources> {
    ROLES.get(pick % 5).map(|role| ((*role).to_owned(), with_disk(&size(1, 128), 128))).into_iter().collect()
}

/// All that an agent has.
pub(super) fn whole() -> Resources {
    with_disk(&size(4, 512), 512)
}

pub(super) fn with_disk(resources: &Resources, mib: u64) -> Resources {
    Resources::new(resources.cpus, resources.mem, Bytes::from_mib(mib))
}

/// One role, or all.
pub(super) fn one_of(pick: usize) -> Option<String> {
    ROLES.get(pick % 4).map(|role| (*role).to_owned())
}
