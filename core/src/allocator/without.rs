//! What quotas would leave to somebody without some of the open offers.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Allocator;
use super::promises::Promise;
use super::room::Budgets;
use super::seat::Seat;
use super::tree::{Budget, RoleId, Tree};
use super::verdict::Stage;
use crate::id::OfferId;
use crate::reservation::{Portion, Reserved};
use crate::resources::Resources;

/// Budgets and what is free, as they would be.
struct Without<'a> {
    tree: &'a Tree,
    /// Those that would be others: of the roles of the offers, and of all above these.
    changed: BTreeMap<RoleId, Budget>,
    free: Resources,
}

impl Budgets for Without<'_> {
    fn tree(&self) -> &Tree {
        self.tree
    }

    fn budget(&self, id: RoleId) -> &Budget {
        self.changed.get(&id).unwrap_or_else(|| self.tree.budget(id))
    }

    fn budget_mut(&mut self, id: RoleId) -> &mut Budget {
        self.changed.entry(id).or_insert_with(|| self.tree.budget(id).clone())
    }
}

impl<'a> Without<'a> {
    fn new(allocator: &'a Allocator) -> Self {
        Self { tree: &allocator.tree, changed: BTreeMap::new(), free: allocator.free.clone() }
    }

    /// What is taken from a role may be kept for it from then on.
    fn take_back(&mut self, promise: &Promise) {
        let Portion { resources, reserved, .. } = &promise.portion;
        self.free.give(&promise.portion.unreserved());
        self.each_part(reserved, Resources::give);
        self.change(promise.seat.role, |budget| budget.account.take(resources));
    }

    /// It stays open after all.
    fn leave(&mut self, promise: &Promise) {
        let Portion { resources, reserved, .. } = &promise.portion;
        self.free.take_up_to(&promise.portion.unreserved());
        self.each_part(reserved, Resources::take_up_to);
        self.change(promise.seat.role, |budget| budget.account.give(resources));
    }

    fn each_part(&mut self, reserved: &[Reserved], change: impl Fn(&mut Resources, &Resources)) {
        for part in reserved {
            if let Some(role) = self.tree.find(part.reservation.role()) {
                self.change(role, |budget| budget.change_idle(|idle| change(idle, &part.resources)));
            }
        }
    }

    fn change(&mut self, role: RoleId, change: impl Fn(&mut Budget)) {
        self.each_budget(role, change);
        self.note_shortfall(role);
    }

    fn have_room(&self, seat: Seat, unit: &Resources, usable: &Portion) -> bool {
        self.room_of(seat.role, Stage::FairShare, &self.free, usable).resources.contains(unit)
    }
}

impl Allocator {
    /// Whether quotas leave a framework this much, once these offers are taken back.
    pub(super) fn may_have(&self, seat: Seat, unit: &Resources, usable: &Portion, offers: &[OfferId]) -> bool {
        self.enough_offers(seat, unit, usable, offers.to_vec(), &[]).is_some()
    }

    /// These offers, and with them as many of `others` as are in the way in quotas alone, the first of them first; `None` when quotas
    /// would not leave a framework this much without all of them.
    pub(super) fn enough_offers(
        &self,
        seat: Seat,
        unit: &Resources,
        usable: &Portion,
        mut offers: Vec<OfferId>,
        others: &[OfferId],
    ) -> Option<Vec<OfferId>> {
        if self.tree.quotas == 0 {
            return Some(offers);
        }
        let mut quotas = Without::new(self);
        offers.iter().filter_map(|&offer| self.promises.get(offer)).for_each(|promise| quotas.take_back(promise));
        let mut also: Vec<(OfferId, &Promise)> = Vec::new();
        let mut others = others.iter().filter_map(|&offer| Some((offer, self.promises.get(offer)?)));
        while !quotas.have_room(seat, unit, usable) {
            let (offer, promise) = others.next()?;
            quotas.take_back(promise);
            also.push((offer, promise));
        }
        // Some of them may have made no room.
        also.retain(|(_, promise)| {
            quotas.leave(promise);
            let is_needed = !quotas.have_room(seat, unit, usable);
            if is_needed {
                quotas.take_back(promise);
            }
            is_needed
        });
        offers.extend(also.iter().map(|(offer, _)| *offer));
        Some(offers)
    }
}

#[cfg(test)]
mod tests;
