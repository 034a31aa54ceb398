//! Wants that are met together or not at all.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::{Obstacle, Promise, Sight};
use super::{World, guarantee, limit, size, want};
use crate::agent::AgentInfo;
use crate::demand::{Constraint, Test, Want};
use crate::id::{FrameworkId, OfferId};
use crate::placement::Placement;
use crate::quota::RoleRecord;
use crate::resources::Resources;

/// So many tasks of one core each, all at once.
fn gang(tasks: u32) -> Want {
    Want { gang: 1, ..want(size(1, 128), tasks, 0) }
}

/// Agents of one core each.
fn with_places(places: u64) -> World {
    let mut world = World::default();
    (1..=places).for_each(|id| world.agent(id, size(1, 128)));
    world
}

/// The framework launches a task on each of its offers.
fn launch_all(world: &mut World, id: u64) -> Vec<(u64, Resources)> {
    let mut held = Vec::new();
    for offer in world.open(id) {
        let Promise { framework, role, agent, portion, .. } = world.allocator.close(offer).expect("it is open");
        world.allocator.launched(framework, &role, agent, [(&portion.resources, Vec::new())], true);
        held.push((agent.0, portion.resources));
    }
    held
}

fn obstacles(world: &World, id: u64) -> Vec<Obstacle> {
    let role = world.allocator.subscribed(FrameworkId(id), None)[0].role;
    let path = world.allocator.tree.path(role);
    let why = world.allocator.why(FrameworkId(id), &path, world.now, &Sight::ALL).expect("it is known");
    why.hindrances.into_iter().map(|hindrance| hindrance.obstacle).collect()
}

