//! What is worth offering to whom.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use crate::id::{AgentId, FrameworkId};
use crate::planted::{self, Bug};
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;
use crate::time::Now;

/// The least processor time or memory that makes an offer: Mesos's `MIN_CPUS` and `MIN_MEM`. With less of both
/// than this, the message costs more than a task that small is worth.
const WORTH_OFFERING: (MilliCpu, Bytes) = (MilliCpu::new(10), Bytes::from_mib(32));

/// Refusals kept for one framework on one agent. A framework that refuses more sizes than these within their
/// time is asked again early, which costs a message.
pub(super) const REFUSALS_MAX: usize = 8;

/// Whether a task could be launched on this: it needs some of both, and enough of one of them.
pub(super) fn is_worth_offering(free: &Resources) -> bool {
    let (cpus, mem) = WORTH_OFFERING;
    !free.cpus.is_zero() && !free.mem.is_zero() && (free.cpus >= cpus || free.mem >= mem)
}

/// What frameworks have refused, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    refused: BTreeMap<(FrameworkId, AgentId), Vec<Refused>>,
    deadlines: BTreeSet<(Now, FrameworkId, AgentId)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    resources: Resources,
    until: Now,
}

impl Filters {
    /// Whether the framework has refused as much as this, or more, and its refusal lasts.
    pub(super) fn hold(&self, framework: FrameworkId, agent: AgentId, free: &Resources, now: Now) -> bool {
        let refused = self.refused.get(&(framework, agent)).map_or(&[][..], Vec::as_slice);
        refused
            .iter()
            .any(|refused| (now < refused.until || planted::is(Bug::FilterKept)) && refused.resources.contains(free))
    }

    pub(super) fn add(&mut self, framework: FrameworkId, agent: AgentId, resources: Resources, until: Now) {
        let refused = self.refused.entry((framework, agent)).or_default();
        for old in refused.iter() {
            self.deadlines.remove(&(old.until, framework, agent));
        }
        refused.retain(|old| old.until > until || !resources.contains(&old.resources));
        if refused.len() == REFUSALS_MAX {
            let first = refused.iter().enumerate().min_by_key(|(_, old)| old.until).map_or(0, |(index, _)| index);
            refused.swap_remove(first);
        }
        refused.push(Refused { resources, until });
        self.deadlines.extend(refused.iter().map(|kept| (kept.until, framework, agent)));
    }

    pub(super) fn clear_framework(&mut self, framework: FrameworkId) {
        let its = (framework, AgentId(0))..=(framework, AgentId(u64::MAX));
        for ((_, agent), refused) in self.refused.extract_if(its, |_, _| true) {
            for refused in refused {
                self.deadlines.remove(&(refused.until, framework, agent));
            }
        }
    }

    pub(super) fn clear_agent(&mut self, agent: AgentId) {
        self.refused.retain(|&(_, on), _| on != agent);
        self.deadlines.retain(|&(_, _, on)| on != agent);
    }

    #[cfg(test)]
    pub(super) fn refusals(&self) -> usize {
        self.refused.values().map(Vec::len).sum()
    }

    pub(super) fn next_deadline(&self) -> Option<Now> {
        self.deadlines.first().map(|&(until, _, _)| until)
    }

    /// Drops what ends at `now` or earlier; the agents that are worth another look.
    pub(super) fn expire(&mut self, now: Now) -> BTreeSet<AgentId> {
        let later = self.deadlines.split_off(&(now, FrameworkId(u64::MAX), AgentId(u64::MAX)));
        let over = mem::replace(&mut self.deadlines, later);
        for &(_, framework, agent) in &over {
            if let Some(refused) = self.refused.get_mut(&(framework, agent)) {
                refused.retain(|refused| now < refused.until || planted::is(Bug::FilterKept));
                if refused.is_empty() {
                    self.refused.remove(&(framework, agent));
                }
            }
        }
        over.into_iter().map(|(_, _, agent)| agent).collect()
    }
}
