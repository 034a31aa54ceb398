//! What a seed makes of the world: its size, its settings, and the faults that are switched on.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use haggle_sdk::simulation::Policy;

use crate::program::Manner;
use crate::rng::Rng;

/// Nanoseconds of the simulation's own time, which no machine sees.
pub(crate) type Time = u64;
/// A millisecond.
pub(crate) const MS: Time = 1_000_000;
/// A second.
pub(crate) const S: Time = 1_000 * MS;

/// Something that goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A connection breaks, and both ends notice.
    Break,
    /// A connection breaks, and one end or neither notices.
    HalfOpen,
    /// Two machines cannot reach each other.
    Partition,
    /// One machine cannot reach another, which can reach it.
    OneWay,
    /// A master is killed, and started again.
    MasterCrash,
    /// A master stands still, and goes on as if nothing had been.
    MasterPause,
    /// A master's clock jumps ahead.
    ClockJump,
    /// An agent is killed and started again. Its tasks go on.
    AgentCrash,
    /// An agent's machine reboots. Its tasks end.
    Reboot,
    /// An agent's machine comes back with an empty disk.
    DiskLost,
    /// An agent's machine comes back with a copy of another agent's work folder.
    DiskSwapped,
    /// An agent stands still. Its tasks go on.
    AgentPause,
    /// The executor of one framework on one agent ends, and its tasks with it.
    ExecutorCrash,
    /// A framework is killed and started again.
    FrameworkCrash,
    /// A framework stands still.
    FrameworkPause,
    /// A second instance of a framework starts while the first runs.
    Takeover,
    /// Every connection breaks at once.
    Storm,
    /// The registry cannot be reached.
    RegistryDown,
    /// The registry's disk is full.
    RegistryFull,
    /// An agent is drained.
    Drain,
    /// An operator ends a task.
    OperatorKill,
    /// An operator declares an agent gone.
    OperatorGone,
    /// An operator changes what a role weighs, is promised, or may have.
    OperatorQuota,
    /// An operator reserves something of an agent, or ends that.
    OperatorReserve,
    /// An operator makes a volume, destroys one, or has it shared.
    OperatorVolume,
    /// An operator takes an agent out of use, or brings it back.
    OperatorDrain,
    /// An operator makes a maintenance window, or cancels one.
    Maintenance,
    /// Somebody comes with ids that are not his.
    Rogue,
    /// A peer reads what it is sent slowly.
    SlowReader,
    /// The registry is lost, and with it the cluster that it was of.
    RegistryLost,
}

impl Fault {
    const ALL: [(Self, u64); 30] = [
        (Self::Break, 10),
        (Self::HalfOpen, 6),
        (Self::Partition, 6),
        (Self::OneWay, 6),
        (Self::MasterCrash, 6),
        (Self::MasterPause, 5),
        (Self::ClockJump, 3),
        (Self::AgentCrash, 7),
        (Self::Reboot, 4),
        (Self::DiskLost, 2),
        (Self::DiskSwapped, 2),
        (Self::AgentPause, 4),
        (Self::ExecutorCrash, 3),
        (Self::FrameworkCrash, 6),
        (Self::FrameworkPause, 3),
        (Self::Takeover, 3),
        (Self::Storm, 2),
        (Self::RegistryDown, 3),
        (Self::RegistryFull, 3),
        (Self::Drain, 4),
        (Self::OperatorKill, 5),
        (Self::OperatorGone, 2),
        (Self::OperatorQuota, 4),
        (Self::OperatorReserve, 5),
        (Self::OperatorVolume, 8),
        (Self::OperatorDrain, 6),
        (Self::Maintenance, 3),
        (Self::Rogue, 5),
        (Self::SlowReader, 5),
        (Self::RegistryLost, 1),
    ];
}

