//! When what became of a task, as its agent tells it.

use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::life::{HeldLife, Prepared};

fn prepared(effects: &[Effect]) -> Vec<(TaskState, Prepared)> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(statuses) => Some(statuses),
        _ => None,
    });
    sent.flatten().map(|status| (status.state, status.prepared)).collect()
}

#[test]
fn what_was_fetched_and_compiled_is_told_with_every_update_behind_it_and_of_no_other_task() {
    let mut world = World::new();
    world.now = Now::from_millis(1_000);
    let waits = world.batch([Command::Launch(spec(T)), Command::Preparing(T)]);
    world.now = world.now + Duration::from_millis(30);
    world.batch([Command::Fetched(T)]);
    world.now = world.now + Duration::from_millis(400);
    world.batch([Command::Compiled(T)]);
    world.now = world.now + Duration::from_millis(2);
    let runs = world.batch([Command::Started(T)]);
    let ends = world.batch([Command::Ended(T, ending(TaskState::Finished))]);
    let quick = TaskId { number: 2, ..T };
    let at_once = world.batch([Command::Launch(spec(quick)), Command::Started(quick)]);

    let both =
        Prepared { fetched: Some(Duration::from_millis(30).into()), compiled: Some(Duration::from_millis(430).into()) };
    assert_eq!(prepared(&waits), [(TaskState::Starting, Prepared::default())]);
    assert_eq!(prepared(&runs), [(TaskState::Running, both)]);
    assert_eq!(prepared(&ends), [(TaskState::Finished, both)]);
    assert_eq!(prepared(&at_once), [(TaskState::Running, Prepared::default())]);
}

#[test]
fn a_master_is_told_how_long_ago_a_task_came_and_not_of_one_that_an_earlier_agent_received() {
    let mut world = World::new();
    world.now = Now::from_millis(1_000);
    world.batch([Command::Launch(spec(T))]);
    world.now = world.now + Duration::from_millis(5);
    world.batch([Command::Started(T)]);
    world.now = world.now + Duration::from_secs(60);
    let recovered = TaskId { number: 2, ..T };
    let task = TaskSummary::from(&*spec(recovered));
    world.batch([Command::Recover { task, started: true, stopped: None, ending: None, incarnation: 1 }]);

    let lives: Vec<_> = world.node.held(world.now).into_iter().map(|held| held.life).collect();

    let age = Duration::from_millis(60_005).into();
    let life = HeldLife { age, prepared: Prepared::default(), started: Some(Duration::from_millis(5).into()) };
    assert_eq!(lives, [Some(life), None]);
}
