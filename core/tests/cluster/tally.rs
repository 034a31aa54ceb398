//! What a master counts.

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{
    AgentCommand, AgentMove, Cluster, Command, Config, OfferEnd, OperatorCommand, Processor, Tally,
};
use haggle_core::{AgentId, Now, Reason, Source, TaskId, TaskState, TaskStatus, UpdateId, Usage};

use crate::kit::*;

/// What is counted as things happen is what a look at everything finds.
pub(crate) fn check_tally(cluster: &Cluster, now: Now) {
    let (tally, counts) = (cluster.tally(), cluster.counts());
    let ended: u64 = OfferEnd::ALL.into_iter().map(|end| tally.offers_ended(end)).sum();
    assert_eq!(tally.offers_made() - ended, cluster.offers(now).len() as u64);
    let known: usize = TaskState::ALL.into_iter().map(|state| tally.tasks(state)).sum();
    assert_eq!(known, counts.tasks);
    let tasks = cluster.tasks();
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let there = tasks.iter().filter(|task| task.status.state == state).count();
        assert_eq!(tally.tasks(state), there, "{state}");
    }
}

#[test]
fn an_offer_is_counted_by_how_it_ends() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.decline(framework, &[offer], Duration::ZERO);
    world.wait(Duration::from_secs(5));
    world.wait(Duration::from_millis(100));
    world.launch(framework, 1);
    let leaves = world.agent(2, 1024);
    world.disconnect(leaves);
    world.agent(2, 1024);
    world.disconnect(framework);

    let tally = world.cluster.tally();
    let ended = OfferEnd::ALL.map(|end| (end.name(), tally.offers_ended(end)));
    let each_once = ["accepted", "declined", "expired", "rescinded", "returned"].map(|name| (name, 1));
    assert_eq!((ended, tally.offers_made()), (each_once, 5));
}

#[test]
fn a_task_is_counted_where_it_stands_and_by_how_it_ends() {
    let (mut world, agent, framework, task) = with_running();
    let stands = |world: &World| {
        let tally = world.cluster.tally();
        TaskState::ALL.into_iter().filter(|&state| tally.tasks(state) > 0).collect::<Vec<_>>()
    };
    assert_eq!(stands(&world), [TaskState::Running]);

    let (used, throttled) = (Duration::from_secs(3), Duration::from_secs(1));
    let usage = Some(Usage { cpu: used, throttled, ..Usage::default() });
    let status = TaskStatus::new(task, UpdateId(2), TaskState::Failed, Source::Executor);
    let failed = TaskStatus { reason: Some(Reason::Trap), usage, ..status };
    world.agent_says(agent, AgentCommand::Updates(vec![failed.clone()]));
    world.agent_says(agent, AgentCommand::Updates(vec![failed]));
    assert_eq!(stands(&world), [TaskState::Failed]);
    world.acknowledge(framework, task, 2);

    assert_eq!(stands(&world), []);
    let tally = world.cluster.tally();
    assert_eq!(tally.ended().collect::<Vec<_>>(), [(TaskState::Failed, Some(Reason::Trap), 1)]);
    let told = (TaskState::Failed, Some(Reason::Trap), Source::Executor, 1);
    assert_eq!(tally.told_as_ended().collect::<Vec<_>>(), [told]);
    assert_eq!(tally.cpu().collect::<Vec<_>>(), [("role", Processor { used, throttled })]);
    assert_eq!(tally.launched(), 1);
}

