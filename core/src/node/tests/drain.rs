//! Agents that are to end all that they run.

use super::*;

#[test]
fn a_drain_without_tasks_is_over_at_once() {
    let mut world = World::new();

    assert_eq!(world.batch([Command::Drain]), [Effect::Drained]);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn a_drain_stops_every_task_and_waits_for_every_acknowledgement() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([Command::Drain]), [Effect::Stop(T, Reason::AgentDraining.into())]);
    let sent = world.sent([Command::Ended(T, ending(TaskState::Killed))]);
    assert_eq!(sent, [(T, 2, TaskState::Killed, Some(Reason::AgentDraining))]);
    assert_eq!(world.batch([Command::Acknowledge(T, UpdateId(2))]), [Effect::Forget(T), Effect::Drained]);
}

#[test]
fn a_drain_does_not_wait_for_a_framework_that_is_away() {
    let mut world = World::with_running(T);
    world.batch([Command::Drain]);
    world.batch([Command::Ended(T, ending(TaskState::Killed))]);

    assert!(!world.wait(4).contains(&Effect::Drained));
    assert_eq!(world.wait(1), [Effect::Drained]);
    assert!(!world.wait(60).contains(&Effect::Drained));
}

#[test]
fn a_drain_with_grace_lets_a_task_end_by_itself_and_stops_the_rest() {
    const LONGER: TaskId = TaskId { framework: FRAMEWORK, number: 2 };
    let mut world = World::with_running(T);
    world.node.config.kill_grace = Duration::from_secs(5);
    world.batch([Command::Launch(spec(LONGER)), Command::Started(LONGER)]);
    world.batch([Command::Acknowledge(LONGER, UpdateId(1))]);

    assert_eq!(world.batch([Command::Drain]), []);
    assert_eq!(world.node.next_deadline(), Some(world.now + Duration::from_secs(5)));
    let sent = world.sent([Command::Ended(T, ending(TaskState::Finished))]);
    assert_eq!(sent, [(T, 2, TaskState::Finished, None)]);
    let stop = Effect::Stop(LONGER, Reason::AgentDraining.into());
    assert!(!world.wait(4).contains(&stop));
    assert!(world.wait(1).contains(&stop));

    world.batch([Command::Ended(LONGER, ending(TaskState::Killed))]);
    let acknowledged = [Command::Acknowledge(T, UpdateId(2)), Command::Acknowledge(LONGER, UpdateId(2))];
    assert_eq!(world.batch(acknowledged), [Effect::Forget(T), Effect::Forget(LONGER), Effect::Drained]);
}

/// The agent goes on: it is the master that gives it no more.
#[test]
fn an_agent_that_its_master_drains_ends_every_task_and_stays() {
    let mut world = World::with_running(T);

    assert_eq!(world.batch([Command::StopAll]), [Effect::Stop(T, Reason::AgentDraining.into())]);
    assert_eq!(world.batch([Command::StopAll]), [], "the executor does not forget");
    let sent = world.sent([Command::Ended(T, ending(TaskState::Killed))]);
    assert_eq!(sent, [(T, 2, TaskState::Killed, Some(Reason::AgentDraining))]);
    assert_eq!(world.batch([Command::Acknowledge(T, UpdateId(2))]), [Effect::Forget(T)]);
}

#[test]
fn a_draining_agent_drops_what_it_is_given() {
    let mut world = World::new();
    world.batch([Command::Drain]);

    let sent = world.sent([Command::Launch(spec(T))]);

    assert_eq!(sent, [(T, 0, TaskState::Dropped, Some(Reason::AgentDraining))]);
}
