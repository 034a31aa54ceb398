//! Agents that join, fall silent, come back and leave.

use std::time::Duration;

use haggle_core::cluster::{
    AgentCommand, AgentOrder, Announcement, Change, Command, Config, Effect, FrameworkCommand, FrameworkEvent,
    Recovered, Refusal,
};
use haggle_core::{AgentId, FrameworkId, Reason, Resources, SessionId, TaskId, TaskState, UpdateId};

use crate::kit::*;

const AGENT_TIMEOUT: Duration = Duration::from_secs(75);

fn with_running() -> (World, Agent, Framework, TaskId) {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    (world, agent, framework, task)
}

#[test]
fn a_new_agent_is_remembered_before_it_is_told_its_id() {
    let mut world = World::new();

    let (agent, effects) = world.register(None, size(2, 1024), vec![]);

    assert_eq!(
        effects,
        [
            Effect::Remember(Change::AgentAdmitted(AgentId(1), agent_info(size(2, 1024)))),
            Effect::ToAgent(agent.session, AgentOrder::Registered(AgentId(1))),
            Effect::Announce(Announcement::AgentUp(AgentId(1))),
        ]
    );
    assert_eq!(world.cluster.session_of_agent(agent.id), Some(agent.session));
}

#[test]
fn an_agent_that_comes_back_unchanged_is_not_written_down_again() {
    let (mut world, agent, ..) = with_running();
    world.disconnect(agent);

    let (again, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);

    assert_eq!(again.id, agent.id);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Remember(_))));
}

#[test]
fn an_agent_that_comes_back_larger_is_offered_what_it_has_more() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (_, effects) = world.register(Some(agent.id), size(3, 2048), runs);

    assert_eq!(offers(&effects, framework)[0].resources, size(1, 1024));
}

#[test]
fn an_agent_that_comes_back_smaller_than_what_it_runs_is_offered_nothing() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(1, 512), runs);
    assert_eq!(offers(&effects, framework), []);

    let effects = world.update(agent, task, 2, TaskState::Finished);
    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
}

#[test]
fn a_second_connection_of_an_agent_closes_the_first() {
    let (mut world, first, ..) = with_running();

    let (_, effects) = world.register(Some(first.id), size(2, 1024), vec![]);

    assert!(effects.contains(&Effect::Close(first.session)));
    let late = world.try_apply(Command::Agent(first.session, AgentCommand::Heartbeat));
    assert_eq!(late, Err(Refusal::NotAnAgent(first.session)));
    assert_eq!(world.disconnect(first), [], "the end of the first says nothing about the second");
}

#[test]
fn an_id_of_a_lost_registry_is_kept_and_not_given_again() {
    let mut world = World::new();

    let (old, _) = world.register(Some(AgentId(7)), size(2, 1024), vec![]);
    let new = world.agent(2, 1024);

    assert_eq!((old.id, new.id), (AgentId(7), AgentId(8)));
}

#[test]
fn an_agent_with_nothing_to_offer_is_told_so() {
    let mut world = World::new();
    let session = world.session();
    let before = world.cluster.clone();

    let register = AgentCommand::Register { id: None, info: agent_info(Resources::default()), tasks: vec![] };
    let effects = world.apply(Command::Agent(session, register));

    let why = "an agent needs something to offer, and has nothing".to_string();
    assert_eq!(effects, [Effect::ToAgent(session, AgentOrder::Refused(why)), Effect::Close(session)]);
    assert_eq!(world.cluster, before);
}

#[test]
fn a_session_that_never_registered_is_refused() {
    let mut world = World::new();

    let verdict = world.try_apply(Command::Agent(SessionId(9), AgentCommand::Heartbeat));

    assert_eq!(verdict, Err(Refusal::NotAnAgent(SessionId(9))));
}

#[test]
fn a_session_introduces_itself_once() {
    let (mut world, agent, ..) = with_running();

    let again = AgentCommand::Register { id: None, info: agent_info(size(1, 512)), tasks: vec![] };
    let verdict = world.try_apply(Command::Agent(agent.session, again));

    assert_eq!(verdict, Err(Refusal::IntroducedTwice(agent.session)));
}

/// Mesos: `PartitionTest.PartitionedSlave`.
#[test]
fn a_silent_agent_is_cut_off_and_its_tasks_are_unreachable() {
    let (mut world, agent, framework, task) = with_running();

    assert_eq!(briefs(&world.wait(AGENT_TIMEOUT - Duration::from_nanos(1)), framework), []);
    let effects = world.wait(Duration::from_nanos(1));

    assert!(effects.contains(&Effect::Close(agent.session)));
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(agent.id))));
    assert!(events(&effects, framework).contains(&FrameworkEvent::AgentLost(agent.id)));
    assert_eq!(briefs(&effects, framework), [(task, TaskState::Unreachable, Some(Reason::AgentRemoved))]);
    assert_eq!(world.cluster.frameworks()[0].used, size(0, 0));
}

#[test]
fn a_heartbeat_keeps_an_agent_alive() {
    let (mut world, agent, framework, task) = with_running();

    for _ in 0..10 {
        world.wait(Duration::from_secs(60));
        world.agent_says(agent, AgentCommand::Heartbeat);
    }

    assert_eq!(world.state_of(task), Some(TaskState::Running));
    assert_eq!(world.cluster.agents().len(), 1);
    assert_eq!(world.cluster.frameworks()[0].id, framework.id);
}

