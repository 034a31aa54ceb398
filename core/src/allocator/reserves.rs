//! What of agents is reserved, and for whom.

use alloc::vec::Vec;

use super::Allocator;
use super::ledger::Holding;
use crate::id::AgentId;
use crate::quota::Ceiling;
use crate::reservation::{Portion, Reserved};
use crate::resources::Resources;

impl Allocator {
    /// What is reserved on an agent beside its own configuration, from now on. What is allocated there stays of the reservation
    /// that it was taken from.
    pub fn reserve(&mut self, agent: AgentId, reserved: &[Reserved]) {
        let Some(holding) = self.agents.get(&agent) else { return };
        if reserved.is_empty() && holding.reserved.is_empty() && holding.info.reserved.is_empty() {
            return;
        }
        self.change_reserved(agent, |holding| holding.info.all_reserved(reserved, holding.kept.as_deref()));
    }

    /// The same, and something that is allocated there becomes of another reservation.
    pub fn reserve_allocated(&mut self, agent: AgentId, reserved: &[Reserved], before: &Portion, after: &Portion) {
        self.change_reserved(agent, |holding| {
            holding.allocated.take_up_to(before);
            holding.allocated.give(after);
            holding.info.all_reserved(reserved, holding.kept.as_deref())
        });
    }

    pub(super) fn reserve_nothing(&mut self, agent: AgentId) {
        if self.agents.get(&agent).is_some_and(|holding| !holding.reserved.is_empty()) {
            self.change_reserved(agent, |holding| {
                holding.volumes.clear();
                holding.kept = None;
                Vec::new()
            });
        }
    }

    pub(super) fn change_reserved(&mut self, agent: AgentId, change: impl FnOnce(&mut Holding) -> Vec<Reserved>) {
        let Some(holding) = self.agents.get(&agent) else { return };
        let mut next = (**holding).clone();
        let reserved = change(&mut next);
        // Roles are there before something is reserved for them, and for as long as it is.
        reserved.iter().for_each(|part| self.tree.reserve(part));
        let before = self.change_holding(agent, |holding| {
            let before = core::mem::replace(holding, Holding { reserved, ..next });
            before.reserved
        });
        for part in before.unwrap_or_default() {
            if let Some(role) = self.tree.find(part.reservation.role()) {
                // Limits may be in nobody's way any more.
                self.note_less(role);
            }
            self.tree.unreserve(&part);
        }
    }

    /// What of an agent neither tasks hold nor open offers promise.
    pub fn free_on(&self, agent: AgentId) -> Portion {
        self.agents.get(&agent).map(|holding| holding.free()).unwrap_or_default()
    }

    /// How many parts of agents are reserved for a role and those below it, beside what agents keep by their configuration.
    pub fn parts_of(&self, role: &str) -> usize {
        self.tree.find(role).map_or(0, |id| self.tree.role(id).parts_below)
    }

    /// The limit of a role, or of one above it, that keeps as much from being reserved for it as there would be `more` in each: what counts
    /// towards the role above, `within`, does so already. Offers could give way.
    pub fn limit_on_reserving(
        &self,
        role: &str,
        within: Option<&str>,
        more: impl Fn(&str) -> Resources,
    ) -> Option<(&str, &Ceiling)> {
        let mut path = Some(role).filter(|_| within != Some(role));
        while let Some(at) = path {
            if let Some(id) = self.tree.find(at)
                && let Some(quota) = &self.tree.role(id).budget.quota
                && !quota.limit.leaves(&self.consumed_without_offers(id), &more(at))
            {
                return Some((&self.tree.role(id).path, &quota.limit));
            }
            // What is of a role above counts there already.
            path = at.rsplit_once('/').map(|(above, _)| above).filter(|above| within != Some(*above));
        }
        None
    }
}

impl Holding {
    /// What of the agent is reserved for roles whose resources somebody in this role may not use.
    pub(super) fn reserved_for_others(&self, role: &str) -> Resources {
        let mut sum = Resources::default();
        let others = self.reserved.iter().filter(|part| !part.reservation.is_for(role));
        others.for_each(|part| sum.give(&part.resources));
        sum
    }

    /// So much of the agent, of whatever somebody in a role may use of what is reserved there and free, first.
    pub(super) fn share_of(&self, role: &str, resources: &Resources) -> Portion {
        let (mut share, mut rest) = (Portion::from(resources.clone()), resources.clone());
        if self.reserved.is_empty() {
            return share;
        }
        for part in self.free().reserved.into_iter().filter(|part| part.reservation.is_for(role)) {
            let mut own = part.resources;
            own.cut_to(&rest);
            rest.take_up_to(&own);
            if !own.is_empty() {
                share.reserved.push(Reserved { reservation: part.reservation, resources: own });
            }
        }
        share
    }
}
