//! What quotas kept from somebody, to be looked at again once they do not any more.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;

use super::Allocator;
use super::demand::WantKey;
use super::seat::Seat;
use super::tree::{ROOT, Role, RoleId};
use crate::id::AgentId;
use crate::resources::Resources;

/// What was in the way in one look at one agent.
#[derive(Default)]
pub(super) struct Bounds {
    /// What is kept for others.
    pub(super) kept: bool,
    /// The limits of these roles.
    pub(super) limits: Vec<RoleId>,
    /// What there would have been room for.
    pub(super) wants: Vec<(Seat, WantKey)>,
}

/// The same over all agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeldBack {
    /// Agents of which something was kept for others.
    agents: BTreeSet<AgentId>,
    /// Roles whose limits were in somebody's way.
    roles: BTreeSet<RoleId>,
    /// What was free and not kept then.
    surplus: Resources,
}

impl Allocator {
    pub(super) fn note_bounds(&mut self, agent: AgentId, bounds: Bounds) {
        if bounds.kept {
            self.held_back.agents.insert(agent);
        }
        self.held_back.roles.extend(bounds.limits);
        for (seat, key) in bounds.wants {
            if let Some(demand) = self.members.get_mut(&seat).and_then(|known| known.demand.as_mut()) {
                demand.note_beyond_quotas(key, agent);
            }
        }
    }

    pub(super) fn forget_bounds(&mut self, agent: AgentId) {
        self.held_back.agents.remove(&agent);
    }

    /// A role has less than before: limits above it may be in nobody's way any more, and more may be kept for it.
    pub(super) fn note_less(&mut self, role: RoleId) {
        if self.held_back.roles.is_empty() && self.held_back.agents.is_empty() {
            return;
        }
        let is_kept_for = |role: &Role| role.budget.quota.as_ref().is_some_and(|quota| !quota.guarantee.is_empty());
        let is_concerned = |&(id, role): &(RoleId, &Role)| {
            self.held_back.roles.contains(&id) || is_kept_for(role) && !self.held_back.agents.is_empty()
        };
        // The highest of them has all the others below.
        let Some((id, _)) = self.tree.up_from(role).filter(is_concerned).last() else { return };
        let is_eager = |seat: &Seat| self.members.get(seat).is_some_and(|known| known.place.is_some());
        let eager: Vec<Seat> = self.tree.members_below(id).into_iter().filter(is_eager).collect();
        eager.iter().for_each(|seat| self.gangs.get_mut().forget_bound(*seat));
        self.woken.extend(eager);
        let path: Vec<RoleId> = self.tree.up_from(role).map(|(id, _)| id).collect();
        self.held_back.roles.retain(|id| !path.contains(id));
    }

    /// With more that is free and not kept than when they were last looked at, agents are looked at again.
    pub(super) fn look_again(&mut self) {
        if self.held_back.agents.is_empty() {
            return;
        }
        if !self.held_back.surplus.contains(&self.surplus()) {
            self.dirty_agents.append(&mut self.held_back.agents);
        }
    }

    /// Notes what is free and not kept, for [`Self::look_again`].
    pub(super) fn note_surplus(&mut self) {
        self.held_back.surplus = if self.held_back.agents.is_empty() { Resources::default() } else { self.surplus() };
    }

    fn surplus(&self) -> Resources {
        let mut surplus = self.free.clone();
        surplus.take_up_to(&self.tree.role(ROOT).budget.shortfall_below);
        surplus
    }

    /// Quotas have changed: whatever they kept from somebody is looked at again.
    pub(super) fn forget_all_bounds(&mut self) {
        mem::take(&mut self.held_back);
    }
}
