use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{World, milli, size, want};
use crate::agent::AgentInfo;
use crate::demand::{Constraint, Test, Want};
use crate::placement::Placement;
use crate::quota::RoleRecord;
use crate::resources::Resources;

fn placed(placement: Placement) -> RoleRecord {
    RoleRecord { placement: Some(placement), ..RoleRecord::default() }
}

impl World {
    fn places(&mut self, role: &str, placement: Placement) {
        self.decide(role, placed(placement));
    }

    /// An agent of which so much is for anybody, and so many cores more are kept for a role without frameworks.
    fn agent_beside(&mut self, id: u64, free: &Resources, kept: u64) {
        let reserved = Some(("kept".into(), size(kept, 1024))).filter(|_| kept > 0).into_iter().collect();
        let resources = size(free.cpus.get() / 1000 + kept, 2048);
        self.agent_like(id, &AgentInfo { resources, reserved, ..AgentInfo::default() });
    }

    /// How many tasks of this size are offered room now, by agent.
    fn units(&mut self, unit: &Resources) -> BTreeMap<u64, u64> {
        let mut units = BTreeMap::new();
        for (_, agent, resources) in self.offered() {
            *units.entry(agent).or_default() += resources.cpus.get() / unit.cpus.get();
        }
        units
    }
}

#[test]
fn binpack_fills_the_agent_on_which_the_least_is_free() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, []);
    for (id, cpus) in [(1, 8), (2, 2), (3, 4)] {
        world.agent(id, size(cpus, 8192));
    }
    assert_eq!(world.offered(), []);

    world.wants(1, [want(size(1, 64), 5, 0)]);

    assert_eq!(world.units(&size(1, 64)), [(2, 2), (3, 3)].into());
}

#[test]
fn spread_takes_of_the_agent_on_which_the_most_is_free() {
    let mut world = World::default();
    world.places("a", Placement::Spread);
    world.framework(1, "a");
    world.wants(1, []);
    for (id, cpus) in [(1, 8), (2, 2), (3, 4)] {
        world.agent(id, size(cpus, 8192));
    }
    assert_eq!(world.offered(), []);

    world.wants(1, [want(size(1, 64), 5, 0)]);

    assert_eq!(world.units(&size(1, 64)), [(1, 4), (3, 1)].into(), "four are left on the one, three on the other");
}

#[test]
fn agents_that_join_together_are_chosen_among_as_idle_ones_are() {
    for (placement, expected) in [(Placement::Binpack, vec![(1, 4)]), (Placement::Spread, vec![(1, 2), (2, 2)])] {
        let mut world = World::default();
        world.places("a", placement);
        world.framework(1, "a");
        world.wants(1, [want(size(1, 64), 4, 0)]);
        world.agent(1, size(4, 8192));
        world.agent(2, size(4, 8192));

        assert_eq!(world.units(&size(1, 64)), expected.into_iter().collect(), "{placement}");
    }
}

#[test]
fn a_role_is_placed_as_the_one_above_unless_it_is_said_otherwise() {
    let spread_over = |role: &str| {
        let mut world = World::default();
        world.places("eng", Placement::Spread);
        world.places("eng/batch", Placement::Binpack);
        world.framework(1, role);
        world.wants(1, [want(size(1, 64), 2, 0)]);
        world.agent(1, size(4, 8192));
        world.agent(2, size(4, 8192));
        world.offered().len()
    };
    assert_eq!(spread_over("eng"), 2);
    assert_eq!(spread_over("eng/web/a"), 2);
    assert_eq!(spread_over("eng/batch"), 1);
    assert_eq!(spread_over("ops"), 1, "by default agents are filled");
}

#[test]
fn a_placement_holds_at_once() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, []);
    world.agent(1, size(4, 8192));
    world.agent(2, size(4, 8192));
    world.places("a", Placement::Spread);
    assert_eq!(world.offered(), []);

    world.wants(1, [want(size(1, 64), 2, 0)]);
    assert_eq!(world.units(&size(1, 64)), [(1, 1), (2, 1)].into());
}