/// How a framework behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Temper {
    /// Its roles. The first stays; the others change.
    pub(crate) roles: Vec<String>,
    /// Tasks that it launches before the faults stop.
    pub(crate) tasks: u64,
    /// Acknowledges nothing before the faults stop.
    pub(crate) never_acks: bool,
    /// Acknowledges twice, in so many of a thousand cases.
    pub(crate) acks_twice: u64,
    /// Acknowledges, kills and asks about what is not its own, in so many of a thousand cases.
    pub(crate) meddles: u64,
    /// Launches under numbers that it has used.
    pub(crate) reuses: u64,
    /// Lets offers expire.
    pub(crate) ignores_offers: u64,
    /// Sends a call again that the master has heard.
    pub(crate) repeats_calls: u64,
    /// Ends its own tasks, in so many of a thousand looks.
    pub(crate) kills: u64,
    /// Launches a group on all that it is offered, in so many of a thousand cases.
    pub(crate) groups: u64,
    /// Wants processor time that is revocable, in so many of a thousand wants.
    pub(crate) idles: u64,
    /// Wants tasks on some agents only, in so many of a thousand wants.
    pub(crate) chooses: u64,
    /// Reserves or unreserves as it accepts, in so many of a thousand cases.
    pub(crate) reserves: u64,
    /// Makes, destroys and shares volumes as it accepts, in so many of a thousand cases.
    pub(crate) volumes: u64,
    /// How long its tasks live on without it.
    pub(crate) failover_timeout: Duration,
}

/// Everything that the seed decides before the first event.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// One has its registry on its own disk, more share one with leases.
    pub(crate) masters: usize,
    /// Machines with an agent each.
    pub(crate) agents: usize,
    /// How each framework behaves.
    pub(crate) frameworks: Vec<Temper>,
    /// What each program wants of its runner.
    pub(crate) programs: Vec<Manner>,
    /// How long faults happen.
    pub(crate) chaos: Time,
    /// Between one fault and the next, on average.
    pub(crate) fault_gap: Time,
    /// Which faults happen, and how often beside each other.
    pub(crate) faults: Vec<(Fault, u64)>,
    /// The slowest of ordinary messages.
    pub(crate) delay_max: Time,
    /// Messages that take seconds, of a thousand.
    pub(crate) clogs: u64,
    /// Crashes or pauses of the master in the middle of an accept, of a thousand accepts.
    pub(crate) accept_faults: u64,
    /// Writes of the registry that take seconds, of a thousand.
    pub(crate) slow_writes: u64,
    /// Writes that end in an error which may hide a success, of a thousand.
    pub(crate) failed_writes: u64,
    /// How wrong clocks may go, in millionths.
    pub(crate) drift: i64,
    /// Silence after which an agent counts as unreachable.
    pub(crate) agent_timeout: Duration,
    /// Time after which an unreachable agent is gone.
    pub(crate) gone_after: Duration,
    /// How long the agents of the last master have to find a new one.
    pub(crate) reregister_timeout: Duration,
    /// Ends of one framework that may wait for their acknowledgement.
    pub(crate) unacknowledged: usize,
    /// Identity files of agents in whose writing the machine dies, of a thousand.
    pub(crate) torn_files: u64,
    /// Batches between whose permission and whose departure the master stands still, of a thousand.
    pub(crate) late_words: u64,
    /// Messages that may wait for one peer.
    pub(crate) outbox: usize,
    /// The weights of roles.
    pub(crate) weights: BTreeMap<String, NonZeroU32>,
    /// How long an offer stands.
    pub(crate) offer_timeout: Duration,
    /// Ended tasks that the master remembers.
    pub(crate) history: usize,
    /// Tasks that never end by themselves, of a thousand.
    pub(crate) endless: u64,
    /// Agents that keep something for a role, of a thousand that start.
    pub(crate) keeps: u64,
    /// Heartbeats with which an agent says how much of its processor time is unused, of a thousand.
    pub(crate) measures: u64,
}

