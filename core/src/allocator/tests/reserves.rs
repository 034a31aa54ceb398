//! What is reserved, and who is offered it.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::super::{Obstacle, Sight};
use super::{World, at_most, exactly, guarantee, limit, size, want};
use crate::agent::AgentInfo;
use crate::id::{AgentId, FrameworkId};
use crate::quota::Quota;
use crate::reservation::{Reservation, Reserved};
use crate::resources::Resources;

fn part(role: &str, resources: Resources) -> Reserved {
    Reserved { reservation: Reservation::new(role).unwrap(), resources }
}

fn keeps(role: &str, total: Resources, kept: Resources) -> AgentInfo {
    AgentInfo { resources: total, reserved: [(role.to_string(), kept)].into(), ..AgentInfo::default() }
}

fn obstacles(world: &World, id: u64, role: &str) -> Vec<Obstacle> {
    let why = world.allocator.why(FrameworkId(id), role, world.now, &Sight::ALL).expect("it is in that role");
    why.hindrances.into_iter().map(|hindrance| hindrance.obstacle).collect()
}

/// S13, `Reservations`.
#[test]
fn what_is_reserved_for_a_role_is_offered_to_its_frameworks_alone() {
    let mut world = World::default();
    world.framework(1, "web");
    world.agent_like(1, &keeps("eng", size(4, 4096), size(4, 4096)));
    world.agent_like(2, &keeps("eng", size(4, 4096), size(1, 1024)));
    assert_eq!(world.offered(), [(1, 2, size(3, 3072))]);

    world.framework(2, "eng");

    let mut offered = world.offered();
    offered.sort_by_key(|&(_, agent, _)| agent);
    assert_eq!(offered, [(2, 1, size(4, 4096)), (2, 2, size(1, 1024))]);
}

/// S14, `OfferAncestorReservationsToDescendantChild`.
#[test]
fn what_is_reserved_for_a_role_is_offered_to_the_roles_below_it() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(2, "a/b");
    world.agent_with(1, size(2, 1024), &[part("a/b", size(2, 1024))]);
    world.agent_with(2, size(2, 1024), &[part("a/c", size(2, 1024))]);

    assert_eq!(world.offered(), [(2, 1, size(2, 1024))], "what is of a/b is not of a, and what is of a/c of neither");

    world.agent_with(3, size(2, 1024), &[part("a", size(2, 1024))]);
    let (_, offer) = world.offers().remove(0);
    assert_eq!(offer.portion.reserved, [part("a", size(2, 1024))]);
}

#[test]
fn a_task_takes_of_what_is_reserved_first_and_gives_it_back_there() {
    let mut world = World::default();
    world.framework(1, "eng");
    world.framework(2, "web");
    world.agent_with(1, size(4, 4096), &[part("eng", size(2, 2048))]);
    world.wants(1, [want(size(1, 512), 1, 0)]);
    world.wants(2, []);
    world.allocate();
    let held = world.launch(1, &size(1, 512));
    assert_eq!(held.reserved, [part("eng", size(1, 512))]);
    assert_eq!(world.allocator.allocated_on(AgentId(1)).reserved, [part("eng", size(1, 512))]);

    world.allocator.revive(FrameworkId(2), None);
    assert_eq!(world.offered(), [(2, 1, size(2, 2048))], "to others, all that is not reserved");

    world.end_in(1, "eng", 1, &held);
    assert_eq!(world.allocator.free_on(AgentId(1)).reserved, [part("eng", size(2, 2048))]);
}

#[test]
fn whoever_wants_more_than_is_reserved_has_it_of_both() {
    let mut world = World::default();
    world.framework(1, "eng");
    world.agent_with(1, size(4, 4096), &[part("eng", size(2, 2048))]);
    world.wants(1, [want(size(3, 512), 1, 0)]);

    let (_, offer) = world.offers().remove(0);

    assert_eq!(offer.portion.resources, size(3, 512));
    assert_eq!(offer.portion.reserved, [part("eng", size(2, 512))]);
}

#[test]
fn why_says_that_it_is_kept_for_others() {
    let mut world = World::default();
    world.framework(1, "web");
    world.wants(1, [want(size(3, 512), 1, 0)]);
    world.agent_with(1, size(4, 4096), &[part("eng", size(2, 2048))]);
    assert_eq!(world.offered(), []);
    assert_eq!(obstacles(&world, 1, "web"), [Obstacle::Reserved { reserved: size(2, 2048) }]);

    world.wants(1, [want(size(5, 512), 1, 0)]);
    world.allocate();
    assert_eq!(obstacles(&world, 1, "web"), [Obstacle::TooLarge { largest: size(4, 4096) }]);
}