#[test]
fn whoever_chooses_looks_for_what_it_needs() {
    for placement in [Placement::Binpack, Placement::Spread] {
        let mut world = World::default();
        world.places("a", placement);
        world.framework(1, "a");
        world.wants(1, []);
        for id in 1..=9 {
            let attributes = if id == 5 { [("gpu".into(), "a100".into())].into() } else { BTreeMap::new() };
            let info = AgentInfo { name: "a".into(), resources: size(id, 8192), attributes, ..AgentInfo::default() };
            world.agent_like(id, &info);
        }
        world.allocate();
        let gpu = Constraint { attribute: "gpu".into(), test: Test::Exists };

        world.wants(1, [Want { constraints: vec![gpu], ..want(size(1, 64), 2, 0) }]);

        assert_eq!(world.offered(), [(1, 5, size(2, 128))], "{placement}");
    }
}

#[test]
fn whoever_chooses_passes_over_what_is_reserved_for_others() {
    for placement in [Placement::Binpack, Placement::Spread] {
        let mut world = World::default();
        world.places("a", placement);
        world.framework(1, "a");
        world.wants(1, []);
        for (id, cpus, kept) in [(1, 2, 2), (2, 4, 2), (3, 8, 8)] {
            let reserved = [("b".into(), size(kept, 1024))].into();
            let info = AgentInfo { resources: size(cpus, 8192), reserved, ..AgentInfo::default() };
            world.agent_like(id, &info);
        }
        world.allocate();

        world.wants(1, [want(size(1, 64), 3, 0)]);

        assert_eq!(world.offered(), [(1, 2, size(2, 128))], "{placement}");
    }
}

#[test]
fn agents_are_in_the_order_of_what_is_free_on_them_for_whoever_chooses() {
    let chosen_by = |role: &str, placement: Placement| {
        let mut world = World::default();
        world.places("a", placement);
        world.places("b", placement);
        world.framework(1, role);
        world.wants(1, []);
        for (id, cpus, kept) in [(1, 8, Some(("b", 6))), (2, 4, None), (3, 3, Some(("a", 2)))] {
            let reserved = kept.map(|(role, cpus)| (role.into(), size(cpus, 1024))).into_iter().collect();
            let info = AgentInfo { resources: size(cpus, 8192), reserved, ..AgentInfo::default() };
            world.agent_like(id, &info);
        }
        world.allocate();
        world.wants(1, [want(size(1, 64), 1, 0)]);
        world.offered().into_iter().map(|(_, agent, _)| agent).collect::<Vec<u64>>()
    };
    for role in ["a", "a/x"] {
        assert_eq!(chosen_by(role, Placement::Binpack), [1], "two, four and three cores are free for {role}");
        assert_eq!(chosen_by(role, Placement::Spread), [2], "two, four and three cores are free for {role}");
    }
    for role in ["b", "b/x"] {
        assert_eq!(chosen_by(role, Placement::Binpack), [3], "eight, four and one core are free for {role}");
        assert_eq!(chosen_by(role, Placement::Spread), [1], "eight, four and one core are free for {role}");
    }
}

#[test]
fn agents_on_which_all_is_kept_for_others_are_not_looked_at() {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, []);
    for id in 1..=100 {
        let reserved = [("b".into(), size(4, 4096))].into();
        world.agent_like(id, &AgentInfo { resources: size(4, 4096), reserved, ..AgentInfo::default() });
    }
    world.agent(101, size(4, 4096));
    world.allocate();

    world.wants(1, [want(size(1, 64), 5, 0)]);

    let allocation = world.allocate();
    assert_eq!((allocation.offers.len(), allocation.examined), (1, 1));
}

