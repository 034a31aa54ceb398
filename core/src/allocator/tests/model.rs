//! Random commands, against rules that are written down once more in a slow and obvious way.

mod checks;
mod slow;
mod steps;
mod volumes;
mod without;

use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::Allocation;
use super::{World, guarantee, size};
use crate::id::AgentId;
use crate::reservation::Portion;

use steps::{Model, step};

const ROLES: [&str; 6] = ["a", "a/x", "a/y", "b", "b/z", "c"];
const FRAMEWORKS: u64 = 6;
const AGENTS: u64 = 4;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_books_are_right_and_nothing_that_is_wanted_lies_idle(
        steps in prop::collection::vec(step(), 1..60),
        slice in prop_oneof![Just(None), (1..4_usize).prop_map(Some)],
    ) {
        let mut model = Model::default();
        model.world.slice = slice;
        for step in &steps {
            model.apply(step);
            model.allocate();
            model.check_books();
            model.check_volumes();
            model.check_work_is_conserved();
            model.check_gangs_are_served();
            model.check_reasons();
            model.check_what_quotas_would_leave();
            model.check_what_quotas_keep_is_known();
        }
        // Once nothing moves, there is nothing to do: after offers that were contested, at the latest. Only a gang that waits is looked
        // for each time, where a look costs little.
        let settled = (0..FRAMEWORKS).find(|_| {
            let Allocation { rescinded, offers, examined } = model.world.allocate();
            rescinded.is_empty() && offers.is_empty() && (examined == 0 || model.does_a_gang_wait())
        });
        prop_assert!(settled.is_some());
    }
}

/// The free resources of an agent that is not active are nobody's.
#[test]
fn what_is_free_counts_active_agents_alone() {
    let mut world = World::default();
    world.role("a", 1, Some(guarantee(size(1, 64))));
    world.agent(1, size(4, 1024));
    world.agent(2, size(2, 1024));
    world.allocator.set_agent_active(AgentId(2), false);
    let free: Vec<Portion> = world.allocator.agents.values().map(|holding| holding.free()).collect();
    assert_eq!((world.allocator.free.clone(), free.len()), (size(4, 1024), 2));
}
