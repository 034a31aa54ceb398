//! Offers that are in somebody's way by quotas alone: the agents that have room for its tasks are others.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::super::Allocation;
use super::super::demand::BeyondQuotas;
use super::{World, guarantee, limit, size, want};
use crate::attributes::HOSTNAME;
use crate::demand::{Constraint, Test, Want};
use crate::id::AgentId;

/// More agents, or offers, than are looked at in one go.
const MANY: u64 = 70;

/// To whom offers were, and to whom they are now.
fn moved(world: &World, allocation: &Allocation) -> (Vec<u64>, Vec<u64>) {
    let from = allocation.rescinded.iter().map(|(_, promise)| promise.framework.0).collect();
    let to = allocation.offers.iter().map(|id| world.allocator.offer(*id).unwrap().framework.0).collect();
    (from, to)
}

fn on(agent: u64, wanted: Want) -> Want {
    let there = Constraint { attribute: HOSTNAME.to_string(), test: Test::Equals(AgentId(agent).to_string()) };
    Want { constraints: [there].into(), ..wanted }
}

/// Framework 1 in `a/x` has three offers to have room at hand, which are all that `a` may have, and are too small for anything else.
fn at_its_limit(world: &mut World) {
    world.role("a", 1, Some(limit(&size(3, 4096))));
    world.framework(1, "a/x");
    world.wants(1, [want(size(1, 128), 0, 3)]);
    (1..=3).for_each(|id| world.agent(id, size(1, 128)));
    assert_eq!(world.offered().len(), 3);
}

#[test]
fn room_at_hand_gives_way_however_many_larger_agents_do_not_suit_the_task_that_waits() {
    let mut world = World::default();
    at_its_limit(&mut world);
    (10..10 + MANY).for_each(|id| world.agent(id, size(4, 4096)));
    world.agent(100, size(2, 1024));
    world.framework(2, "a/y");
    world.wants(2, [on(100, want(size(1, 512), 1, 0))]);

    let allocation = world.allocate();

    assert_eq!(moved(&world, &allocation), (vec![1], vec![2]));
    assert_eq!(world.open(1).len(), 2);
}

#[test]
fn agents_are_asked_anew_when_none_that_was_known_has_room_any_more() {
    let mut world = World::default();
    world.role("a", 1, Some(limit(&size(3, 4096))));
    world.framework(1, "a/x");
    world.wants(1, [want(size(1, 128), 3, 0)]);
    (1..=3).for_each(|id| world.agent(id, size(1, 128)));
    assert_eq!(world.offered().len(), 3);
    let known = BeyondQuotas::KNOWN as u64;
    (10..=10 + known).for_each(|id| world.agent(id, size(1, 1024)));
    world.framework(2, "a/y");
    world.wants(2, [want(size(1, 512), 1, 0)]);
    assert_eq!(world.offered(), [], "there is some time to answer");
    (10..10 + known).for_each(|id| world.allocator.remove_agent(AgentId(id)));
    world.pass(100);
    assert_eq!(world.offered(), []);
    assert_eq!(world.allocator.next_deadline(), Some(world.now));

    let allocation = world.allocate();

    assert_eq!(moved(&world, &allocation), (vec![1], vec![2]));
}

#[test]
fn room_at_hand_gives_way_to_a_task_that_is_kept_waiting_by_what_others_are_promised() {
    let mut world = World::default();
    world.role("c", 1, Some(guarantee(size(2, 0))));
    world.agent(1, size(1, 128));
    world.agent(2, size(2, 1024));
    world.framework(1, "b");
    world.wants(1, [on(1, want(size(1, 128), 0, 1))]);
    assert_eq!(world.offered(), [(1, 1, size(1, 128))]);
    world.framework(2, "a");
    world.wants(2, [want(size(1, 512), 1, 0)]);

    let allocation = world.allocate();

    assert_eq!(moved(&world, &allocation), (vec![1], vec![2]));
    assert_eq!(world.offered(), [], "the rest is kept");
}

/// The first of those that hold room at hand are others, whose offers are of no use here.
fn behind_many_idle_offers() -> World {
    let mut world = World::default();
    world.framework(0, "z");
    world.wants(0, [want(size(1, 128), 0, MANY as u32)]);
    (10..10 + MANY).for_each(|id| world.agent(id, size(1, 128)));
    assert_eq!(world.offered().len() as u64, MANY);
    at_its_limit(&mut world);
    world.agent(100, size(2, 1024));
    world.framework(2, "a/y");
    world
}

#[test]
fn room_at_hand_gives_way_below_its_limit_however_many_hold_some_elsewhere() {
    let mut world = behind_many_idle_offers();
    world.wants(2, [want(size(1, 512), 1, 0)]);

    let allocation = world.allocate();

    assert_eq!(moved(&world, &allocation), (vec![1], vec![2]));
}

#[test]
fn room_at_hand_gives_way_to_a_gang_below_its_limit_however_many_hold_some_elsewhere() {
    let mut world = behind_many_idle_offers();
    world.wants(2, [Want { gang: 1, ..want(size(1, 512), 2, 0) }]);

    let (mut from, mut to) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let allocation = world.allocate();
        let (rescinded, made) = moved(&world, &allocation);
        from.extend(rescinded);
        to.extend(made);
        world.pass(250);
    }

    assert_eq!((from, to), (vec![1, 1], vec![2]));
}
