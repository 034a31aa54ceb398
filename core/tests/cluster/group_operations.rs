//! What is reserved and made of offers of several agents with the group that is launched on them: all of it or nothing.

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentOrder, Change, Command, Effect, FrameworkCommand, OperatorCommand, Refusal};
use haggle_core::{
    Bytes, Ceiling, MilliCpu, OfferOperation, Operation, PlacedOperation, Quota, Reason, Reserved, Resources,
    TaskState, VolumeOperation,
};

use crate::kit::*;

/// Two agents of four cores and 4 GiB of disk, both offered to a framework of `eng`.
fn offered() -> Gang {
    Gang::of(World::new(), "eng", &with_disk(4, 1024, 4096))
}

impl Gang {
    /// Launches one task on each agent, which needs so many cores, with these operations on the agents in these places.
    fn launch_with(&mut self, operations: Vec<(usize, OfferOperation)>, cpus: [u64; 2]) -> Vec<Effect> {
        let placed =
            |(at, operation): (usize, OfferOperation)| PlacedOperation { agent: self.agents[at].id, operation };
        let operations = operations.into_iter().map(placed).collect();
        self.launch_on_each(operations, cpus)
    }

    fn launch_on_each(&mut self, operations: Vec<PlacedOperation>, cpus: [u64; 2]) -> Vec<Effect> {
        let tasks = (0..).zip(cpus).map(|(at, cpus)| self.task_on(at, at as u64 + 1, cpus)).collect();
        self.launch(operations, tasks)
    }

    /// What of each agent is reserved.
    fn reserved(&self) -> [Vec<Reserved>; 2] {
        self.agents.map(|agent| self.world.reserved_on(agent))
    }

    /// Nothing was done of what was wanted: both agents are as they were, and are offered again.
    fn assert_untouched(&self, effects: &[Effect]) {
        assert_eq!(self.reserved(), [vec![], vec![]]);
        assert_eq!(self.agents.map(|agent| self.world.used_on(agent)), [Resources::default(), Resources::default()]);
        assert_eq!(self.world.cluster.volumes_page(&Principal::owner(), None, 9).0, []);
        assert_eq!(self.world.open_offers(self.framework).len(), 2);
        assert_eq!((changes(effects), self.agents.map(|agent| orders(effects, agent))), (0, [vec![], vec![]]));
    }
}

fn reserve(role: &str, resources: Resources) -> OfferOperation {
    Operation::Reserve { role: role.to_owned(), within: None, resources }.into()
}

fn create(role: &str, name: &str, mib: u64) -> OfferOperation {
    VolumeOperation::Create { role: role.to_owned(), name: name.to_owned(), size: Bytes::from_mib(mib) }.into()
}

/// How many agents the registry is to remember anew.
fn changes(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Remember(Change::AgentRecorded(..)))).count()
}

/// How each task ended at once.
fn ends(effects: &[Effect], framework: Framework) -> Vec<(TaskState, Option<Reason>)> {
    updates(effects, framework).into_iter().map(|status| (status.state, status.reason)).collect()
}

const OF_GROUP: (TaskState, Option<Reason>) = (TaskState::Dropped, Some(Reason::TaskGroup));

#[test]
fn what_is_reserved_on_each_agent_is_there_for_the_group_that_is_launched_with_it() {
    let mut gang = offered();
    let amount = with_disk(2, 512, 0);

    let effects =
        gang.launch_with(vec![(0, reserve("eng", amount.clone())), (1, reserve("eng", amount.clone()))], [1, 4]);

    assert_eq!(dropped(&effects, gang.framework), [] as [String; 0]);
    assert_eq!(gang.reserved(), [vec![part("eng", amount.clone())], vec![part("eng", amount)]]);
    assert_eq!(gang.agents.map(|agent| gang.world.used_on(agent)), [size(1, 128), size(4, 128)]);
    assert_eq!(changes(&effects), 2);
}

#[test]
fn when_one_agents_operation_is_refused_nothing_is_done_on_any() {
    let mut gang = offered();
    let operations = vec![
        (0, reserve("eng", with_disk(1, 64, 1024))),
        (0, create("eng", "data", 512)),
        (1, reserve("eng", size(9, 64))),
    ];

    let effects = gang.launch_with(operations, [1, 1]);

    let why = dropped(&effects, gang.framework);
    let cause = "of what can be had on agent-2, there is 4.000 cpu, 1 GiB mem, 4 GiB disk, and 9.000 cpu";
    assert!(why[2].starts_with(cause), "{why:?}");
    for other in &why[..2] {
        assert!(other.starts_with(&format!("it is not done, as all of it is or none: {cause}")), "{other}");
    }
    assert_eq!(ends(&effects, gang.framework), [OF_GROUP, OF_GROUP]);
    let told = updates(&effects, gang.framework).remove(0).message;
    assert!(told.starts_with("task-1.1 is not launched, as its group is all or none: of what can be had"), "{told}");
    gang.assert_untouched(&effects);
}

#[test]
fn when_one_task_does_not_fit_nothing_is_reserved() {
    let mut gang = offered();

    let effects = gang.launch_with(vec![(0, reserve("eng", size(1, 64)))], [1, 9]);

    let why = dropped(&effects, gang.framework).remove(0);
    assert!(why.starts_with("it is not done, as all of it is or none: task-1.2 does not fit offer-"), "{why}");
    assert_eq!(ends(&effects, gang.framework), [OF_GROUP, (TaskState::Dropped, Some(Reason::InvalidOffers))]);
    gang.assert_untouched(&effects);
}

