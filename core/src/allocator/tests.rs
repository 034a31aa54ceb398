//! What the allocator decides, as sentences. `S1` and so on are the scenarios of Mesos's own tests.

mod contest;
mod demand;
mod fairness;
mod model;
mod place;
mod quotas;
mod refusals;
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
    Want { resources, constraints: Vec::new(), waiting, spare }
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
}

impl World {
    fn framework(&mut self, id: u64, role: &str) {
        self.allocator.set_framework(FrameworkId(id), role);
        self.allocator.set_framework_active(FrameworkId(id), true);
    }

    fn agent(&mut self, id: u64, total: Resources) {
        self.agent_like(id, &AgentInfo { name: AgentId(id).to_string(), resources: total, ..AgentInfo::default() });
    }

    fn agent_like(&mut self, id: u64, info: &AgentInfo) {
        self.allocator.set_agent(AgentId(id), &Arc::new(info.clone()));
        self.allocator.set_agent_active(AgentId(id), true);
    }

    fn role(&mut self, role: &str, weight: u32, quota: Option<Quota>) {
        let weight = weight.try_into().ok();
        self.decide(role, RoleRecord { weight, quota, ..RoleRecord::default() });
    }

    fn decide(&mut self, role: &str, record: RoleRecord) {
        self.allocator.configure_role(role, record);
    }

    fn wants(&mut self, id: u64, wants: impl Into<Vec<Want>>) {
        self.allocator.demand(FrameworkId(id), wants.into());
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.allocator.expire(self.now);
    }

    fn allocate(&mut self) -> Allocation {
        self.allocator.allocate(self.now)
    }

    /// What is offered now, in the order in which it was decided; nothing is taken back.
    fn offers(&mut self) -> Vec<(OfferId, Promise)> {
        let Allocation { offers, rescinded, .. } = self.allocate();
        assert_eq!(rescinded, []);
        offers.into_iter().map(|id| (id, self.allocator.offer(id).expect("it was just made").clone())).collect()
    }

    /// The same, as framework, agent and how much.
    fn offered(&mut self) -> Vec<(u64, u64, Resources)> {
        let plain = |(_, offer): (OfferId, Promise)| (offer.framework.0, offer.agent.0, offer.resources);
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
            let Promise { framework, agent, resources, .. } = self.allocator.close(offer).expect("it is open");
            self.allocator.free(framework, agent, &resources);
            if refuse_ms > 0 {
                self.allocator.refuse(framework, agent, resources, self.now + Duration::from_millis(refuse_ms));
            }
        }
    }

    /// The framework launches one task of this size on its oldest offer, and gives back the rest.
    fn launch(&mut self, id: u64, task: &Resources) {
        let offer = self.open(id)[0];
        let Promise { framework, agent, mut resources, .. } = self.allocator.close(offer).expect("it is open");
        resources.take(task).expect("the task fits the offer");
        self.allocator.launched(framework, agent, [task]);
        self.allocator.free(framework, agent, &resources);
    }

    fn end(&mut self, id: u64, agent: u64, task: &Resources) {
        self.allocator.free(FrameworkId(id), AgentId(agent), task);
    }
}
