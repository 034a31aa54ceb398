//! What any framework, agent and operator may do, to the allocator and to what is known of it beside.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::super::super::Promise;
use super::super::{World, guarantee, limit, milli, size, want};
use super::volumes::Held;
use super::{AGENTS, FRAMEWORKS, ROLES};
use crate::attributes::HOSTNAME;
use crate::demand::{Constraint, Test, Want};
use crate::id::{AgentId, FrameworkId};
use crate::placement::Placement;
use crate::quantity::{Bytes, MilliCpu};
use crate::quota::{Quota, RoleRecord};
use crate::reservation::{Operation, Portion, Reserved};
use crate::resources::Resources;
use crate::time::Now;

/// What a task holds that runs on what is idle.
fn revocable(cpus: u64) -> Resources {
    size(0, cpus * 128).with_revocable(MilliCpu::from_cores(cpus))
}

#[derive(Clone, Debug)]
pub(super) enum Step {
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
    Wants(u64, Option<usize>, Vec<(u64, u32, u32, bool, bool)>, bool, Option<usize>),
    Measures(u64, u64),
    Keeps(u64, usize, u64),
    Reserves(u64, usize, Option<usize>, u64),
    Unreserves(u64, usize, u64),
    Makes(u64, usize, bool),
    Destroys(usize),
    Shares(usize, bool),
    Confirms(usize, bool),
    Passes(u64),
}

fn framework() -> impl Strategy<Value = u64> {
    1..=FRAMEWORKS
}

/// What any framework and agent may do.
pub(super) fn step() -> impl Strategy<Value = Step> {
    let role = || 0..ROLES.len();
    let of = || prop::option::of(0..ROLES.len());
    let seldom = || prop::bool::weighted(0.3);
    let wants = prop::collection::vec((1..5_u64, 0..4_u32, 0..3_u32, seldom(), seldom()), 0..3);
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
        4 => (framework(), of(), wants, prop::bool::weighted(0.4), prop::option::weighted(0.3, any::<usize>()))
            .prop_map(|(id, of, wants, together, volume)| Step::Wants(id, of, wants, together, volume)),
        2 => (1..=AGENTS, role(), any::<bool>()).prop_map(|(id, role, shared)| Step::Makes(id, role, shared)),
        1 => any::<usize>().prop_map(Step::Destroys),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, shared)| Step::Shares(pick, shared)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, there)| Step::Confirms(pick, there)),
        3 => (1..=AGENTS, 0..9_u64).prop_map(|(id, cpus)| Step::Measures(id, cpus)),
        1 => (1..=AGENTS, role(), 0..4_u64).prop_map(|(id, role, cpus)| Step::Keeps(id, role, cpus)),
        3 => (1..=AGENTS, role(), of(), 1..4_u64).prop_map(|(id, role, of, cpus)| Step::Reserves(id, role, of, cpus)),
        1 => (1..=AGENTS, role(), 1..4_u64).prop_map(|(id, role, cpus)| Step::Unreserves(id, role, cpus)),
        2 => (1..400_u64).prop_map(Step::Passes),
    ]
}

/// Of each agent, in MiB.
const DISK: u64 = 1024;

/// Whose it is, where, how much, and of which role.
pub(super) type Task = (u64, u64, Portion, String);

/// Who refuses, where, how much, in which role, and until when.
pub(super) type Refusal = (u64, u64, Resources, String, Now);

/// The world, and what is known of it beside the allocator.
#[derive(Default)]
pub(super) struct Model {
    pub(super) world: World,
    pub(super) tasks: Vec<Task>,
    /// What is reserved on each agent beside its configuration.
    pub(super) reserved: BTreeMap<u64, Vec<Reserved>>,
    /// Agents that came back with less, or keep other things than before: what was reserved may be in use by others.
    pub(super) shrank: BTreeSet<u64>,
    pub(super) volumes: Held,
    pub(super) refusals: Vec<Refusal>,
    pub(super) quotas: BTreeMap<usize, Quota>,
    pub(super) weights: BTreeMap<usize, u32>,
    pub(super) placements: BTreeMap<usize, Placement>,
    pub(super) least: BTreeMap<usize, Resources>,
}

impl Model {
    pub(super) fn apply(&mut self, step: &Step) {
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
                let mut total = size(cpus, cpus * 512);
                total.disk = Bytes::from_mib(DISK);
                world.agent_with(id, total, self.reserved.get(&id).map_or(&[][..], |all| all));
            }
            Step::AgentGoes(id) => {
                for offer in world.allocator.offers_of(AgentId(id)) {
                    let Promise { framework, role, agent, portion, .. } = world.allocator.close(offer).unwrap();
                    world.allocator.free(framework, &role, agent, &portion);
                }
                world.allocator.remove_agent(AgentId(id));
                self.volumes.forget(id);
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
                    let held = self.launch(id, &task);
                    self.tasks.push((id, offer.agent.0, held, offer.role.to_string()));
                }
            }
            Step::Ends(pick) => {
                if !self.tasks.is_empty() {
                    let (id, agent, task, role) = self.tasks.swap_remove(pick % self.tasks.len());
                    world.end_in(id, &role, agent, &task);
                    world.allocator.volumes_freed(AgentId(agent), &task.volumes);
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
            Step::Wants(id, of, ref wants, together, volume) => {
                let volumes = Vec::from_iter(volume.and_then(|pick| self.volumes.pick(pick)));
                let wants = wants.iter().map(|&(cpus, waiting, spare, is_revocable, keeps_away)| {
                    let resources = if is_revocable { revocable(cpus) } else { size(cpus, cpus * 128) };
                    let (volumes, away) = (volumes.clone(), Test::NotEquals(AgentId(1).to_string()));
                    let away = Constraint { attribute: HOSTNAME.to_string(), test: away };
                    let constraints = Vec::from_iter(Some(away).filter(|_| keeps_away));
                    match together {
                        true => Want { gang: 1, volumes, constraints, ..want(resources, waiting, 0) },
                        false => Want { volumes, constraints, ..want(resources, waiting, spare) },
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
            Step::Makes(id, role, shared) => self.make_volume(id, ROLES[role], shared),
            Step::Destroys(pick) => self.destroy_volume(pick),
            Step::Shares(pick, shared) => self.share_volume(pick, shared),
            Step::Confirms(pick, there) => self.confirm_volume(pick, there),
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
}