#[test]
fn what_is_reserved_for_a_role_below_is_not_there_for_the_groups_tasks() {
    let mut gang = offered();

    let effects = gang.launch_with(vec![(1, reserve("eng/batch", size(3, 64)))], [4, 2]);
    assert_eq!(ends(&effects, gang.framework), [OF_GROUP, (TaskState::Dropped, Some(Reason::InvalidOffers))]);
    gang.assert_untouched(&effects);

    let effects = gang.launch_with(vec![(1, reserve("eng/batch", size(3, 64)))], [4, 1]);
    assert_eq!(ends(&effects, gang.framework), []);
    assert_eq!(gang.reserved(), [vec![], vec![part("eng/batch", size(3, 64))]]);
}

#[test]
fn volumes_are_made_of_what_is_reserved_in_the_same_call() {
    let mut gang = offered();
    let of_disk = |at| (at, reserve("eng", with_disk(0, 0, 1024)));

    let effects = gang.launch_with(
        vec![of_disk(0), (0, create("eng", "data", 512)), (0, create("eng", "more", 512)), of_disk(1)],
        [1, 1],
    );

    assert_eq!(dropped(&effects, gang.framework), [] as [String; 0]);
    let volumes = gang.world.cluster.volumes_page(&Principal::owner(), None, 9).0;
    let named: Vec<_> =
        volumes.iter().map(|view| (view.id.number, view.known.as_ref().unwrap().name.as_str())).collect();
    assert_eq!(named, [(1, "data"), (2, "more")]);
    let ordered = orders(&effects, gang.agents[0]);
    let made = ordered.iter().filter(|order| matches!(order, AgentOrder::CreateVolume { .. })).count();
    assert_eq!((made, changes(&effects)), (2, 2));
}

#[test]
fn two_volumes_of_one_name_are_too_many_also_when_both_are_new() {
    let mut gang = offered();
    let operations =
        vec![(0, reserve("eng", with_disk(0, 0, 1024))), (0, create("eng", "data", 1)), (0, create("eng", "data", 1))];

    let effects = gang.launch_with(operations, [1, 1]);

    let why = dropped(&effects, gang.framework).remove(2);
    assert!(why.starts_with("volume-1.1 of the role \"eng\" is called \"data\" already"), "{why}");
    gang.assert_untouched(&effects);
}

#[test]
fn what_one_call_reserves_on_several_agents_counts_together_towards_a_limit() {
    let mut gang = offered();
    let limit = Ceiling { cpus: Some(MilliCpu::from_cores(3)), ..Ceiling::default() };
    let quota = Some(Quota { guarantee: Resources::default(), limit });
    let set = OperatorCommand::SetQuota { role: "eng/batch".to_owned(), quota, force: false };
    gang.world.apply(Command::Operator(Principal::owner(), None, set));
    let two = |at| (at, reserve("eng/batch", size(2, 64)));

    let effects = gang.launch_with(vec![two(0), two(1)], [1, 1]);

    let why = dropped(&effects, gang.framework).remove(1);
    assert!(why.contains("eng/batch"), "{why}");
    gang.assert_untouched(&effects);

    // Of one agent's operations the second is dropped alone.
    let offers = vec![gang.world.open_offers(gang.framework)[0]];
    let operations = vec![reserve("eng/batch", size(2, 64)), reserve("eng/batch", size(2, 64))];
    let accept = FrameworkCommand::Accept { offers, operations, tasks: vec![], refuse: NO_REFUSAL };
    let effects = gang.world.framework_says(gang.framework, accept);
    assert_eq!(dropped(&effects, gang.framework).len(), 1);
    assert_eq!(gang.reserved().concat(), [part("eng/batch", size(2, 64))]);
}

#[test]
fn an_operation_on_an_agent_that_was_not_offered_is_the_end_of_it() {
    let mut gang = offered();
    let elsewhere = PlacedOperation { agent: haggle_core::AgentId(9), operation: reserve("eng", size(1, 64)) };

    let effects = gang.launch_on_each(vec![elsewhere], [1, 1]);

    assert_eq!(dropped(&effects, gang.framework), ["none of the offers that were named is of agent-9"]);
    assert_eq!(ends(&effects, gang.framework), [OF_GROUP, OF_GROUP]);
    gang.assert_untouched(&effects);
}

#[test]
fn more_operations_than_one_call_may_have_are_refused() {
    let mut gang = offered();
    let offers = gang.world.open_offers(gang.framework);
    let one = PlacedOperation { agent: gang.agents[0].id, operation: reserve("eng", size(1, 64)) };
    let operations = vec![one; OfferOperation::MAX + 1];

    let launch = FrameworkCommand::LaunchGroup { offers, operations, tasks: vec![], refuse: NO_REFUSAL };
    let refused = gang.world.try_apply(Command::Framework(gang.framework.session, launch.into()));

    assert_eq!(refused, Err(Refusal::TooManyOperations(OfferOperation::MAX + 1)));
    assert_eq!(gang.world.open_offers(gang.framework).len(), 2);
}
