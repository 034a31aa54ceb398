//! Random commands, against rules that are written down once more in a slow and obvious way.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::super::seat::Seat;
use super::super::slots::{Rooms, Slots};
use super::super::verdict::Stage;
use super::super::{Allocation, Promise};
use super::{World, guarantee, limit, milli, size, want};
use crate::demand::Want;
use crate::id::{AgentId, FrameworkId};
use crate::placement::Placement;
use crate::quantity::MilliCpu;
use crate::quota::{Quota, RoleRecord};
use crate::reservation::{Operation, Portion, Reserved, is_at_or_below};
use crate::resources::{Resources, Share};
use crate::time::Now;

/// What a task holds that runs on what is idle.
fn revocable(cpus: u64) -> Resources {
    size(0, cpus * 128).with_revocable(MilliCpu::from_cores(cpus))
}

const ROLES: [&str; 6] = ["a", "a/x", "a/y", "b", "b/z", "c"];
const FRAMEWORKS: u64 = 6;
const AGENTS: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    Joins(u64, usize, usize),
    Leaves(u64),
    AgentComes(u64, u64),
    AgentGoes(u64),
    Weighs(usize, u32),
    Limits(usize, Option<u64>),
    Promises(usize, u64),
    Places(usize, Option<bool>),
    OffersAtLeast(usize, Option<u64>),
    Declines(u64, u64),
    Launches(u64, u64),
    Ends(usize),
    Suppresses(u64, Option<usize>),
    Revives(u64, Option<usize>),
    Wants(u64, Option<usize>, Vec<(u64, u32, u32, bool)>, bool),
    Measures(u64, u64),
    Keeps(u64, usize, u64),
    Reserves(u64, usize, Option<usize>, u64),
    Unreserves(u64, usize, u64),
    Passes(u64),
}

fn framework() -> impl Strategy<Value = u64> {
    1..=FRAMEWORKS
}

/// What any framework and agent may do.
fn step() -> impl Strategy<Value = Step> {
    let role = || 0..ROLES.len();
    let of = || prop::option::of(0..ROLES.len());
    let wants = prop::collection::vec((1..5_u64, 0..4_u32, 0..3_u32, prop::bool::weighted(0.3)), 0..3);
    prop_oneof![
        3 => (framework(), role(), role()).prop_map(|(id, one, other)| Step::Joins(id, one, other)),
        1 => framework().prop_map(Step::Leaves),
        4 => (1..=AGENTS, 1..9_u64).prop_map(|(id, cpus)| Step::AgentComes(id, cpus)),
        1 => (1..=AGENTS).prop_map(Step::AgentGoes),
        1 => (role(), 1..4_u32).prop_map(|(role, weight)| Step::Weighs(role, weight)),
        1 => (role(), prop::option::of(0..6_u64)).prop_map(|(role, most)| Step::Limits(role, most)),
        1 => (role(), 0..4_u64).prop_map(|(role, least)| Step::Promises(role, least)),
        1 => (role(), any::<Option<bool>>()).prop_map(|(role, spread)| Step::Places(role, spread)),
        1 => (role(), prop::option::of(0..3_u64)).prop_map(|(role, cpus)| Step::OffersAtLeast(role, cpus)),
        3 => (framework(), 0..300_u64).prop_map(|(id, millis)| Step::Declines(id, millis)),
        4 => (framework(), 1..4_u64).prop_map(|(id, cpus)| Step::Launches(id, cpus)),
        3 => any::<usize>().prop_map(Step::Ends),
        1 => (framework(), of()).prop_map(|(id, of)| Step::Suppresses(id, of)),
        2 => (framework(), of()).prop_map(|(id, of)| Step::Revives(id, of)),
        4 => (framework(), of(), wants, prop::bool::weighted(0.4))
            .prop_map(|(id, of, wants, together)| Step::Wants(id, of, wants, together)),
        3 => (1..=AGENTS, 0..9_u64).prop_map(|(id, cpus)| Step::Measures(id, cpus)),
        1 => (1..=AGENTS, role(), 0..4_u64).prop_map(|(id, role, cpus)| Step::Keeps(id, role, cpus)),
        3 => (1..=AGENTS, role(), of(), 1..4_u64).prop_map(|(id, role, of, cpus)| Step::Reserves(id, role, of, cpus)),
        1 => (1..=AGENTS, role(), 1..4_u64).prop_map(|(id, role, cpus)| Step::Unreserves(id, role, cpus)),
        2 => (1..400_u64).prop_map(Step::Passes),
    ]
}