#[test]
fn roles_that_place_differently_have_their_fair_shares() {
    let mut world = World::default();
    world.places("a", Placement::Spread);
    world.places("b", Placement::Binpack);
    for (id, role) in [(1, "a"), (2, "b")] {
        world.framework(id, role);
        world.wants(id, [want(size(1, 64), 100, 0)]);
    }
    for id in 1..=4 {
        world.agent(id, size(4, 8192));
    }

    let mut has = [0, 0];
    for (framework, _, resources) in world.offered() {
        has[framework as usize - 1] += resources.cpus.get() / 1000;
    }

    assert_eq!(has, [8, 8]);
}

#[test]
fn tasks_without_cpus_are_spread_by_memory() {
    let mut world = World::default();
    world.places("a", Placement::Spread);
    world.framework(1, "a");
    world.wants(1, [want(milli(0, 64), 4, 0)]);
    world.agent(1, size(4, 8192));
    world.agent(2, size(4, 8192));

    let offered: Vec<(u64, Resources)> = world.offered().into_iter().map(|(_, agent, has)| (agent, has)).collect();

    assert_eq!(offered, [(1, milli(0, 128)), (2, milli(0, 128))]);
}

#[test]
fn a_task_that_lives_from_a_burst_alone_is_offered_memory_where_no_cpus_are_free() {
    let mut world = World::default();
    world.framework(1, "a");
    world.framework(2, "b");
    world.wants(1, [want(size(4, 64), 1, 0)]);
    world.wants(2, []);
    world.agent(1, size(4, 1024));
    assert_eq!(world.offered(), [(1, 1, size(4, 64))]);
    world.launch(1, &size(4, 64));
    assert_eq!(world.offered(), []);

    world.wants(2, [want(milli(0, 128), 2, 0)]);

    assert_eq!(world.offered(), [(2, 1, milli(0, 256))]);
}

proptest! {
    /// One kind of tasks on agents with as much for it: no agent has two more of them than another one.
    #[test]
    fn spread_is_even_within_one(
        agents in 1..40_u64,
        cores in 1..30_u64,
        waiting in 0..600_u32,
        unit in 1..4_u64,
        join_first in any::<bool>(),
        kept in prop::collection::vec(0..9_u64, 40),
    ) {
        let unit = size(unit, 1);
        let mut world = World::default();
        world.places("a", Placement::Spread);
        world.framework(1, "a");
        world.wants(1, if join_first { Vec::new() } else { vec![want(unit.clone(), waiting, 0)] });
        for id in 1..=agents {
            world.agent_beside(id, &size(cores, 1024), kept[id as usize]);
        }
        let mut units = world.units(&unit);
        if join_first {
            world.wants(1, [want(unit.clone(), waiting, 0)]);
            units = world.units(&unit);
        }

        let counts: Vec<u64> = (1..=agents).map(|id| units.get(&id).copied().unwrap_or(0)).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{counts:?}");
        let fit = agents * (cores * 1000 / unit.cpus.get());
        prop_assert_eq!(counts.iter().sum::<u64>(), fit.min(waiting.into()));
    }

    /// One kind of tasks: no more agents than the smallest of those with room need.
    #[test]
    fn binpack_uses_no_more_agents_than_it_needs(
        agents in 1..40_u64,
        cores in 1..30_u64,
        waiting in 0..600_u32,
        unit in 1..4_u64,
        join_first in any::<bool>(),
        kept in prop::collection::vec(0..9_u64, 40),
    ) {
        let unit = size(unit, 1);
        let mut world = World::default();
        world.framework(1, "a");
        world.wants(1, if join_first { Vec::new() } else { vec![want(unit.clone(), waiting, 0)] });
        for id in 1..=agents {
            world.agent_beside(id, &size(cores, 1024), kept[id as usize]);
        }
        let mut units = world.units(&unit);
        if join_first {
            world.wants(1, [want(unit.clone(), waiting, 0)]);
            units = world.units(&unit);
        }

        let each = cores * 1000 / unit.cpus.get();
        let placed = (agents * each).min(waiting.into());
        prop_assert_eq!(units.values().sum::<u64>(), placed);
        prop_assert_eq!(units.len() as u64, if each == 0 { 0 } else { placed.div_ceil(each) });
    }
}