#[test]
fn the_tasks_of_an_agent_that_is_away_go_on_until_it_is_too_late() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(Duration::from_secs(10));

    let effects = world.disconnect(agent);
    assert!(effects.contains(&Effect::Announce(Announcement::AgentDown(agent.id))));
    assert_eq!(briefs(&world.wait(AGENT_TIMEOUT - Duration::from_nanos(1)), framework), []);
    assert_eq!(world.state_of(task), Some(TaskState::Running));

    world.wait(Duration::from_nanos(1));
    assert_eq!(world.state_of(task), Some(TaskState::Unreachable));
}

/// Mesos: `PartitionTest.ReregisterSlavePartitionAware`.
#[test]
fn a_task_on_an_agent_that_returns_runs_again() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(AGENT_TIMEOUT);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Running, Some(Reason::AgentReregistered))]);
    assert_eq!(world.used_on(agent), size(2, 1024));
    assert_eq!(offers(&effects, framework), []);
}

/// Mesos: `PartitionTest.PartitionedSlaveOrphanedTask`.
#[test]
fn an_agent_that_returns_with_the_tasks_of_a_removed_framework_ends_them() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(AGENT_TIMEOUT);
    world.framework_says(framework, FrameworkCommand::Teardown);
    assert_eq!(world.state_of(task), Some(TaskState::Lost));

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);
    assert!(orders(&effects, agent).contains(&AgentOrder::RemoveFramework(framework.id)));
    assert_eq!(world.used_on(agent), size(2, 1024), "it runs until its agent says otherwise");

    let effects = world.update(agent, task, 2, TaskState::Killed);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(task, UpdateId(2))]);
    assert_eq!(world.used_on(agent), size(0, 0));
    assert_eq!(world.state_of(task), Some(TaskState::Lost), "a terminal state never changes");
}

/// Mesos: `MasterSlaveReconciliationTest.ReconcileLostTask` and `SlaveRecoveryTest.ReconcileTasksMissingFromSlave`.
#[test]
fn a_task_that_never_arrived_is_dropped_when_its_agent_returns_without_it() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch(framework, 1);
    world.disconnect(agent);

    let (_, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Dropped, Some(Reason::AgentRestarted))]);
    assert_eq!(offers(&effects, framework)[0].resources, size(2, 1024));
}

#[test]
fn a_task_that_ran_is_gone_when_its_agent_returns_without_it() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);

    let (_, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Gone, Some(Reason::AgentRestarted))]);
}

/// Mesos: `SlaveRecoveryTest.RecoverTaskStatusUpdateManager`.
#[test]
fn an_end_that_was_never_acknowledged_is_told_again_after_the_agent_is_back() {
    let (mut world, agent, framework, task) = with_running();
    world.update(agent, task, 2, TaskState::Finished);
    world.disconnect(agent);
    world.register(Some(agent.id), size(2, 1024), vec![held(task, TaskState::Finished, size(2, 1024))]);
    let agent = Agent { session: world.cluster.session_of_agent(agent.id).expect("it is back"), ..agent };

    let effects = world.update(agent, task, 2, TaskState::Finished);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Finished, None)]);
    assert_eq!(orders(&world.acknowledge(framework, task, 2), agent), [AgentOrder::Acknowledge(task, UpdateId(2))]);
}

#[test]
fn a_task_that_the_master_has_given_up_is_ended_where_it_turns_up() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);
    world.register(Some(agent.id), size(2, 1024), vec![]);
    assert_eq!(world.state_of(task), Some(TaskState::Gone));

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);

    assert!(orders(&effects, agent).contains(&AgentOrder::Kill(task)));
    assert_eq!(world.used_on(agent), size(2, 1024));
    assert_eq!(briefs(&effects, framework), []);
    world.update(agent, task, 2, TaskState::Killed);
    assert_eq!(world.state_of(task), Some(TaskState::Gone));
    assert_eq!(world.used_on(agent), size(0, 0));
}

#[test]
fn an_agent_that_leaves_takes_its_tasks_along() {
    let (mut world, agent, framework, task) = with_running();
    world.agent_says(agent, AgentCommand::Drain);

    let effects = world.agent_says(agent, AgentCommand::Leave);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Lost, Some(Reason::AgentDraining))]);
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(agent.id))));
    assert!(effects.contains(&Effect::Announce(Announcement::AgentRemoved(agent.id))));
    assert_eq!(world.cluster.agents(), []);
    assert_eq!(world.cluster.frameworks()[0].used, size(0, 0));
}

#[test]
fn of_too_many_unreachable_agents_the_first_is_given_up() {
    let config = Config { unreachable_agents: 1, ..Config::default() };
    let mut world = World::with(config, Recovered::default());
    let framework = world.framework("role");
    let mut lose_one = |number| {
        let agent = world.agent(2, 1024);
        let task = world.launch_and_run(agent, framework, number);
        (task, briefs(&world.wait(AGENT_TIMEOUT), framework))
    };

    let (first, _) = lose_one(1);
    let (second, told) = lose_one(2);

    assert_eq!(
        told,
        [
            (second, TaskState::Unreachable, Some(Reason::AgentRemoved)),
            (first, TaskState::Lost, Some(Reason::AgentRemoved)),
        ]
    );
}

#[test]
fn the_number_of_a_framework_that_an_agent_still_knows_is_not_given_again() {
    let mut world = World::new();
    let orphan = TaskId { framework: FrameworkId(5), number: 1 };

    let (agent, effects) = world.register(None, size(2, 1024), vec![held(orphan, TaskState::Running, size(1, 512))]);

    assert!(orders(&effects, agent).contains(&AgentOrder::RemoveFramework(FrameworkId(5))));
    assert_eq!(world.framework("role").id, FrameworkId(6));
    assert_eq!(world.used_on(agent), size(1, 512));
}
