//! Frameworks in several roles, and roles that change.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{World, size, want};
use crate::id::FrameworkId;
use crate::resources::Resources;

/// What is offered now, as role and how much.
fn offered_for(world: &mut World) -> Vec<(alloc::string::String, Resources)> {
    world.offers().into_iter().map(|(_, offer)| (offer.role.to_string(), offer.portion.resources)).collect()
}

fn used_by(world: &World, role: &str) -> Resources {
    let found = world.allocator.roles_after(None).find(|standing| standing.name == role);
    found.map(|standing| standing.used).unwrap_or_default()
}

#[test]
fn a_framework_in_two_roles_is_offered_for_each_of_them_by_its_share_there() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b"]);
    world.agent(1, size(2, 1024));
    world.agent(2, size(2, 1024));

    assert_eq!(offered_for(&mut world), [("a".into(), size(2, 1024)), ("b".into(), size(2, 1024))]);
}

#[test]
fn tasks_count_in_the_role_of_the_offer_that_they_were_launched_on() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b"]);
    world.agent(1, size(2, 1024));
    assert_eq!(offered_for(&mut world), [("a".into(), size(2, 1024))]);
    world.launch(1, &size(1, 512));

    assert_eq!((used_by(&world, "a"), used_by(&world, "b")), (size(1, 512), Resources::default()));
    assert_eq!(world.allocator.allocated_to(FrameworkId(1)), size(1, 512));
    assert_eq!(offered_for(&mut world), [("b".into(), size(1, 512))], "it is b's turn");
}

#[test]
fn what_was_declined_for_one_role_is_offered_for_the_other() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b"]);
    world.agent(1, size(2, 1024));
    assert_eq!(offered_for(&mut world), [("a".into(), size(2, 1024))]);
    world.decline(1, 60_000);
    assert_eq!(offered_for(&mut world), [("b".into(), size(2, 1024))]);
    world.decline(1, 60_000);
    assert_eq!(offered_for(&mut world), []);

    world.allocator.revive(FrameworkId(1), Some("a"));

    assert_eq!(offered_for(&mut world), [("a".into(), size(2, 1024))]);
}

#[test]
fn suppressing_one_role_leaves_the_others() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b"]);
    world.allocator.suppress(FrameworkId(1), Some("a"));
    world.agent(1, size(2, 1024));
    assert_eq!(offered_for(&mut world), [("b".into(), size(2, 1024))]);
    assert!(!world.allocator.is_suppressed(FrameworkId(1)));

    world.decline(1, 0);
    world.allocator.suppress(FrameworkId(1), None);

    assert_eq!(offered_for(&mut world), []);
    assert!(world.allocator.is_suppressed(FrameworkId(1)));
}

#[test]
fn each_role_has_a_demand_of_its_own() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b"]);
    world.allocator.demand(FrameworkId(1), Some("a"), &[want(size(1, 128), 2, 0)]);
    world.allocator.demand(FrameworkId(1), Some("b"), &[want(size(1, 256), 1, 0)]);
    world.agent(1, size(8, 8192));

    assert_eq!(offered_for(&mut world), [("a".into(), size(2, 256)), ("b".into(), size(1, 256))]);
}

#[test]
fn a_role_that_is_added_is_offered_for_at_once() {
    let mut world = World::default();
    world.framework_in(1, &["a"]);
    world.agent(1, size(2, 1024));
    world.offers();
    world.decline(1, 60_000);
    assert_eq!(offered_for(&mut world), []);

    world.allocator.set_framework(FrameworkId(1), &["a", "b"]);

    assert_eq!(offered_for(&mut world), [("b".into(), size(2, 1024))], "what it refused, it refused for a");
}

#[test]
fn what_a_framework_holds_in_a_role_that_it_left_counts_there_until_it_ends() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b"]);
    world.agent(1, size(2, 1024));
    world.offers();
    world.launch(1, &size(2, 1024));

    world.allocator.set_framework(FrameworkId(1), &["b"]);
    world.agent(2, size(2, 1024));
    assert_eq!(offered_for(&mut world), [("b".into(), size(2, 1024))], "never again for a");
    assert_eq!(used_by(&world, "a"), size(2, 1024));

    world.end_in(1, "a", 1, &size(2, 1024).into());
    let roles: Vec<_> = world.allocator.roles_after(None).map(|role| role.name.to_string()).collect();
    assert_eq!(roles, ["b"], "nothing is left in a");
}

#[test]
fn a_framework_that_leaves_leaves_every_role() {
    let mut world = World::default();
    world.framework_in(1, &["a", "b/c"]);

    world.allocator.remove_framework(FrameworkId(1));
    world.agent(1, size(2, 1024));

    assert_eq!(offered_for(&mut world), []);
    assert_eq!(world.allocator.roles_after(None).count(), 0);
}
