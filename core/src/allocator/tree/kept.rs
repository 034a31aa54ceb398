//! What of agents is reserved for roles.

use alloc::vec::Vec;

use super::super::room::Budgets;
use super::{RoleId, Tree};
use crate::reservation::Reserved;
use crate::resources::{Ports, Resources};

impl Tree {
    /// Something is reserved for a role on an agent.
    pub(in super::super) fn reserve(&mut self, part: &Reserved) {
        let id = self.make(part.reservation.role());
        self.role_mut(id).parts += 1;
        let counts = usize::from(part.reservation.can_end());
        self.each_above(id, |role| {
            role.reserved.give(&part.resources);
            role.reserved.ports = Ports::default();
            role.parts_below += counts;
        });
    }

    /// It is not any more.
    pub(in super::super) fn unreserve(&mut self, part: &Reserved) {
        let Some(id) = self.find(part.reservation.role()) else { return };
        self.role_mut(id).parts -= 1;
        let counts = usize::from(part.reservation.can_end());
        self.each_above(id, |role| {
            role.reserved.take_up_to(&part.resources);
            role.parts_below -= counts;
        });
        self.prune(id);
    }

    /// More or less is free of what is reserved for a role.
    pub(in super::super) fn change_idle(&mut self, part: &Reserved, change: impl Fn(&mut Resources)) {
        let Some(id) = self.find(part.reservation.role()) else { return };
        self.each_budget(id, |budget| budget.change_idle(&change));
        self.note_shortfall(id);
        self.set_stale(id);
    }

    /// It is added up anew.
    pub(in super::super) fn forget_idle(&mut self) {
        for role in self.roles.iter_mut().flatten() {
            role.budget.idle = Resources::default();
        }
        let ids: Vec<RoleId> = self.by_path.values().copied().collect();
        ids.into_iter().for_each(|id| self.note_shortfall(id));
    }
}
