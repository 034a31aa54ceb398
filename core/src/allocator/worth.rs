//! The least that makes an offer to a framework that has not said what it wants: of the whole cluster, or of a role.

use super::Allocator;
use super::tree::RoleId;
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;

/// The least processor time or memory: Mesos's `MIN_CPUS` and `MIN_MEM`. With less of both than this, the message costs more
/// than a task that small is worth.
const LEAST: (MilliCpu, Bytes) = (MilliCpu::new(10), Bytes::from_mib(32));

/// Whether a task could be launched on this, for a role of which nothing else is said: it needs some of both, and enough of one
/// of them.
pub(super) fn is_worth_offering(free: &Resources) -> bool {
    let (cpus, mem) = LEAST;
    !free.cpus.is_zero() && !free.mem.is_zero() && (free.cpus >= cpus || free.mem >= mem)
}

impl Allocator {
    /// Whether this much makes an offer to a framework in this role: all of the least of the role, or of the nearest role above
    /// that has one.
    pub(super) fn is_enough_for(&self, role: RoleId, free: &Resources) -> bool {
        match self.least_of(role) {
            Some(least) => !free.is_empty() && free.contains(least),
            None => is_worth_offering(free),
        }
    }

    /// What makes an offer to a framework in this role for certain.
    pub(super) fn least_needed(&self, role: RoleId) -> Resources {
        let (cpus, mem) = LEAST;
        self.least_of(role).cloned().unwrap_or_else(|| Resources::new(cpus, mem, Bytes::ZERO))
    }

    /// Whether this much may make an offer to some framework that has not said what it wants.
    pub(super) fn is_enough_for_some(&self, free: &Resources) -> bool {
        is_worth_offering(free) || self.tree.minima > 0 && !free.is_empty()
    }

    /// The least that makes an offer to a role, where an operator has said so.
    pub(super) fn least_of(&self, role: RoleId) -> Option<&Resources> {
        if self.tree.minima == 0 {
            return None;
        }
        self.tree.up_from(role).find_map(|(_, role)| role.min_allocatable.as_ref())
    }
}
