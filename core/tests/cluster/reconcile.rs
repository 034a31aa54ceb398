//! Where tasks stand, as the master answers.

use std::time::Duration;

use haggle_core::cluster::{FrameworkCommand, Question, Recovered};
use haggle_core::{AgentId, Reason, Source, TaskId, TaskState, UpdateId};

use crate::kit::*;

fn ask(world: &mut World, framework: Framework, tasks: &[TaskId]) -> Vec<(TaskId, TaskState)> {
    answers(world, framework, tasks.iter().map(|&task| Question { task, agent: None }).collect())
}

fn answers(world: &mut World, framework: Framework, questions: Vec<Question>) -> Vec<(TaskId, TaskState)> {
    let effects = world.framework_says(framework, FrameworkCommand::Reconcile(questions));
    let answers = updates(&effects, framework).into_iter();
    answers
        .map(|status| {
            assert_eq!((status.source, status.update), (Source::Master, UpdateId::UNACKNOWLEDGED));
            assert_eq!(status.reason, Some(Reason::Reconciliation));
            (status.task, status.state)
        })
        .collect()
}

/// Scenario 36. Mesos: `ReconciliationTest.TaskStateMatch` and `TaskStateMismatch`.
#[test]
fn a_known_task_is_where_it_was_last_seen() {
    let (mut world, agent, framework, task) = with_running();
    assert_eq!(ask(&mut world, framework, &[task]), [(task, TaskState::Running)]);

    world.update(agent, task, 2, TaskState::Finished);
    assert_eq!(ask(&mut world, framework, &[task]), [(task, TaskState::Finished)]);

    world.acknowledge(framework, task, 2);
    assert_eq!(ask(&mut world, framework, &[task]), [(task, TaskState::Finished)]);
}

/// Scenario 36. Mesos: `ReconciliationTest.UnknownSlave`.
#[test]
fn a_task_that_was_never_seen_is_unknown() {
    let (mut world, _, framework, task) = with_running();
    let stranger = TaskId { number: 77, ..task };

    assert_eq!(ask(&mut world, framework, &[stranger]), [(stranger, TaskState::Unknown)]);
}

/// Scenario 36. Mesos: `ReconciliationTest.UnknownTask`.
#[test]
fn a_task_that_its_agent_does_not_hold_is_gone() {
    let (mut world, agent, framework, task) = with_running();
    let stranger = TaskId { number: 77, ..task };

    for agent in [agent.id, AgentId(77)] {
        let question = Question { task: stranger, agent: Some(agent) };
        assert_eq!(answers(&mut world, framework, vec![question]), [(stranger, TaskState::Gone)], "{agent}");
    }
}

/// Scenario 36. Mesos: `ReconciliationTest.RecoveredAgent` and `MasterTest.RecoveredSlaves`.
#[test]
fn a_task_that_may_still_be_seen_has_no_answer_until_its_agents_are_too_late() {
    let recovered = Recovered { agents: vec![(AgentId(1), record(size(2, 1024), 1))], last_agent: 1, ..remembered() };
    let mut world = World::with(Default::default(), recovered);
    let framework = world.framework("role");
    let stranger = TaskId { framework: framework.id, number: 77 };
    assert_eq!(ask(&mut world, framework, &[stranger]), []);

    let effects = world.wait(Duration::from_secs(60));

    assert_eq!(briefs(&effects, framework), [(stranger, TaskState::Unknown, Some(Reason::Reconciliation))]);
    assert_eq!(ask(&mut world, framework, &[stranger]), [(stranger, TaskState::Unknown)]);
}

/// Scenario 36. Mesos: `ReconciliationTest.ImplicitNonTerminalTask` and `ImplicitTerminalTask`.
#[test]
fn an_empty_question_is_about_all_that_runs_or_is_unacknowledged() {
    let (mut world, agent, framework, first) = with_running();
    world.update(agent, first, 2, TaskState::Finished);
    let second = world.launch(framework, 2);
    assert_eq!(ask(&mut world, framework, &[]), [(first, TaskState::Finished), (second, TaskState::Staging)]);

    world.acknowledge(framework, first, 2);
    assert_eq!(ask(&mut world, framework, &[]), [(second, TaskState::Staging)]);
}

#[test]
fn a_framework_asks_about_its_own_tasks_only() {
    let (mut world, _, _, task) = with_running();
    let other = world.framework("role");

    let effects = world.framework_says(other, FrameworkCommand::Reconcile(vec![Question { task, agent: None }]));

    assert_eq!(briefs(&effects, other), [(task, TaskState::Error, Some(Reason::TaskInvalid))]);
}