impl Plan {
    /// Two of three knobs are on. A fault that is always there hides what only shows without it.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let faults = Fault::ALL.into_iter().filter(|_| rng.chance(667)).collect();
        let knob = |rng: &mut Rng, most: u64| if rng.chance(667) { rng.range(1, most) } else { 0 };
        let frameworks = (0..rng.range(1, 3)).map(|_| temper(rng)).collect();
        let programs = (0..rng.range(0, 2)).map(|_| manner(rng)).collect();
        Self {
            masters: if rng.chance(600) { 3 } else { 1 },
            agents: rng.index(4) + 2,
            frameworks,
            programs,
            chaos: rng.range(15, 75) * S,
            fault_gap: rng.range(300, 6_000) * MS,
            faults,
            delay_max: rng.range(1, 100) * MS,
            clogs: knob(rng, 20),
            accept_faults: knob(rng, 100),
            slow_writes: knob(rng, 100),
            failed_writes: knob(rng, 30),
            drift: i64::try_from(knob(rng, 100_000)).expect("small"),
            agent_timeout: Duration::from_secs(rng.range(6, 12)),
            gone_after: Duration::from_secs(rng.range(30, 300)),
            reregister_timeout: Duration::from_secs(rng.range(5, 60)),
            unacknowledged: if rng.chance(300) { rng.index(8) + 1 } else { 1_000 },
            torn_files: knob(rng, 100),
            late_words: knob(rng, 3),
            outbox: if rng.chance(500) { rng.index(90) + 30 } else { 2_000 },
            weights: ROLES.iter().filter_map(|role| weight(rng, role)).collect(),
            offer_timeout: Duration::from_secs(rng.range(1, 6)),
            history: if rng.chance(800) { 10_000 } else { rng.index(60) + 1 },
            endless: knob(rng, 200),
            keeps: knob(rng, 500),
            measures: knob(rng, 500),
        }
    }
}

/// Roles that frameworks have: one of them below another.
pub(crate) const ROLES: [&str; 3] = ["default", "web/batch", "web"];

fn role(rng: &mut Rng) -> String {
    ROLES[rng.index(ROLES.len())].to_string()
}

/// One role, or two.
fn roles(rng: &mut Rng) -> Vec<String> {
    let (first, second) = (role(rng), role(rng));
    let second = Some(second).filter(|second| *second != first);
    core::iter::once(first).chain(second).collect()
}

/// One in two has a weight of its own.
fn weight(rng: &mut Rng, role: &str) -> Option<(String, NonZeroU32)> {
    let more = u32::try_from(rng.below(5)).expect("small");
    rng.chance(500).then(|| (role.to_string(), NonZeroU32::MIN.saturating_add(more)))
}

fn temper(rng: &mut Rng) -> Temper {
    let rarely = |rng: &mut Rng, most: u64| if rng.chance(300) { rng.range(1, most) } else { 0 };
    Temper {
        roles: roles(rng),
        tasks: rng.range(3, 40),
        never_acks: rng.chance(100),
        acks_twice: rarely(rng, 500),
        meddles: rarely(rng, 300),
        reuses: rarely(rng, 200),
        ignores_offers: rarely(rng, 600),
        repeats_calls: rarely(rng, 300),
        kills: rarely(rng, 400),
        groups: rarely(rng, 800),
        idles: if rng.chance(667) { rng.range(1, 500) } else { 0 },
        chooses: if rng.chance(500) { rng.range(1, 800) } else { 0 },
        reserves: rarely(rng, 500),
        volumes: if rng.chance(500) { rng.range(1, 700) } else { 0 },
        failover_timeout: Duration::from_secs(rng.range(10, 60)),
    }
}

fn manner(rng: &mut Rng) -> Manner {
    let rarely = |rng: &mut Rng, most: u64| if rng.chance(300) { rng.range(1, most) } else { 0 };
    let policy = Policy {
        retries: u32::try_from(rng.below(4)).expect("small"),
        linger: Duration::from_millis(if rng.chance(500) { 0 } else { rng.range(1, 5_000) }),
        unreachable_patience: Duration::from_secs(rng.range(5, 60)),
        gang: false,
    };
    Manner {
        role: role(rng),
        tasks: rng.range(3, 40),
        policy,
        kills: rarely(rng, 400),
        cancels: rarely(rng, 50),
        failover_timeout: Duration::from_secs(rng.range(10, 60)),
    }
}
