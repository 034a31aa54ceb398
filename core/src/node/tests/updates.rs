//! News of tasks: what is said, how often, and until when.

use super::*;

#[test]
fn a_task_that_starts_and_ends_within_a_batch_sends_its_end_only() {
    let mut world = World::new();

    let effects =
        world.batch([Command::Launch(spec(T)), Command::Started(T), Command::Ended(T, ending(TaskState::Finished))]);

    assert_eq!(effects[0], Effect::Run(spec(T)));
    assert_eq!(said(&effects), [(T, 1, TaskState::Finished, None)]);
}

#[test]
fn a_task_that_starts_within_the_batch_was_never_starting() {
    let mut world = World::new();

    let sent = world.sent([Command::Launch(spec(T)), Command::Started(T)]);

    assert_eq!(sent, [(T, 1, TaskState::Running, None)]);
}

#[test]
fn a_task_that_has_to_be_fetched_says_so() {
    let mut world = World::new();

    world.batch([Command::Launch(spec(T))]);

    assert_eq!(world.sent([Command::Preparing(T)]), [(T, 1, TaskState::Starting, None)]);
    assert_eq!(world.sent([Command::Started(T)]), [(T, 2, TaskState::Running, None)]);
    assert_eq!(world.sent([Command::Ended(T, ending(TaskState::Failed))]), [(T, 3, TaskState::Failed, None)]);
}

#[test]
fn a_task_that_needs_nothing_is_first_told_of_when_it_runs() {
    let mut world = World::new();

    assert_eq!(world.sent([Command::Launch(spec(T))]), []);
    assert_eq!(world.sent([Command::Started(T)]), [(T, 1, TaskState::Running, None)]);
}

#[test]
fn that_something_is_fetched_is_no_news_of_a_task_that_has_gone_on() {
    let mut world = World::with_running(T);

    assert_eq!(world.sent([Command::Preparing(T)]), []);
    world.batch([Command::Kill(T)]);
    assert_eq!(world.sent([Command::Preparing(T)]), []);
    assert_eq!(world.node.held(world.now)[0].state, TaskState::Killing);
}

#[test]
fn an_update_says_which_agent_and_who_saw_it() {
    let mut world = World::with_running(T);

    let effects = world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let status = &statuses(&effects)[0];
    assert_eq!((status.agent, status.source), (Some(AgentId(1)), Source::Executor));
}

/// Scenario 41. Mesos: `TaskStatusUpdateManagerTest.RetryStatusUpdate`.
#[test]
fn an_unacknowledged_update_is_sent_again_after_a_second_and_then_ever_later() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let mut tries = Vec::new();
    for _ in 0..8 {
        let due = world.node.next_deadline().expect("something is unacknowledged");
        tries.push((due - world.now).as_secs());
        world.now = due;
        assert_eq!(world.sent([Command::Tick]), [(T, 2, TaskState::Finished, None)]);
    }

    assert_eq!(tries, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn an_acknowledged_end_is_forgotten() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let effects = world.batch([Command::Acknowledge(T, UpdateId(2))]);

    assert_eq!(effects, [Effect::Forget(T)]);
    assert_eq!(world.node.held(world.now), []);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn an_acknowledgement_covers_all_earlier_updates() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Preparing(T)]);
    world.batch([Command::Started(T)]);

    world.batch([Command::Acknowledge(T, UpdateId(2))]);

    assert_eq!(world.node.next_deadline(), None);
    assert_eq!(world.node.running(), 1);
}

#[test]
fn an_acknowledgement_of_an_earlier_update_leaves_the_later_one() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Started(T)]);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    world.batch([Command::Acknowledge(T, UpdateId(1))]);

    assert_eq!(said(&world.wait(10)), [(T, 2, TaskState::Finished, None)]);
}

/// Scenario 41. Mesos: `TaskStatusUpdateManagerTest.IgnoreDuplicateStatusUpdateAck` and `IgnoreUnexpectedStatusUpdateAck`.
#[test]
fn repeated_and_unexpected_acknowledgements_are_ignored() {
    let mut world = World::with_running(T);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);
    let before = world.node.clone();

    let effects = world.batch([
        Command::Acknowledge(T, UpdateId(1)),
        Command::Acknowledge(T, UpdateId(9)),
        Command::Acknowledge(number(99), UpdateId(1)),
    ]);

    assert_eq!(effects, []);
    assert_eq!(world.node, before);
}

/// Scenario 40. Mesos: `SlaveRecoveryTest.RecoverTaskStatusUpdateManager`, over a lost connection.
#[test]
fn updates_made_without_a_master_wait_for_one() {
    let mut world = World::with_running(T);
    world.batch([Command::Disconnected]);
    assert_eq!(world.sent([Command::Ended(T, ending(TaskState::Finished))]), []);
    assert_eq!(said(&world.wait(3600)), []);

    let sent = world.sent([Command::Registered(AgentId(1))]);

    assert_eq!(sent, [(T, 2, TaskState::Finished, None)]);
    let due = world.node.next_deadline().expect("it is unacknowledged");
    assert_eq!(due - world.now, Duration::from_secs(1));
}

#[test]
fn a_task_keeps_no_more_than_two_updates() {
    let mut world = World::new();
    world.batch([Command::Launch(spec(T)), Command::Preparing(T)]);
    world.batch([Command::Started(T)]);
    world.batch([Command::Ended(T, ending(TaskState::Finished))]);

    let sent = world.sent([Command::Registered(AgentId(1))]);

    assert_eq!(sent, [(T, 2, TaskState::Running, None), (T, 3, TaskState::Finished, None)]);
}

#[test]
fn a_framework_that_is_back_hears_everything_unacknowledged_again() {
    let mut world = World::new();
    let other = TaskId { framework: FrameworkId(2), number: 1 };
    world.batch([Command::Launch(spec(T)), Command::Started(T), Command::Launch(spec(other)), Command::Started(other)]);

    assert_eq!(world.sent([Command::Resend(FRAMEWORK)]), [(T, 1, TaskState::Running, None)]);
}