/// Whose it is, where, how much, and of which role.
type Task = (u64, u64, Portion, String);

/// Who refuses, where, how much, in which role, and until when.
type Refusal = (u64, u64, Resources, String, Now);

/// The world, and what is known of it beside the allocator.
#[derive(Default)]
struct Model {
    world: World,
    tasks: Vec<Task>,
    /// What is reserved on each agent beside its configuration.
    reserved: BTreeMap<u64, Vec<Reserved>>,
    /// Agents that came back with less, or keep other things than before: what was reserved may be in use by others.
    shrank: BTreeSet<u64>,
    refusals: Vec<Refusal>,
    quotas: BTreeMap<usize, Quota>,
    weights: BTreeMap<usize, u32>,
    placements: BTreeMap<usize, Placement>,
    least: BTreeMap<usize, Resources>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        let world = &mut self.world;
        match *step {
            Step::Joins(id, one, other) => {
                // In one role, or in two.
                let mut roles = vec![ROLES[one]];
                roles.extend(Some(ROLES[other]).filter(|other| *other != ROLES[one] && *other > "a/x"));
                for offer in world.open(id) {
                    if !roles.contains(&&*world.allocator.offer(offer).expect("it is open").role) {
                        let Promise { framework, role, agent, portion, .. } = world.allocator.close(offer).unwrap();
                        world.allocator.free(framework, &role, agent, &portion);
                    }
                }
                world.framework_in(id, &roles);
                self.refusals.retain(|refusal| refusal.0 != id);
            }
            Step::Leaves(id) => {
                world.decline(id, 0);
                world.allocator.remove_framework(FrameworkId(id));
                // No id is given twice: what it leaves behind is of nobody who comes later.
                self.tasks.iter_mut().filter(|task| task.0 == id).for_each(|task| task.0 += 1_000);
                self.refusals.retain(|refusal| refusal.0 != id);
            }
            Step::AgentComes(id, cpus) => {
                self.shrank.insert(id);
                world.agent_with(id, size(cpus, cpus * 512), self.reserved.get(&id).map_or(&[][..], |all| all));
            }
            Step::AgentGoes(id) => {
                for offer in world.allocator.offers_of(AgentId(id)) {
                    let Promise { framework, role, agent, portion, .. } = world.allocator.close(offer).unwrap();
                    world.allocator.free(framework, &role, agent, &portion);
                }
                world.allocator.remove_agent(AgentId(id));
                self.refusals.retain(|refusal| refusal.1 != id);
                self.reserved.remove(&id);
                self.shrank.remove(&id);
                // As its tasks are, which it names again when it comes back.
                for (framework, _, portion, role) in self.tasks.extract_if(.., |task| task.1 == id) {
                    world.allocator.free(FrameworkId(framework), &role, AgentId(id), &portion);
                }
            }
            Step::Weighs(role, weight) => {
                self.weights.insert(role, weight);
                self.configure(role);
            }
            Step::Limits(role, most) => {
                let quota = most.map(|cpus| limit(&size(cpus, cpus * 512)));
                self.quotas.remove(&role);
                self.quotas.extend(quota.map(|quota| (role, quota)));
                self.configure(role);
            }
            Step::Promises(role, least) => {
                self.quotas.insert(role, guarantee(size(least, least * 512)));
                self.configure(role);
            }
            Step::Places(role, spread) => {
                self.placements.remove(&role);
                let placement = spread.map(|spread| if spread { Placement::Spread } else { Placement::Binpack });
                self.placements.extend(placement.map(|placement| (role, placement)));
                self.configure(role);
            }
            Step::OffersAtLeast(role, cpus) => {
                self.least.remove(&role);
                self.least.extend(cpus.map(|cpus| (role, milli(cpus * 1000, 64))));
                self.configure(role);
            }
            Step::Declines(id, millis) => {
                for offer in world.open(id) {
                    let offer = world.allocator.offer(offer).expect("it is open");
                    let until = world.now + Duration::from_millis(millis);
                    self.refusals.push((
                        id,
                        offer.agent.0,
                        offer.portion.resources.clone(),
                        offer.role.to_string(),
                        until,
                    ));
                }
                world.decline(id, millis);
            }
            Step::Launches(id, cpus) => {
                let Some(&offer) = world.open(id).first() else { return };
                let offer = world.allocator.offer(offer).expect("it is open").clone();
                let is_revocable = !offer.portion.resources.revocable.is_zero();
                let task = if is_revocable { revocable(cpus) } else { size(cpus, cpus * 128) };
                if offer.portion.resources.contains(&task) {
                    let held = world.launch(id, &task);
                    self.tasks.push((id, offer.agent.0, held, offer.role.to_string()));
                }
            }
            Step::Ends(pick) => {
                if !self.tasks.is_empty() {
                    let (id, agent, task, role) = self.tasks.swap_remove(pick % self.tasks.len());
                    world.end_in(id, &role, agent, &task);
                }
            }
            Step::Suppresses(id, of) => {
                world.allocator.suppress(FrameworkId(id), of.map(|role| ROLES[role]));
                self.forget_refusals(id, of);
            }
            Step::Revives(id, of) => {
                world.allocator.revive(FrameworkId(id), of.map(|role| ROLES[role]));
                self.forget_refusals(id, of);
            }
            Step::Wants(id, of, ref wants, together) => {
                let wants = wants.iter().map(|&(cpus, waiting, spare, is_revocable)| {
                    let resources = if is_revocable { revocable(cpus) } else { size(cpus, cpus * 128) };
                    match together {
                        true => Want { gang: 1, ..want(resources, waiting, 0) },
                        false => want(resources, waiting, spare),
                    }
                });
                world.allocator.demand(FrameworkId(id), of.map(|role| ROLES[role]), &wants.collect::<Vec<_>>());
                self.forget_refusals(id, of);
            }
            Step::Measures(id, cpus) => world.allocator.set_revocable(AgentId(id), MilliCpu::from_cores(cpus)),
            Step::Keeps(id, role, cpus) => {
                // As an agent does that comes back with other flags.
                let Some(holding) = world.allocator.agents.get(&AgentId(id)) else { return };
                let mut info = (*holding.info).clone();
                info.reserved = [(ROLES[role].to_string(), size(cpus, cpus * 128))].into();
                if cpus == 0 {
                    info.reserved.clear();
                }
                if info.check_reserved().is_ok() {
                    self.shrank.insert(id);
                    world.agent_like(id, &info);
                    world.allocator.reserve(AgentId(id), self.reserved.get(&id).map_or(&[][..], |all| all));
                }
            }
            Step::Reserves(id, role, within, cpus) => {
                let (role, within) = (ROLES[role].to_string(), within.map(|role| ROLES[role].to_string()));
                self.operate(id, &Operation::Reserve { role, within, resources: size(cpus, cpus * 128) });
            }
            Step::Unreserves(id, role, cpus) => {
                let role = ROLES[role].to_string();
                self.operate(id, &Operation::Unreserve { role, resources: size(cpus, cpus * 128) });
            }
            Step::Passes(millis) => world.pass(millis),
        }
    }

    /// As an operator does, when it can be done with what is free.
    fn operate(&mut self, id: u64, operation: &Operation) {
        let agent = AgentId(id);
        if operation.check().is_err() || !self.world.allocator.agents.contains_key(&agent) {
            return;
        }
        let mut free = self.world.allocator.free_on(agent);
        let mut reserved = self.reserved.get(&id).cloned().unwrap_or_default();
        if operation.carry_out(&mut free, &mut reserved).is_ok() {
            self.world.allocator.reserve(agent, &reserved);
            assert_eq!(self.world.allocator.free_on(agent).resources, free.resources);
            self.reserved.insert(id, reserved);
        }
    }

    fn forget_refusals(&mut self, id: u64, of: Option<usize>) {
        self.refusals.retain(|refusal| refusal.0 != id || of.is_some_and(|role| ROLES[role] != refusal.3));
    }

    fn configure(&mut self, role: usize) {
        let record = RoleRecord {
            weight: self.weights.get(&role).and_then(|weight| (*weight).try_into().ok()),
            quota: self.quotas.get(&role).cloned(),
            placement: self.placements.get(&role).copied(),
            min_allocatable: self.least.get(&role).cloned(),
        };
        self.world.decide(ROLES[role], record);
    }

    /// No agent has given more than it has, and every sum is what its parts make.
    fn check_books(&self) {
        let allocator = &self.world.allocator;
        let mut of_roles: BTreeMap<String, (Resources, Resources)> = BTreeMap::new();
        for (seat, known) in &allocator.members {
            let path = allocator.tree.path(seat.role);
            let mut offered = Resources::default();
            known.promises.iter().for_each(|offer| offered.give(&allocator.offer(*offer).unwrap().portion.resources));
            let mut held = offered.clone();
            let its = |task: &&Task| task.0 == seat.framework.0 && task.3 == path;
            self.tasks.iter().filter(its).for_each(|task| held.give(&task.2.resources));
            assert_eq!(known.account.allocated, held, "{seat:?}");
            assert_eq!(known.account.promised, offered, "{seat:?}");
            assert!(known.subscribed || !held.is_empty(), "{seat:?} has nothing to do there");
            for (_, role) in allocator.tree.up_from(seat.role) {
                let sums = of_roles.entry(role.path.to_string()).or_default();
                sums.0.give(&known.account.allocated);
                sums.1.give(&known.account.promised);
            }
        }
        for (path, role) in allocator.tree.iter() {
            let (allocated, promised) = of_roles.remove(path).unwrap_or_default();
            assert_eq!((&role.account.allocated, &role.account.promised), (&allocated, &promised), "{path}");
        }
        let (mut free, mut idle, mut slots) = (Resources::default(), Vec::new(), Slots::default());
        for (id, holding) in &allocator.agents {
            let rooms = Rooms::of(holding, &allocator.tree);
            assert_eq!(holding.idle, rooms, "{id}");
            slots.insert(*id, &rooms);
            let mut held = Portion::default();
            self.tasks.iter().filter(|task| task.1 == id.0).for_each(|task| held.give(&task.2));
            for offer in &holding.promises {
                held.give(&allocator.offer(*offer).expect("it is open").portion);
            }
            assert_eq!(holding.allocated, held, "{id}");
            // Each part of it is free or allocated, or the agent came back smaller.
            let left = holding.free();
            for part in &holding.reserved {
                let one = Some(&part.reservation);
                let mut sum = left.of(one).into_owned();
                sum.give(&held.of(one));
                let is_smaller = !holding.has().contains(&held.resources);
                assert!(part.resources.contains(&left.of(one)), "{id}");
                assert!(is_smaller || self.shrank.contains(&id.0) || sum == part.resources, "{id}: {part:?}, {left:?}");
            }
            // What is revocable is beside all that, and may be overused once it became less.
            let (unused, of_it) = (left.resources.revocable, held.resources.revocable);
            assert_eq!(unused, holding.revocable.saturating_sub(of_it), "{id}");
            if holding.active {
                free.give(&left.unreserved());
                idle.extend(left.reserved);
            }
        }
        assert_eq!(allocator.idle, slots);
        if allocator.tree.quotas > 0 {
            assert_eq!(allocator.free, free);
            for (path, role) in allocator.tree.iter() {
                let mut sum = role.account.allocated.clone();
                let its = idle.iter().filter(|part| is_at_or_below(part.reservation.role(), path));
                its.for_each(|part| sum.give(&part.resources));
                assert_eq!(*role.consumed(), sum, "{path}");
            }
        }
    }

    fn shortfall(&self, path: &str) -> Resources {
        let allocator = &self.world.allocator;
        let parent = |other: &str| other.rsplit_once('/').map_or("", |(above, _)| above).to_string();
        let mut sum = Resources::default();
        for (child, _) in allocator.tree.iter().filter(|(other, _)| parent(other) == path) {
            sum.give(&self.shortfall(child));
        }
        let Some(id) = allocator.tree.find(path) else { return sum };
        let role = allocator.tree.role(id);
        let mut own = role.quota.as_ref().map(|quota| quota.guarantee.clone()).unwrap_or_default();
        own.take_up_to(&role.consumed());
        own.raise_to(&sum);
        own
    }

    /// Whether a bound of a role, or what is kept for others, forbids so much.
    fn is_forbidden(&self, role: &str, wanted: &Resources) -> bool {
        let allocator = &self.world.allocator;
        let mut path = role;
        loop {
            if let Some(id) = allocator.tree.find(path)
                && let Some(quota) = &allocator.tree.role(id).quota
                && !quota.limit.left(&allocator.tree.role(id).consumed()).admits(wanted)
            {
                return true;
            }
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
        // What is free afterwards must do for what is missing afterwards, unless it was too little before.
        let kept = self.shortfall("");
        if kept.is_empty() {
            return false;
        }
        let mut after = self.world.allocator.clone();
        let framework = FrameworkId(99);
        after.set_framework(framework, &[role]);
        let id = after.tree.find(role).expect("it has a framework");
        let room = after.tree.room(id, Stage::FairShare, &after.free);
        !room.admits(wanted)
    }

    fn refuses(&self, seat: Seat, agent: u64, wanted: &Resources) -> bool {
        let (now, path) = (self.world.now, self.world.allocator.tree.path(seat.role));
        let is_its = |refusal: &&Refusal| (refusal.0, refusal.1) == (seat.framework.0, agent) && refusal.3 == path;
        let mut holding = self.refusals.iter().filter(is_its).filter(|refusal| now < refusal.4);
        holding.any(|refusal| refusal.2.contains(wanted))
            || self.world.allocator.filters.hold(seat, AgentId(agent), wanted, now).is_some()
    }

    /// Nobody is left out who would take what is free.
    fn check_work_is_conserved(&self) {
        let allocator = &self.world.allocator;
        for (id, known) in allocator.members.iter().filter(|(_, known)| known.active && !known.suppressed) {
            let role = allocator.tree.path(id.role);
            for (agent, holding) in allocator.agents.iter().filter(|(_, holding)| holding.active) {
                let wanted: Vec<Resources> = match &known.demand {
                    None => Vec::from([holding.free().usable(&role).resources.clone().with_revocable(MilliCpu::ZERO)]),
                    Some(demand) => demand
                        .open(super::super::demand::Urgency::Waiting)
                        .map(|(_, want, _)| want.resources.clone())
                        .collect(),
                };
                for wanted in wanted {
                    let fits = holding.free().usable(&role).resources.contains(&wanted);
                    let is_enough = known.demand.is_some() || allocator.is_enough_for(id.role, &wanted);
                    let is_left_out = fits && is_enough && !self.refuses(*id, agent.0, &wanted);
                    // Of a whole agent a part may be allowed.
                    let forbidden =
                        self.is_forbidden(&role, &wanted) || known.demand.is_none() && allocator.tree.quotas > 0;
                    assert!(
                        !is_left_out || forbidden,
                        "{id:?} wants {wanted} of {agent}, where {} is free",
                        holding.free().resources
                    );
                }
            }
        }
    }

    /// No gang of one kind of tasks is left out that has room for all of them, wherever that is.
    fn check_gangs_are_served(&self) {
        let (allocator, now) = (&self.world.allocator, self.world.now);
        for (seat, known) in allocator.members.iter().filter(|(_, known)| known.active && !known.suppressed) {
            let role = allocator.tree.path(seat.role);
            for gang in known.demand.iter().flat_map(|demand| demand.gangs()) {
                let &[(_, wanted, count)] = gang.wants.as_slice() else { continue };
                let (mut fit, mut sum) = (0, Resources::default());
                for (agent, holding) in allocator.agents.iter().filter(|(_, holding)| holding.active) {
                    let mut room = holding.free().usable(&role).resources.clone();
                    let refused = allocator.filters.hold(*seat, *agent, &wanted.resources, now).is_some();
                    while !refused && fit < count && room.take(&wanted.resources).is_ok() {
                        fit += 1;
                        sum.give(&wanted.resources);
                    }
                }
                let is_free = allocator.tree.quotas == 0;
                assert!(fit < count || !is_free, "{seat:?} wants {count} of {}, and there is room", wanted.resources);
            }
        }
    }

    /// Of a gang, nothing is offered but all of it.
    fn check_gangs_are_whole(&self, allocation: &Allocation) {
        let mut offered: BTreeMap<(Seat, u32), u32> = BTreeMap::new();
        for (seat, key, count) in allocation.offers.iter().flat_map(|id| {
            let promise = self.world.allocator.offer(*id).expect("it was just made");
            promise.units.iter().map(|&(key, count)| (promise.seat, key, count))
        }) {
            *offered.entry((seat, key)).or_default() += count;
        }
        for ((seat, key), count) in offered {
            let demand = self.world.allocator.members[&seat].demand.as_ref();
            let wanted = demand.and_then(|demand| demand.of_gang(key));
            assert!(wanted.is_none_or(|wanted| wanted == count), "{seat:?} is offered {count} of {wanted:?}");
        }
    }

    /// Whoever waits has a reason, and whoever does not has none.
    fn check_reasons(&self) {
        let allocator = &self.world.allocator;
        for (id, known) in allocator.members.iter().filter(|(_, known)| known.subscribed) {
            let path = allocator.tree.path(id.role);
            let why = allocator.why(id.framework, &path, self.world.now).expect("it is known");
            if why.since.is_some() {
                assert!(!why.hindrances.is_empty(), "{id:?} waits for no reason: {known:?}");
            } else if known.active && !known.suppressed && !known.promises.is_empty() {
                assert!(why.hindrances.is_empty(), "{id:?} has all it wants: {why:?}");
            }
        }
    }

    /// No role was offered more than it may have.
    fn check_limits(&self, before: &BTreeMap<String, Resources>, allocation: &Allocation) {
        let allocator = &self.world.allocator;
        for (path, role) in allocator.tree.iter() {
            let Some(quota) = &role.quota else { continue };
            let was_within = quota.limit.admits(before.get(path).unwrap_or(&Resources::default()));
            if was_within && allocation.rescinded.is_empty() {
                let has = role.consumed();
                assert!(quota.limit.admits(&has), "{path} has {has}, and may have {}", quota.limit);
            }
        }
    }

    /// Nobody is offered what is revocable who has not asked for it.
    fn check_revocable(&self, allocation: &Allocation) {
        let allocator = &self.world.allocator;
        for promise in allocation.offers.iter().filter_map(|offer| allocator.offer(*offer)) {
            let demand = allocator.members[&promise.seat].demand.as_ref();
            let asks = demand.is_some_and(|demand| demand.wants().any(|want| !want.resources.revocable.is_zero()));
            assert!(asks || promise.portion.resources.revocable.is_zero(), "{promise:?}");
        }
    }

    fn allocate(&mut self) -> Allocation {
        let roles = self.world.allocator.tree.iter();
        let before = roles.map(|(path, role)| (path.to_string(), role.consumed().into_owned())).collect();
        let allocation = self.world.allocate();
        self.check_limits(&before, &allocation);
        self.check_gangs_are_whole(&allocation);
        self.check_revocable(&allocation);
        allocation
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_books_are_right_and_nothing_that_is_wanted_lies_idle(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut model = Model::default();
        for step in &steps {
            model.apply(step);
            model.allocate();
            model.check_books();
            model.check_work_is_conserved();
            model.check_gangs_are_served();
            model.check_reasons();
        }
        // Once nothing moves, there is nothing to do: after offers that were contested, at the latest.
        let settled = (0..FRAMEWORKS).find(|_| model.world.allocate() == Allocation::default());
        prop_assert!(settled.is_some());
    }
}

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