#[test]
fn a_start_counts_from_the_launch_to_the_first_that_is_heard_of_it() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let offer = world.open_offer(framework);
    world.accept(framework, &[offer], &[task(framework, 1, 1, 1), task(framework, 2, 1, 1)]);
    let [slow, quick] = [1, 2].map(|number| TaskId { framework: framework.id, number });
    world.wait(Duration::from_millis(30));
    world.update(agent, slow, 1, TaskState::Running);
    world.wait(Duration::from_millis(10));

    // It ran for 35 ms, which nobody told before its end.
    let usage = Some(Usage { wall: Duration::from_millis(35), ..Usage::default() });
    let status = TaskStatus::new(quick, UpdateId(2), TaskState::Finished, Source::Executor);
    world.agent_says(agent, AgentCommand::Updates(vec![TaskStatus { usage, ..status }]));
    world.update(agent, slow, 3, TaskState::Finished);

    let life = world.cluster.life_of(slow);
    let since = |at: Option<Now>| at.unwrap().since(life.sent.unwrap());
    assert_eq!((since(life.started), since(life.ended)), (Duration::from_millis(30), Duration::from_millis(40)));
    let latency = world.cluster.tally().start_latency();
    assert_eq!((latency.count(), latency.sum()), (2, Duration::from_millis(35)));
}

#[test]
fn a_launch_that_is_refused_is_counted_by_its_reason() {
    let mut world = World::new();
    let framework = world.framework("role");
    world.agent(2, 1024);
    let offer = world.open_offer(framework);

    world.accept(framework, &[offer], &[task(framework, 1, 3, 1), task(framework, 2, 1, 1), task(framework, 2, 1, 1)]);

    let refused: Vec<_> = world.cluster.tally().not_launched().collect();
    assert_eq!(refused, [(Reason::TaskInvalid, 1), (Reason::InvalidOffers, 1)]);
    let told: Vec<_> = world.cluster.tally().told_as_ended().collect();
    assert_eq!(
        told,
        [
            (TaskState::Error, Some(Reason::TaskInvalid), Source::Master, 1),
            (TaskState::Dropped, Some(Reason::InvalidOffers), Source::Master, 1),
        ]
    );
}

fn moves(tally: &Tally) -> Vec<(&'static str, u64)> {
    let moves = AgentMove::ALL.map(|what| (what.name(), tally.agents_moved(what)));
    moves.into_iter().filter(|&(_, agents)| agents > 0).collect()
}

fn gone(world: &mut World, agent: AgentId) {
    world.apply(Command::Operator(Principal::owner(), None, OperatorCommand::AgentGone(agent)));
}

#[test]
fn an_agent_is_counted_when_it_joins_comes_back_and_is_gone() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    world.agent(2, 1024);
    world.disconnect(agent);
    let (agent, _) = world.register(Some(agent.id), size(2, 1024), vec![]);

    world.agent_says(agent, AgentCommand::Leave);

    assert_eq!(moves(world.cluster.tally()), [("joined", 2), ("returned", 1), ("removed", 1)]);
}

#[test]
fn an_agent_that_is_unreachable_is_counted_once_more_when_it_is_given_up() {
    let mut world = World::new();
    let agent = world.agent(2, 1024);
    world.wait(Duration::from_secs(75));
    assert_eq!(moves(world.cluster.tally()), [("joined", 1), ("unreachable", 1)]);

    gone(&mut world, agent.id);

    assert_eq!(moves(world.cluster.tally()), [("joined", 1), ("unreachable", 1), ("forgotten", 1)]);
}

#[test]
fn an_agent_that_a_new_master_expects_in_vain_is_counted_apart() {
    let config = Config::default();
    let mut world = World::with(config.clone(), one_of_each_remembered());

    world.wait(config.reregister_timeout);

    assert_eq!(moves(world.cluster.tally()), [("missed", 1)]);
}

#[test]
fn how_much_is_refused_is_known_of_each_role() {
    let mut world = World::new();
    let (refuses, _takes) = (world.framework("eng/batch"), world.framework("ops"));
    world.agent(2, 1024);
    let offer = world.open_offer(refuses);

    world.decline(refuses, &[offer], Duration::from_secs(60));

    let refusals: Vec<_> = world.cluster.refusals_of_roles().into_iter().collect();
    assert_eq!(refusals, [("eng/batch".to_owned(), 1)]);
}
