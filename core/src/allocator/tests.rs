//! What the allocator decides, as sentences. `S1` and so on are the scenarios of Mesos's own tests.

mod backlog;
mod contest;
mod contest_elsewhere;
mod demand;
mod fairness;
mod gang;
mod gang_of_kinds;
mod gang_work;
mod model;
mod place;
mod quotas;
mod refusals;
mod reserves;
mod revocable;
mod roles;
mod why;
mod worth;

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Allocation, Allocator, Promise};
use crate::agent::AgentInfo;
use crate::demand::Want;
use crate::id::{AgentId, FrameworkId, OfferId};
use crate::quantity::{Bytes, MilliCpu};
use crate::quota::{Ceiling, Quota, RoleRecord};
use crate::reservation::{Portion, Reserved};
use crate::resources::Resources;
use crate::time::Now;

/// Whole cores and MiB.
fn size(cpus: u64, mib: u64) -> Resources {
    milli(cpus * 1000, mib)
}

/// Thousandths of cores, and MiB.
fn milli(cpus: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::new(cpus), Bytes::from_mib(mib), Bytes::ZERO)
}

fn want(resources: Resources, waiting: u32, spare: u32) -> Want {
    Want { resources, constraints: Vec::new(), volumes: Vec::new(), waiting, spare, gang: 0 }
}

fn at_most(most: &Resources) -> Ceiling {
    Ceiling { cpus: Some(most.cpus), mem: Some(most.mem), ..Ceiling::default() }
}

/// A guarantee that is also the limit, as a quota of the first versions of Mesos.
fn exactly(amount: Resources) -> Quota {
    Quota { limit: at_most(&amount), guarantee: amount }
}

fn guarantee(amount: Resources) -> Quota {
    Quota { guarantee: amount, limit: Ceiling::default() }
}

fn limit(amount: &Resources) -> Quota {
    Quota { guarantee: Resources::default(), limit: at_most(amount) }
}

/// An allocator, and what time it is.
#[derive(Default)]
struct World {
    allocator: Allocator,
    now: Now,
    /// How many agents are looked at in one go; `None`: all.
    slice: Option<usize>,
}

impl World {
    fn framework(&mut self, id: u64, role: &str) {
        self.framework_in(id, &[role]);
    }

    fn framework_in(&mut self, id: u64, roles: &[&str]) {
        self.allocator.set_framework(FrameworkId(id), roles);
        self.allocator.set_framework_active(FrameworkId(id), true);
    }

    fn agent(&mut self, id: u64, total: Resources) {
        self.agent_like(id, &AgentInfo { name: AgentId(id).to_string(), resources: total, ..AgentInfo::default() });
    }

    fn agent_like(&mut self, id: u64, info: &AgentInfo) {
        self.allocator.set_agent(AgentId(id), &Arc::new(info.clone()));
        self.allocator.set_agent_active(AgentId(id), true);
    }

    /// The agent is there, and this is reserved on it.
    fn agent_with(&mut self, id: u64, total: Resources, reserved: &[Reserved]) {
        self.agent(id, total);
        self.allocator.reserve(AgentId(id), reserved);
    }

    fn role(&mut self, role: &str, weight: u32, quota: Option<Quota>) {
        let weight = weight.try_into().ok();
        self.decide(role, RoleRecord { weight, quota, ..RoleRecord::default() });
    }

    fn decide(&mut self, role: &str, record: RoleRecord) {
        self.allocator.configure_role(role, record);
    }

    fn wants(&mut self, id: u64, wants: impl Into<Vec<Want>>) {
        self.allocator.demand(FrameworkId(id), None, &wants.into());
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.allocator.expire(self.now);
    }

    /// Until everything that changed has been looked at.
    fn allocate(&mut self) -> Allocation {
        let mut whole = self.next_slice();
        while self.allocator.is_behind() {
            let Allocation { rescinded, offers, examined } = self.next_slice();
            whole.rescinded.extend(rescinded);
            whole.offers.extend(offers);
            whole.examined += examined;
        }
        whole.rescinded.retain(|(offer, _)| !whole.offers.contains(offer));
        whole.offers.retain(|offer| self.allocator.offer(*offer).is_some());
        whole
    }

    fn next_slice(&mut self) -> Allocation {
        self.allocator.allocate_slice(self.now, self.slice.unwrap_or(usize::MAX))
    }

    /// What is offered now, in the order in which it was decided; nothing is taken back.
    fn offers(&mut self) -> Vec<(OfferId, Promise)> {
        let Allocation { offers, rescinded, .. } = self.allocate();
        assert_eq!(rescinded, []);
        offers.into_iter().map(|id| (id, self.allocator.offer(id).expect("it was just made").clone())).collect()
    }

    /// The same, as framework, agent and how much.
    fn offered(&mut self) -> Vec<(u64, u64, Resources)> {
        let plain = |(_, offer): (OfferId, Promise)| (offer.framework.0, offer.agent.0, offer.portion.resources);
        self.offers().into_iter().map(plain).collect()
    }

    /// The frameworks to which something is offered now.
    fn receivers(&mut self) -> Vec<u64> {
        self.offers().into_iter().map(|(_, offer)| offer.framework.0).collect()
    }

    fn open(&self, id: u64) -> Vec<OfferId> {
        self.allocator.offers_to(FrameworkId(id)).into_iter().collect()
    }

    /// The framework declines all it has, and does not want as much for so long.
    fn decline(&mut self, id: u64, refuse_ms: u64) {
        for offer in self.open(id) {
            let Promise { framework, role, agent, portion, .. } = self.allocator.close(offer).expect("it is open");
            self.allocator.free(framework, &role, agent, &portion);
            if refuse_ms > 0 {
                self.allocator.refuse(
                    framework,
                    &role,
                    agent,
                    portion.resources,
                    self.now + Duration::from_millis(refuse_ms),
                );
            }
        }
    }

    /// The framework launches one task of this size on its oldest offer, and gives back the rest.
    fn launch(&mut self, id: u64, task: &Resources) -> Portion {
        let offer = self.open(id)[0];
        let Promise { framework, role, agent, mut portion, .. } = self.allocator.close(offer).expect("it is open");
        let held = portion.take(task).expect("the task fits the offer");
        self.allocator.launched(framework, &role, agent, [(task, Vec::new())], false);
        self.allocator.free(framework, &role, agent, &portion);
        held
    }

    /// A task of a framework ends that is in one role.
    fn end(&mut self, id: u64, agent: u64, task: &Resources) {
        let seats = self.allocator.subscribed(FrameworkId(id), None);
        let role = seats.first().map(|seat| self.allocator.tree.path(seat.role)).unwrap_or_default();
        self.end_in(id, &role, agent, &task.clone().into());
    }

    fn end_in(&mut self, id: u64, role: &str, agent: u64, task: &Portion) {
        self.allocator.free(FrameworkId(id), role, AgentId(agent), task);
    }
}
