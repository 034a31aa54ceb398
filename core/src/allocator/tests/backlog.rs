use alloc::vec;
use alloc::vec::Vec;

use super::{World, size, want};
use crate::id::{AgentId, FrameworkId, OfferId};
use crate::time::Now;

/// A cluster of alike agents, of which so many are looked at in one go.
fn cluster(agents: u64, slice: usize) -> World {
    let mut world = World { slice: Some(slice), ..World::default() };
    for agent in 1..=agents {
        world.agent(agent, size(1, 1024));
    }
    world
}

/// The agents that are offered now, a slice after the other until the allocator is behind with nothing.
fn slices(world: &mut World) -> Vec<Vec<u64>> {
    let mut slices = Vec::new();
    loop {
        let made = world.next_slice().offers;
        slices.push(agents(world, &made));
        if !world.allocator.is_behind() {
            return slices;
        }
    }
}

fn agents(world: &World, offers: &[OfferId]) -> Vec<u64> {
    offers.iter().map(|&offer| world.allocator.offer(offer).expect("it is open").agent.0).collect()
}

#[test]
fn agents_that_change_at_once_are_offered_a_slice_at_a_time() {
    let mut world = cluster(7, 3);
    world.framework(1, "a");

    assert_eq!(slices(&mut world), [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    assert_eq!(world.allocate().examined, 0, "nothing is left of them");
}

#[test]
fn it_is_counted_how_many_agents_wait_to_be_looked_at() {
    let mut world = cluster(7, 3);
    world.framework(1, "a");
    assert_eq!(world.allocator.standing().dirty, 7);

    world.next_slice();
    assert_eq!(world.allocator.standing().dirty, 4);

    world.allocate();
    assert_eq!(world.allocator.standing().dirty, 0);
}

#[test]
fn what_is_declined_at_once_is_offered_anew_in_slices() {
    let mut world = cluster(5, 2);
    world.framework(1, "a");
    world.allocate();

    world.decline(1, 0);

    assert_eq!(slices(&mut world), [vec![1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn who_comes_late_and_takes_whatever_there_is_is_offered_idle_agents_in_slices() {
    let mut world = cluster(5, 2);
    world.framework(1, "a");
    world.allocate();
    world.decline(1, 10_000);
    world.allocate();

    world.framework(2, "b");

    assert_eq!(slices(&mut world), [vec![1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn what_changes_meanwhile_does_not_wait_for_what_changed_before() {
    let mut world = cluster(9, 2);
    world.framework(1, "a");
    world.next_slice();

    world.agent(10, size(1, 1024));

    let next = world.next_slice().offers;
    assert_eq!(agents(&world, &next), [3, 10]);
}

#[test]
fn however_much_changes_meanwhile_each_agent_has_its_turn() {
    let mut world = cluster(6, 2);
    world.framework(1, "a");

    let mut turns = Vec::new();
    for _ in 0..10 {
        let offers = world.next_slice().offers;
        turns.extend(agents(&world, &offers));
        // All that was offered comes back at once.
        world.decline(1, 0);
    }

    let of = |agent: u64| turns.iter().filter(|turn| **turn == agent).count();
    assert!((1..=6).all(|agent| of(agent) >= 2), "{turns:?}");
}

#[test]
fn an_agent_that_leaves_before_its_slice_is_not_offered() {
    let mut world = cluster(4, 2);
    world.framework(1, "a");
    world.next_slice();

    world.allocator.remove_agent(AgentId(3));

    assert_eq!(slices(&mut world), [[4]]);
}

#[test]
fn however_much_changes_meanwhile_what_lies_about_gives_way_once_each_agent_had_its_turn() {
    let mut world = cluster(1, 2);
    world.framework(1, "a");
    world.allocate();
    for agent in 2..=6 {
        world.agent(agent, size(1, 1));
    }
    world.framework(2, "b");
    world.wants(2, [want(size(1, 1024), 1, 0)]);
    world.now = Now::from_millis(1_000);

    let mut slices = 0;
    let taken_back = loop {
        slices += 1;
        let slice = world.next_slice();
        assert!(world.allocator.is_behind() && slices < 10, "{slice:?}");
        if let [(_, promise)] = &slice.rescinded[..] {
            break promise.agent;
        }
        for agent in 2..=6 {
            world.agent(agent, size(1, 1 + slices % 2));
        }
    };

    assert_eq!(taken_back, AgentId(1));
}

#[test]
fn nothing_is_taken_back_while_there_are_agents_to_be_looked_at() {
    let mut world = cluster(1, 1);
    world.framework(1, "a");
    world.allocate();
    for agent in 2..=4 {
        // Too small for what is wanted below, but for the last.
        world.agent(agent, size(1, if agent == 4 { 1024 } else { 1 }));
    }
    world.allocator.suppress(super::FrameworkId(1), None);
    world.framework(2, "b");
    world.wants(2, [want(size(1, 1024), 1, 0)]);
    world.now = Now::from_millis(1_000);

    let mut slices = Vec::new();
    while slices.is_empty() || world.allocator.is_behind() {
        let slice = world.next_slice();
        assert_eq!(slice.rescinded, []);
        slices.push(agents(&world, &slice.offers));
    }

    assert_eq!(slices.concat(), [4], "{slices:?}");
}

#[test]
fn a_framework_that_comes_and_wants_nothing_has_no_agent_looked_at() {
    let mut world = cluster(50, 4);
    world.allocate();
    world.framework(1, "a");
    world.allocator.suppress(FrameworkId(1), None);

    assert_eq!(world.allocate().examined, 0);
}
