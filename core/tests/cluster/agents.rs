//! Agents that fall silent, come back and leave.

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{
    AgentCommand, AgentIdentity, AgentOrder, Announcement, Change, Command, Config, Effect, FrameworkCommand,
    FrameworkEvent, OperatorCommand, Refusal, Rejection, heartbeat_every,
};
use haggle_core::{FrameworkId, Reason, RequestId, TaskId, TaskState, UpdateId};

use crate::kit::*;
use crate::registration::rejected_as;

const AGENT_TIMEOUT: Duration = Duration::from_secs(75);

/// Scenario 34. Mesos: `PartitionTest.PartitionedSlave`.
#[test]
fn a_silent_agent_is_cut_off_and_its_tasks_are_unreachable() {
    let (mut world, agent, framework, task) = with_running();

    assert_eq!(briefs(&world.wait(AGENT_TIMEOUT - Duration::from_nanos(1)), framework), []);
    let effects = world.wait(Duration::from_nanos(1));

    assert!(effects.contains(&Effect::Close(agent.session)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Remember(Change::AgentRecorded(..)))));
    assert!(events(&effects, framework).contains(&FrameworkEvent::AgentLost(agent.id)));
    assert_eq!(briefs(&effects, framework), [(task, TaskState::Unreachable, Some(Reason::AgentRemoved))]);
    assert_eq!(world.cluster.frameworks()[0].used, size(0, 0));
}

/// A tenant that has nothing there learns nothing of the machines of the cluster.
#[test]
fn that_an_agent_is_lost_is_told_to_those_who_have_something_there() {
    let (mut world, first, launched, _) = with_running();
    let bystander = world.framework("other");
    let told_of = |world: &mut World, agent: Agent| {
        let effects = world.agent_says(agent, AgentCommand::Leave);
        [launched, bystander].map(|who| events(&effects, who).contains(&FrameworkEvent::AgentLost(agent.id)))
    };
    assert_eq!(told_of(&mut world, first), [true, false]);

    // Who has nothing yet is offered it.
    let second = world.agent(1, 512);
    let offered = world.cluster.offers(world.now).into_iter().map(|offer| offer.framework).collect::<Vec<_>>();
    assert_eq!(offered, [bystander.id]);

    assert_eq!(told_of(&mut world, second), [false, true]);
}

#[test]
fn a_heartbeat_keeps_an_agent_alive() {
    let (mut world, agent, framework, task) = with_running();

    for _ in 0..10 {
        world.wait(Duration::from_secs(60));
        world.agent_says(agent, AgentCommand::Heartbeat);
    }

    assert_eq!(world.state_of(task), Some(TaskState::Running));
    assert_eq!(world.cluster.agents(world.now).len(), 1);
    assert_eq!(world.cluster.frameworks()[0].id, framework.id);
}

#[test]
fn the_tasks_of_an_agent_that_is_away_go_on_until_it_is_too_late() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(Duration::from_secs(4));

    let effects = world.disconnect(agent);
    assert!(effects.contains(&Effect::Announce(Announcement::AgentDown(agent.id))));
    // Counted from the last that was heard of it.
    let left = AGENT_TIMEOUT - Duration::from_secs(4);
    assert_eq!(briefs(&world.wait(left - Duration::from_nanos(1)), framework), []);
    assert_eq!(world.state_of(task), Some(TaskState::Running));

    world.wait(Duration::from_nanos(1));
    assert_eq!(world.state_of(task), Some(TaskState::Unreachable));
}

/// Scenario 35. Mesos: `PartitionTest.ReregisterSlavePartitionAware`.
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

/// Scenario 35. Mesos: `PartitionTest.PartitionedSlaveOrphanedTask`.
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

/// Scenario 40. Mesos: `MasterSlaveReconciliationTest.ReconcileLostTask` and `SlaveRecoveryTest.ReconcileTasksMissingFromSlave`.
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

/// What it ran before may have been this task, and nobody can tell any more.
#[test]
fn a_task_of_which_nothing_was_heard_is_gone_when_another_process_of_its_agent_comes_without_it() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch(framework, 1);
    world.disconnect(agent);
    let restarted = AgentIdentity { run: 2, ..world.identity(agent.id) };
    let session = world.session();
    let register = |complete| AgentCommand::Register {
        identity: restarted,
        info: agent_info(size(2, 1024)),
        tasks: vec![],
        complete,
    };
    world.apply(Command::Agent(session, register(false)));
    world.apply(Command::Disconnected(session));

    let session = world.session();
    let effects = world.apply(Command::Agent(session, register(true)));

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Gone, Some(Reason::AgentRestarted))]);
}

#[test]
fn a_task_that_ran_is_gone_when_its_agent_returns_without_it() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);

    let (_, effects) = world.register(Some(agent.id), size(2, 1024), vec![]);

    assert_eq!(briefs(&effects, framework), [(task, TaskState::Gone, Some(Reason::AgentRestarted))]);
}

/// Scenario 40. Mesos: `SlaveRecoveryTest.RecoverTaskStatusUpdateManager`.
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
    assert_eq!(world.cluster.agents(world.now), []);
    assert_eq!(world.cluster.frameworks()[0].used, size(0, 0));
}

