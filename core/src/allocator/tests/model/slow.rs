//! Who is next, against a slow and obvious allocator, and how fair that is.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::{World, milli, size, want};
use super::ROLES;
use crate::id::FrameworkId;
use crate::resources::{Resources, Share};

/// Frameworks that take whatever there is: who is next is added up from scratch for each offer.
#[derive(Default)]
struct Slow {
    /// Of each framework: its role, what it has, and how often it was chosen.
    frameworks: BTreeMap<u64, (String, Resources, u64)>,
    weights: BTreeMap<String, u32>,
    /// How often each node was chosen.
    chosen: BTreeMap<String, u64>,
    total: Resources,
}

impl Slow {
    /// The nodes that compete under a role, each with the frameworks in it: `path/.` are those of the role itself.
    fn children(&self, path: &str, among: &[u64]) -> BTreeMap<String, Vec<u64>> {
        let mut children: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        for id in among {
            let role = &self.frameworks[id].0;
            if role != path && !role.starts_with(&prefix) {
                continue;
            }
            let child = match role.strip_prefix(&prefix).filter(|_| role != path) {
                Some(rest) => format!("{prefix}{}", rest.split('/').next().unwrap()),
                None => format!("{path}/."),
            };
            children.entry(child).or_default().push(*id);
        }
        children
    }

    fn share(&self, members: impl Iterator<Item = u64>) -> Share {
        let mut sum = Resources::default();
        members.for_each(|id| sum.give(&self.frameworks[&id].1));
        sum.dominant_share(&self.total)
    }

    fn next(&self, path: &str, takers: &[u64]) -> u64 {
        let all: Vec<u64> = self.frameworks.keys().copied().collect();
        let everybody = self.children(path, &all);
        let rank = |(child, _): &(&String, &Vec<u64>)| {
            let weight = self.weights.get(*child).copied().unwrap_or(1).try_into().unwrap();
            let share = self.share(everybody[*child].iter().copied()).per_weight(weight);
            (share, self.chosen.get(*child).copied().unwrap_or(0), (*child).clone())
        };
        let children: Vec<(String, Vec<u64>)> = self.children(path, takers).into_iter().collect();
        let (child, members) =
            (children.iter().map(|(child, members)| (child, members))).min_by_key(rank).expect("somebody takes it");
        if child.ends_with("/.") {
            let rank = |id: &&u64| (self.share(core::iter::once(**id)), self.frameworks[id].2, **id);
            return *members.iter().min_by_key(rank).unwrap();
        }
        let below: Vec<u64> = members.clone();
        // Only those below this child compete further down, but shares are of all.
        self.next(child, &below)
    }

    fn give(&mut self, id: u64, resources: &Resources) {
        let (role, has, grants) = self.frameworks.get_mut(&id).unwrap();
        has.give(resources);
        *grants += 1;
        let mut path = role.clone();
        *self.chosen.entry(format!("{path}/.")).or_default() += 1;
        loop {
            *self.chosen.entry(path.clone()).or_default() += 1;
            match path.rsplit_once('/') {
                Some((above, _)) => path = above.to_string(),
                None => break,
            }
        }
    }
}

proptest! {
    #[test]
    fn whoever_is_next_is_who_a_slow_and_obvious_allocator_chooses(
        roles in prop::collection::vec(0..ROLES.len(), 1..7),
        weights in prop::collection::vec((0..ROLES.len(), 1..4_u32), 0..4),
        agents in prop::collection::vec((1..9_u64, 1..9_u64), 1..12),
        ends in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let (mut world, mut slow) = (World::default(), Slow::default());
        for (at, role) in roles.iter().enumerate() {
            let id = at as u64 + 1;
            world.framework(id, ROLES[*role]);
            slow.frameworks.insert(id, (ROLES[*role].to_string(), Resources::default(), 0));
        }
        for &(role, weight) in &weights {
            world.role(ROLES[role], weight, None);
            slow.weights.insert(ROLES[role].to_string(), weight);
        }
        let mut tasks: Vec<(u64, u64, Resources)> = Vec::new();
        for (at, &(cpus, gib)) in agents.iter().enumerate() {
            let agent = at as u64 + 1;
            let total = size(cpus, gib * 1024);
            world.agent(agent, total.clone());
            slow.total.give(&total);
            let takers: Vec<u64> = slow.frameworks.keys().copied().collect();
            let expected = slow.next("", &takers);
            prop_assert_eq!(world.offered(), Vec::from([(expected, agent, total.clone())]));
            slow.give(expected, &total);
            world.launch(expected, &total);
            prop_assert_eq!(world.offered(), Vec::new());
            tasks.push((expected, agent, total));

            // Something ends: who is next for that?
            if let Some(pick) = ends.get(at) {
                let (id, agent, total) = tasks.swap_remove(pick % tasks.len());
                world.end(id, agent, &total);
                slow.frameworks.get_mut(&id).unwrap().1.take_up_to(&total);
                let expected = slow.next("", &takers);
                prop_assert_eq!(world.offered(), Vec::from([(expected, agent, total.clone())]));
                slow.give(expected, &total);
                world.launch(expected, &total);
                tasks.push((expected, agent, total));
            }
        }
    }

    /// Shares of those that want more are within one task of each other, by weight.
    #[test]
    fn shares_by_demand_are_within_one_task_of_the_ideal(
        weights in prop::collection::vec(1..5_u32, 2..5),
        cores in 8..64_u64,
    ) {
        let mut world = World::default();
        for (at, weight) in weights.iter().enumerate() {
            let role = format!("role{at}");
            world.framework(at as u64 + 1, &role);
            world.role(&role, *weight, None);
            world.wants(at as u64 + 1, [want(milli(1000, 1), 1_000, 0)]);
        }
        world.agent(1, size(cores, 65_536));
        world.allocate();

        let all: u32 = weights.iter().sum();
        for (at, weight) in weights.iter().enumerate() {
            let has = world.allocator.allocated_to(FrameworkId(at as u64 + 1)).cpus.get() as f64 / 1000.0;
            let ideal = cores as f64 * f64::from(*weight) / f64::from(all);
            prop_assert!((has - ideal).abs() <= f64::from(*weight), "{} of {cores} for {weight} of {all}", has);
        }
    }

    /// Strategy-proof in the sense of the DRF paper: who asks for more than it needs runs no more of what it needs.
    #[test]
    fn who_lies_about_a_task_runs_no_more_of_them(
        (own, lie, other) in (1..5_u64, 0..5_u64, 1..5_u64),
        (own_mem, lie_mem, other_mem) in (1..5_u64, 0..5_u64, 1..5_u64),
    ) {
        let tasks = |cpus: u64, gib: u64| {
            let mut world = World::default();
            world.framework(1, "a");
            world.framework(2, "b");
            world.wants(1, [want(size(cpus, gib * 1024), 1_000, 0)]);
            world.wants(2, [want(size(other, other_mem * 1024), 1_000, 0)]);
            world.agent(1, size(60, 60 * 1024));
            world.allocate();
            let has = world.allocator.allocated_to(FrameworkId(1));
            (has.cpus.get() / (own * 1000)).min(has.mem.get() / (own_mem << 30))
        };
        // What is decided last is one task of either: that much is the grain, not a gain.
        let grain = (own + lie + other).div_ceil(own).max((own_mem + lie_mem + other_mem).div_ceil(own_mem));
        prop_assert!(tasks(own + lie, own_mem + lie_mem) <= tasks(own, own_mem) + grain);
    }
}
