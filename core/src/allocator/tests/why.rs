use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::{Obstacle, Waits};
use super::{World, guarantee, limit, size, want};
use crate::demand::{Constraint, Test, Want};
use crate::id::FrameworkId;

fn why(world: &World, id: u64) -> Waits {
    let seat = world.allocator.subscribed(FrameworkId(id), None)[0];
    let role = world.allocator.tree.path(seat.role);
    world.allocator.why(FrameworkId(id), &role, world.now).expect("the framework is in it")
}

/// What is in the way, and on how many agents.
fn obstacles(world: &World, id: u64) -> Vec<(Obstacle, usize)> {
    why(world, id).hindrances.into_iter().map(|hindrance| (hindrance.obstacle, hindrance.agents)).collect()
}

#[test]
fn whoever_has_an_offer_for_all_it_wants_has_nothing_in_its_way() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 1, 0)]);
    world.agent(1, size(2, 1024));
    world.allocate();

    let waits = why(&world, 1);
    assert_eq!((waits.since, waits.offers, waits.hindrances), (None, 1, vec![]));
}

#[test]
fn whoever_wants_nothing_is_told_so() {
    let mut world = World::default();
    world.framework(1, "a");
    world.agent(1, size(2, 1024));
    world.allocator.suppress(FrameworkId(1), None);
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::Suppressed, 0)]);
    world.wants(1, []);
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::WantsNothing, 0)]);
    world.allocator.set_framework_active(FrameworkId(1), false);
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::NotConnected, 0)]);
}

#[test]
fn it_is_said_since_when_and_it_is_over_with_the_offer() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, [want(size(1, 256), 1, 0)]);
    world.pass(500);
    world.allocate();
    let since = world.now;
    world.pass(700);
    world.allocate();
    assert_eq!((why(&world, 1).since, obstacles(&world, 1)), (Some(since), vec![(Obstacle::NoAgent, 0)]));

    world.agent(1, size(1, 1024));
    world.allocate();
    assert_eq!((why(&world, 1).since, obstacles(&world, 1)), (None, vec![]));
}

#[test]
fn agents_are_counted_by_what_is_wrong_with_them() {
    let mut world = World::default();
    world.framework(9, "other");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.launch(9, &size(3, 1024));
    world.allocator.suppress(FrameworkId(9), None);
    world.agent(2, size(1, 1024));
    world.agent(3, size(2, 128));
    world.agent(4, size(4, 4096));
    world.allocate();
    world.framework(1, "a");
    let constraints =
        vec![Constraint { attribute: "hostname".to_string(), test: Test::NotEquals("agent-4".to_string()) }];
    world.wants(1, [Want { constraints: constraints.clone(), ..want(size(2, 256), 1, 0) }]);
    world.allocate();

    let found = obstacles(&world, 1);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.contains(&(Obstacle::Constraint(constraints[0].clone()), 1)), "{found:?}");
    assert!(found.contains(&(Obstacle::InUse { free: size(1, 0) }, 1)), "{found:?}");
    assert!(found.contains(&(Obstacle::TooLarge { largest: size(2, 128) }, 2)), "{found:?}");
}

#[test]
fn offers_that_wait_for_an_answer_are_named_with_their_age() {
    let mut world = World::default();
    world.framework(9, "other");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.pass(40);
    world.framework(1, "a");
    world.wants(1, [want(size(2, 256), 1, 0)]);
    world.allocate();

    let age = Duration::from_millis(40);
    assert_eq!(obstacles(&world, 1), [(Obstacle::Offered { to: FrameworkId(9), age }, 1)]);
    assert_eq!((why(&world, 1).rank, why(&world, 1).ranked), (Some(1), 2));
}

#[test]
fn what_was_declined_says_for_how_long() {
    let mut world = World::default();
    world.framework(1, "a");
    world.agent(1, size(4, 1024));
    world.allocate();
    world.decline(1, 5000);
    world.pass(2000);
    world.allocate();

    assert_eq!(obstacles(&world, 1), [(Obstacle::Refused { lasts: Duration::from_millis(3000) }, 1)]);
}

#[test]
fn limits_and_promises_to_others_are_told_apart() {
    let mut world = World::default();
    world.role("a", 1, Some(limit(&size(1, 4096))));
    world.framework(1, "a/b");
    world.wants(1, [want(size(2, 256), 1, 0)]);
    world.agent(1, size(4, 1024));
    world.allocate();
    let [(Obstacle::AtLimit { role, .. }, 1)] = &obstacles(&world, 1)[..] else { panic!("{:?}", obstacles(&world, 1)) };
    assert_eq!(role, "a");

    world.role("a", 1, None);
    world.role("b", 1, Some(guarantee(size(3, 256))));
    world.allocate();
    assert_eq!(obstacles(&world, 1), [(Obstacle::KeptForOthers { kept: size(3, 256) }, 1)]);
}