#[test]
fn among_very_many_an_agent_may_be_silent_for_longer() {
    const MANY: usize = 2_625;
    let mut world = World::with(Config::default(), remembered());
    // Each says that it lives every 2.1 seconds.
    for _ in 0..MANY {
        world.agent(2, 1024);
    }
    let is_lost = |effects: Vec<Effect>| effects.iter().any(|effect| matches!(effect, Effect::Close(_)));

    let early = world.wait(5 * heartbeat_every(MANY) - Duration::from_nanos(1));
    let late = world.wait(Duration::from_nanos(1));

    assert_eq!((is_lost(early), is_lost(late)), (false, true));
}

#[test]
fn of_too_many_unreachable_agents_the_first_is_given_up() {
    let config = Config { unreachable_agents: 1, ..Config::default() };
    let config = Config { agent_timeout: AGENT_TIMEOUT, ..config };
    let mut world = World::with(config, remembered());
    let framework = world.framework("role");
    let mut lose_one = |number| {
        let agent = world.agent(2, 1024);
        let task = world.launch_and_run(agent, framework, number);
        let told = briefs(&world.wait(AGENT_TIMEOUT), framework);
        world.acknowledge_kept(framework);
        (task, told)
    };

    let (first, _) = lose_one(1);
    let (second, told) = lose_one(2);

    assert_eq!(
        told,
        [
            (second, TaskState::Unreachable, Some(Reason::AgentRemoved)),
            (first, TaskState::Gone, Some(Reason::AgentRemoved)),
        ]
    );
}

/// Breach: a number that an agent claimed to know was never given again, up to the last there is.
#[test]
fn what_an_agent_runs_for_a_framework_that_never_was_is_ended_and_counted_until_then() {
    let mut world = World::new();
    let orphan = TaskId { framework: FrameworkId(u64::MAX), number: 1 };

    let (agent, effects) = world.register(None, size(2, 1024), vec![held(orphan, TaskState::Running, size(1, 512))]);

    assert!(orders(&effects, agent).contains(&AgentOrder::RemoveFramework(orphan.framework)));
    assert_eq!(world.framework("role").id, FrameworkId(1));
    assert_eq!(world.used_on(agent), size(1, 512));
    let effects = world.update(agent, orphan, 3, TaskState::Killed);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(orphan, UpdateId(3))]);
    assert_eq!(world.used_on(agent), size(0, 0));
}

/// Breach: a number used again after a restart freed what still ran, and the agent was offered while it was full.
#[test]
fn a_task_whose_number_was_used_again_elsewhere_is_ended_and_counted_until_then() {
    let (mut world, first, framework, task) = with_running();
    let (second, _) = world.register(None, size(2, 1024), vec![held(task, TaskState::Running, size(2, 1024))]);

    assert_eq!(world.used_on(second), size(2, 1024));
    assert_eq!(world.used_on(first), size(2, 1024));

    let effects = world.update(second, task, 9, TaskState::Killed);
    assert_eq!(orders(&effects, second), [AgentOrder::Acknowledge(task, UpdateId(9))]);
    assert_eq!(briefs(&effects, framework), []);
    assert_eq!(world.state_of(task), Some(TaskState::Running));
    assert_eq!(world.used_on(second), size(0, 0));
}

/// Breach: such an agent stayed for ever, and its tasks UNREACHABLE.
#[test]
fn an_agent_that_is_unreachable_for_a_day_is_gone() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(AGENT_TIMEOUT);
    world.disconnect(agent);
    let (framework, _) = world.subscribe(Some(framework.id), framework_info("role"));

    let effects = world.wait(Duration::from_secs(24 * 60 * 60));

    assert!(briefs(&effects, framework).contains(&(task, TaskState::Gone, Some(Reason::AgentRemoved))));
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(agent.id))));
    assert_eq!(world.cluster.counts().agents, 0);
    let back = world.identity(agent.id);
    assert!(matches!(rejected_as(&mut world, back), Rejection::Gone(_)));
}

#[test]
fn an_agent_is_gone_when_an_operator_says_so_and_not_while_it_is_connected() {
    let (mut world, agent, framework, task) = with_running();
    let gone = Command::Operator(Principal::owner(), None, OperatorCommand::AgentGone(agent.id));
    assert_eq!(world.try_apply(gone.clone()), Err(Refusal::AgentConnected(agent.id)));
    world.disconnect(agent);

    let effects = world.apply(gone.clone());

    assert_eq!(briefs(&effects, framework), [(task, TaskState::GoneByOperator, Some(Reason::AgentRemoved))]);
    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(agent.id))));
    assert_eq!(world.try_apply(gone), Err(Refusal::AgentUnknown(agent.id)));
}

#[test]
fn an_operators_request_is_carried_out_once() {
    let (mut world, agent, ..) = with_running();
    world.disconnect(agent);
    let gone = Command::Operator(Principal::owner(), Some(RequestId(5)), OperatorCommand::AgentGone(agent.id));

    assert_ne!(world.apply(gone.clone()), []);
    assert_eq!(world.apply(gone), []);
}

/// A sick master must not declare its cluster dead.
#[test]
fn of_many_silent_agents_ten_are_unreachable_at_once_and_the_others_by_and_by() {
    let mut world = World::new();
    for _ in 0..15 {
        world.agent(1, 64);
    }

    world.wait(AGENT_TIMEOUT);
    assert_eq!(world.cluster.agents(world.now).len(), 5);

    world.wait(Duration::from_secs(1));
    assert_eq!(world.cluster.agents(world.now).len(), 4);
    world.wait(Duration::from_secs(4));
    assert_eq!(world.cluster.agents(world.now), []);
}
