//! Ending tasks on request.

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentOrder, Command, FrameworkCommand, OperatorCommand, Recovered, Refusal};
use haggle_core::{AgentId, Reason, TaskId, TaskState};

use crate::kit::*;

#[test]
fn a_kill_reaches_the_agent() {
    let (mut world, agent, framework, task) = with_running();

    let effects = world.framework_says(framework, FrameworkCommand::Kill(task));

    assert_eq!(orders(&effects, agent), [AgentOrder::Kill(task)]);
    assert_eq!(world.state_of(task), Some(TaskState::Killing));
}

#[test]
fn a_kill_of_a_task_on_its_way_reaches_the_agent_too() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch(framework, 1);

    let effects = world.framework_says(framework, FrameworkCommand::Kill(task));

    assert_eq!(orders(&effects, agent), [AgentOrder::Kill(task)]);
}

#[test]
fn a_kill_frees_nothing_before_the_task_has_ended() {
    let (mut world, agent, framework, task) = with_running();

    world.framework_says(framework, FrameworkCommand::Kill(task));
    assert_eq!(world.used_on(agent), size(2, 1024));
    world.update(agent, task, 1, TaskState::Running);
    assert_eq!(world.state_of(task), Some(TaskState::Killing), "what is being killed does not start again");

    world.update(agent, task, 2, TaskState::Killed);
    assert_eq!(world.used_on(agent), size(0, 0));
}

#[test]
fn a_kill_waits_for_an_agent_that_is_away() {
    let (mut world, agent, framework, task) = with_running();
    world.disconnect(agent);
    world.framework_says(framework, FrameworkCommand::Kill(task));

    let still_there = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), still_there);

    assert!(orders(&effects, agent).contains(&AgentOrder::Kill(task)));
    assert_eq!(world.state_of(task), Some(TaskState::Killing));
}

/// Scenario 28. Mesos: `MasterTest.KillUnknownTask`.
#[test]
fn a_kill_of_what_nobody_knows_is_answered() {
    let (mut world, _, framework, _) = with_running();
    let stranger = TaskId { framework: framework.id, number: 77 };

    let effects = world.framework_says(framework, FrameworkCommand::Kill(stranger));

    assert_eq!(briefs(&effects, framework), [(stranger, TaskState::Unknown, Some(Reason::Reconciliation))]);
}

/// Scenario 28. Mesos: `MasterTest.KillUnknownTaskSlaveInTransition`.
#[test]
fn a_kill_of_what_an_agent_may_still_come_with_has_no_answer() {
    let recovered = Recovered { agents: vec![(AgentId(1), record(size(2, 1024), 1))], last_agent: 1, ..remembered() };
    let mut world = World::with(Default::default(), recovered);
    let framework = world.framework("role");
    let stranger = TaskId { framework: framework.id, number: 77 };

    let effects = world.framework_says(framework, FrameworkCommand::Kill(stranger));

    assert_eq!(briefs(&effects, framework), []);
}

#[test]
fn a_framework_kills_its_own_tasks_only() {
    let (mut world, _, _, task) = with_running();
    let other = world.framework("role");

    let effects = world.framework_says(other, FrameworkCommand::Kill(task));

    assert_eq!(briefs(&effects, other), [(task, TaskState::Error, Some(Reason::TaskInvalid))]);
    assert_eq!(world.state_of(task), Some(TaskState::Running));
}

fn operator_kills(task: TaskId) -> Command {
    Command::Operator(Principal::owner(), None, OperatorCommand::KillTask(task))
}

#[test]
fn an_operator_kills_any_task_that_runs() {
    let (mut world, agent, framework, task) = with_running();

    assert_eq!(orders(&world.apply(operator_kills(task)), agent), [AgentOrder::Kill(task)]);

    world.update(agent, task, 2, TaskState::Killed);
    assert_eq!(world.try_apply(operator_kills(task)), Err(Refusal::TaskEnded(task, TaskState::Killed)));
    let stranger = TaskId { framework: framework.id, number: 77 };
    let refusal = world.try_apply(operator_kills(stranger)).expect_err("nobody knows it");
    assert_eq!(refusal.to_string(), "task-1.77 is not known: it was never launched, or ended long ago");
}

/// Breach: a kill of an UNREACHABLE task got no answer.
#[test]
fn a_kill_of_an_unreachable_task_is_answered_and_remembered() {
    let (mut world, agent, framework, task) = with_running();
    world.wait(std::time::Duration::from_secs(75));

    let effects = world.framework_says(framework, FrameworkCommand::Kill(task));
    assert_eq!(briefs(&effects, framework), [(task, TaskState::Unreachable, Some(Reason::Reconciliation))]);

    let runs = vec![held(task, TaskState::Running, size(2, 1024))];
    let (agent, effects) = world.register(Some(agent.id), size(2, 1024), runs);
    assert!(orders(&effects, agent).contains(&AgentOrder::Kill(task)));
}
