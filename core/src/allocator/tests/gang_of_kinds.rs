//! Gangs of several kinds of tasks: a way to place them is found where there is one.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::{World, milli, size, want};
use crate::demand::Want;
use crate::resources::Resources;

/// Whether these tasks have a place each in these rooms, by trying all ways.
fn have_places(tasks: &[Resources], rooms: &mut [Resources]) -> bool {
    let Some((task, others)) = tasks.split_first() else { return true };
    (0..rooms.len()).any(|at| {
        let before = rooms[at].clone();
        let found = rooms[at].take(task).is_ok() && have_places(others, rooms);
        rooms[at] = before;
        found
    })
}

fn offers_to_a_gang(wants: &[(Resources, u32)], agents: &[Resources]) -> usize {
    let mut world = World::default();
    world.framework(1, "a");
    let of_gang = |(resources, count): &(Resources, u32)| Want { gang: 1, ..want(resources.clone(), *count, 0) };
    world.wants(1, wants.iter().map(of_gang).collect::<Vec<_>>());
    for (id, total) in (1..).zip(agents) {
        world.agent(id, total.clone());
    }
    world.allocate();
    world.pass(5_000);
    world.allocate();
    world.open(1).len()
}

/// One task with much memory and two with many cores: the largest by cores first would take the agent with much memory.
#[test]
fn tasks_that_are_large_in_different_ways_find_their_places() {
    let wants = [(size(3, 100), 2), (size(1, 4000), 1)];

    let offers = offers_to_a_gang(&wants, &[size(3, 4096), size(4, 512), size(4, 512)]);

    assert_eq!(offers, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_gang_is_offered_room_if_there_is_any_way_to_place_it(
        wants in prop::collection::vec((1..5_u64, 1..5_u64, 1..3_u32), 1..4),
        agents in prop::collection::vec((1..7_u64, 1..7_u64), 1..5),
    ) {
        let mut wants: Vec<(Resources, u32)> =
            wants.into_iter().map(|(cpus, mem, count)| (milli(cpus * 500, mem * 64), count)).collect();
        wants.sort_by_key(|(resources, _)| (resources.cpus, resources.mem));
        wants.dedup_by(|one, other| one.0 == other.0);
        let mut rooms: Vec<Resources> = agents.into_iter().map(|(cpus, mem)| milli(cpus * 500, mem * 64)).collect();
        let tasks: Vec<Resources> =
            wants.iter().flat_map(|(resources, count)| (0..*count).map(move |_| resources.clone())).collect();

        let offers = offers_to_a_gang(&wants, &rooms);

        prop_assert_eq!(offers > 0, have_places(&tasks, &mut rooms));
    }
}