#[test]
fn a_gang_is_offered_nothing_until_there_is_room_for_all_of_it_and_then_all_at_once() {
    let mut world = with_places(2);
    world.framework(1, "a");
    world.wants(1, [gang(3)]);
    assert_eq!(world.offered(), []);
    assert_eq!(obstacles(&world, 1)[0], Obstacle::Gang { tasks: 3, fit: 2 });

    world.agent(3, size(1, 128));

    let offered = world.offered();
    assert_eq!(offered.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(obstacles(&world, 1), []);
    assert_eq!(world.offered(), []);
}

#[test]
fn of_two_gangs_that_need_three_of_four_places_one_runs_and_then_the_other() {
    let mut world = World::default();
    for id in [1, 2] {
        world.framework(id, "a");
        world.wants(id, [gang(3)]);
    }
    (1..=4).for_each(|id| world.agent(id, size(1, 128)));

    let first = world.receivers();
    let (first, second) = if first == [1, 1, 1] { (1, 2) } else { (2, 1) };
    assert_eq!((world.open(first).len(), world.open(second).len()), (3, 0));
    let held = launch_all(&mut world, first);
    assert_eq!(world.offered(), []);
    assert_eq!(obstacles(&world, second)[0], Obstacle::Gang { tasks: 3, fit: 1 });

    let (last, ended) = held.split_last().expect("there are three");
    ended[..1].iter().for_each(|(agent, task)| world.end(first, *agent, task));
    assert_eq!(world.offered(), []);
    ended[1..].iter().chain([last]).for_each(|(agent, task)| world.end(first, *agent, task));
    assert_eq!(world.receivers(), [second, second, second]);
}

#[test]
fn a_gang_that_waits_keeps_nothing_from_others() {
    let mut world = with_places(2);
    world.framework(1, "a");
    world.framework(2, "a");
    world.wants(1, [gang(3)]);
    world.wants(2, [want(size(1, 128), 1, 0)]);

    assert_eq!(world.receivers(), [2]);
}

#[test]
fn a_guarantee_keeps_room_for_a_gang() {
    let mut world = with_places(3);
    world.role("a", 1, Some(guarantee(size(3, 384))));
    world.framework(1, "a");
    world.wants(1, []);
    world.framework(2, "b");
    world.wants(2, [want(size(1, 128), 9, 0)]);
    assert_eq!(world.offered(), []);

    world.wants(1, [gang(3)]);

    assert_eq!(world.receivers(), [1, 1, 1]);
}

#[test]
fn a_limit_below_what_a_gang_needs_is_in_its_way_until_it_is_raised() {
    let mut world = with_places(3);
    world.role("a", 1, Some(limit(&size(2, 1024))));
    world.framework(1, "a");
    world.wants(1, [gang(3)]);
    assert_eq!(world.offered(), []);
    assert!(matches!(obstacles(&world, 1)[0], Obstacle::AtLimit { .. }));

    world.role("a", 1, Some(limit(&size(3, 1024))));

    assert_eq!(world.receivers(), [1, 1, 1]);
}

#[test]
fn tasks_of_several_kinds_are_offered_together_where_each_may_run() {
    let mut world = World::default();
    let gpu = Constraint { attribute: "gpu".to_string(), test: Test::Exists };
    let of = |id: u64, attributes: &[(&str, &str)]| AgentInfo {
        name: id.to_string(),
        resources: size(2, 1024),
        attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        ..AgentInfo::default()
    };
    world.framework(1, "a");
    world.wants(1, [Want { constraints: [gpu].into(), ..gang(1) }, Want { resources: size(2, 256), ..gang(2) }]);
    world.agent_like(1, &of(1, &[]));
    world.agent_like(2, &of(2, &[]));
    assert_eq!(world.offered(), []);

    world.agent_like(3, &of(3, &[("gpu", "2")]));

    let offered: BTreeMap<u64, Resources> = world.offered().into_iter().map(|(_, agent, size)| (agent, size)).collect();
    assert_eq!(offered, [(1, size(2, 256)), (2, size(2, 256)), (3, size(1, 128))].into());
}

#[test]
fn the_tasks_of_a_gang_are_placed_as_its_role_says() {
    for (placement, most) in [(Placement::Binpack, 4), (Placement::Spread, 2)] {
        let mut world = World::default();
        world.decide("a", RoleRecord { placement: Some(placement), ..RoleRecord::default() });
        world.framework(1, "a");
        world.wants(1, [gang(4)]);
        (1..=2).for_each(|id| world.agent(id, size(4, 1024)));

        let offered = world.offered();

        let largest = offered.iter().map(|(.., resources)| resources.cpus.get() / 1000).max();
        assert_eq!(largest, Some(most), "{placement:?}");
    }
}

#[test]
fn a_gang_takes_back_what_others_hold_to_have_room_at_hand() {
    let mut world = with_places(3);
    world.framework(1, "a");
    world.wants(1, [want(size(1, 128), 0, 3)]);
    assert_eq!(world.receivers().len(), 3);
    world.framework(2, "a");
    world.wants(2, [gang(3)]);

    let allocation = world.allocate();

    assert_eq!(allocation.rescinded.len(), 3);
    assert_eq!((world.open(1).len(), world.open(2).len()), (0, 3));
}

#[test]
fn a_gang_takes_nothing_back_that_would_not_be_enough() {
    let mut world = with_places(3);
    world.framework(1, "a");
    world.wants(1, [want(size(1, 128), 0, 3)]);
    world.allocate();
    world.framework(2, "a");
    world.wants(2, [gang(4)]);

    let allocation = world.allocate();

    assert_eq!(allocation.rescinded, []);
    assert_eq!(world.open(1).len(), 3);
}

/// Framework 1 only has room at hand, on the first three agents, and with that what all roles below "a" may have. Three more agents
/// are free, and come first for whoever fills agents one after the other.
fn at_the_limit() -> World {
    let mut world = World::default();
    world.role("a", 1, Some(limit(&size(3, 1024))));
    world.framework(1, "a/x");
    world.wants(1, [want(size(1, 128), 0, 3)]);
    (1..=3).for_each(|id| world.agent(id, size(1, 256)));
    assert_eq!(world.receivers(), [1, 1, 1]);
    (4..=6).for_each(|id| world.agent(id, size(1, 128)));
    world.allocate();
    world
}

#[test]
fn a_gang_takes_back_what_others_hold_up_to_its_limit_though_other_agents_have_room_for_it() {
    let mut world = at_the_limit();
    world.framework(2, "a/y");
    world.wants(2, [gang(3)]);

    let allocation = world.allocate();

    assert_eq!(allocation.rescinded.len(), 3);
    let on = allocation.offers.iter().map(|offer| world.allocator.offer(*offer).expect("it was just made").agent.0);
    assert_eq!(on.collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!((world.open(1).len(), world.open(2).len()), (0, 3));
}

#[test]
fn a_gang_takes_back_as_much_as_its_limit_lacks_and_nothing_of_those_outside_of_it() {
    let mut world = at_the_limit();
    world.framework(3, "b");
    world.wants(3, [want(size(1, 128), 0, 1)]);
    assert_eq!(world.receivers(), [3]);
    world.framework(2, "a/y");
    world.wants(2, [gang(2)]);

    let allocation = world.allocate();

    let from: Vec<u64> = allocation.rescinded.iter().map(|(_, promise)| promise.framework.0).collect();
    assert_eq!(from, [1, 1]);
    assert_eq!((world.open(1).len(), world.open(2).len(), world.open(3).len()), (1, 2, 1));
}

#[test]
fn a_gang_takes_nothing_back_when_its_limit_would_be_in_its_way_all_the_same() {
    let mut world = at_the_limit();
    world.framework(2, "a/y");
    world.wants(2, [gang(4)]);

    let allocation = world.allocate();

    assert_eq!((allocation.rescinded, world.open(1).len()), (Vec::new(), 3));
}

#[test]
fn a_gang_that_declined_is_offered_all_of_it_again_when_its_refusal_ends() {
    let mut world = with_places(3);
    world.framework(1, "a");
    world.wants(1, [gang(3)]);
    world.allocate();
    let offers: Vec<OfferId> = world.open(1);
    assert_eq!(offers.len(), 3);
    world.decline(1, 100);
    assert_eq!(world.offered(), []);

    world.pass(100);

    assert_eq!(world.receivers(), [1, 1, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Gangs of random sizes on a random cluster: no part of one is ever offered, and each of them that could run alone runs
    /// in the end.
    #[test]
    fn gangs_are_offered_whole_and_all_of_them_run_in_the_end(
        agents in prop::collection::vec(1..5_u64, 1..5),
        gangs in prop::collection::vec(1..8_u32, 1..6),
    ) {
        let mut world = World::default();
        for (id, tasks) in (1..).zip(&gangs) {
            world.framework(id, if id % 2 == 0 { "a" } else { "b" });
            world.wants(id, [gang(*tasks)]);
        }
        for (id, cpus) in (1..).zip(&agents) {
            world.agent(id, size(*cpus, cpus * 128));
        }
        let places: u64 = agents.iter().sum();
        let mut left: Vec<(u64, u64)> = (1..).zip(gangs.iter().map(|tasks| u64::from(*tasks))).collect();
        left.retain(|(_, tasks)| *tasks <= places);

        while !left.is_empty() {
            world.allocate();
            let mut running = Vec::new();
            for &(id, tasks) in &left {
                let offers = world.open(id);
                let offered: u64 = offers
                    .iter()
                    .map(|offer| world.allocator.offer(*offer).expect("it is open").portion.resources.cpus.get() / 1000)
                    .sum();
                prop_assert!(offered == 0 || offered == tasks, "{id} is offered {offered} of {tasks}");
                if offered > 0 {
                    running.push(id);
                }
            }
            prop_assert!(!running.is_empty(), "nobody is offered anything: {left:?} in {places}");
            for id in running {
                for offer in world.open(id) {
                    let Promise { framework, role, agent, portion, .. } = world.allocator.close(offer).expect("it is open");
                    let tasks = portion.resources.cpus.get() / 1000;
                    let task = size(1, 128);
                    world.allocator.launched(framework, &role, agent, (0..tasks).map(|_| (&task, Vec::new())), true);
                    world.allocator.free(framework, &role, agent, &portion);
                }
                left.retain(|(other, _)| *other != id);
            }
        }
    }
}