/// S22, `ReservationWithinQuota`.
#[test]
fn what_is_reserved_counts_towards_a_guarantee() {
    let mut world = World::default();
    world.role("eng", 1, Some(guarantee(size(2, 1024))));
    world.framework(1, "web");
    world.agent_with(1, size(2, 1024), &[part("eng", size(2, 1024))]);
    world.agent(2, size(2, 1024));

    assert_eq!(world.offered(), [(1, 2, size(2, 1024))], "nothing else need be kept for it");
}

#[test]
fn what_is_reserved_counts_towards_a_limit_though_nobody_uses_it() {
    let mut world = World::default();
    world.role("eng", 1, Some(limit(&size(2, 1024))));
    world.framework(1, "eng");
    world.agent_with(1, size(3, 1536), &[part("eng", size(2, 1024))]);

    assert_eq!(world.offered(), [(1, 1, size(2, 1024))], "what is reserved, and no more");
    let lower = Quota { limit: at_most(&size(1, 512)), ..Quota::default() };
    assert!(world.allocator.check_quota("eng", &lower).is_err());
}

#[test]
fn a_limit_below_the_role_that_it_is_reserved_for_bounds_what_is_used_of_it() {
    let mut world = World::default();
    world.role("eng/batch", 1, Some(limit(&size(1, 512))));
    world.framework(1, "eng/batch");
    world.agent_with(1, size(4, 2048), &[part("eng", size(2, 1024))]);

    assert_eq!(world.offered(), [(1, 1, size(1, 512))]);
}

#[test]
fn a_quota_that_is_met_by_reservations_is_offered_at_once() {
    let mut world = World::default();
    world.role("eng", 1, Some(exactly(size(1, 512))));
    world.framework(1, "eng");
    world.framework(2, "web");
    world.agent_with(1, size(2, 1024), &[part("eng", size(1, 512))]);

    let mut offered = world.offered();
    offered.sort_by_key(|&(id, ..)| id);
    assert_eq!(offered, [(1, 1, size(1, 512)), (2, 1, size(1, 512))]);
}

#[test]
fn what_is_reserved_no_longer_is_offered_to_others_at_once() {
    let mut world = World::default();
    world.framework(1, "web");
    world.agent_with(1, size(2, 1024), &[part("eng", size(2, 1024))]);
    assert_eq!(world.offered(), []);
    let roles = |world: &World| -> Vec<_> {
        world.allocator.roles_after(None).map(|role| (role.name.to_string(), role.reserved.clone())).collect()
    };
    assert_eq!(roles(&world), [("eng".to_string(), size(2, 1024)), ("web".to_string(), Resources::default())]);

    world.allocator.reserve(AgentId(1), &[]);

    assert_eq!(world.offered(), [(1, 1, size(2, 1024))]);
    assert_eq!(roles(&world), [("web".to_string(), Resources::default())]);
}

#[test]
fn an_agent_that_goes_takes_its_reservations_along() {
    let mut world = World::default();
    world.agent_with(1, size(2, 1024), &[part("eng/x", size(2, 1024))]);
    assert_eq!(world.allocator.roles_after(None).count(), 2);

    world.allocator.remove_agent(AgentId(1));

    assert_eq!(world.allocator.roles_after(None).count(), 0);
}

/// What runs there when an agent comes back with other flags is counted where it was, and nothing is promised twice.
#[test]
fn an_agent_that_keeps_more_than_is_free_promises_nothing_twice() {
    let mut world = World::default();
    world.framework(1, "web");
    world.agent(1, size(4, 4096));
    world.offers();
    let held = world.launch(1, &size(3, 3072));
    world.framework(2, "eng");
    world.decline(1, 60_000);
    world.decline(2, 0);

    world.agent_like(1, &keeps("eng", size(4, 4096), size(2, 2048)));

    assert_eq!(world.allocator.free_on(AgentId(1)).resources, size(1, 1024));
    assert_eq!(world.offered(), [(2, 1, size(1, 1024))]);
    world.end_in(1, "web", 1, &held);
    let free = world.allocator.free_on(AgentId(1));
    assert_eq!(
        (free.resources, free.reserved),
        (size(3, 3072), vec![Reserved { reservation: Reservation::fixed("eng").unwrap(), resources: size(1, 1024) }])
    );
}
