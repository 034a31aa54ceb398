//! How much quotas leave to a role of what it may use: limits from the role up, and what is kept for others.

use alloc::vec::Vec;
use core::mem;

use super::tree::{Budget, ROOT, RoleId, Tree};
use super::verdict::Stage;
use crate::quantity::{Bytes, MilliCpu};
use crate::quota::Ceiling;
use crate::reservation::Portion;
use crate::resources::Resources;

/// The budgets of all roles: as they are, or as they would be.
pub(super) trait Budgets {
    /// Which roles there are, and how they are one above the other.
    fn tree(&self) -> &Tree;

    fn budget(&self, id: RoleId) -> &Budget;

    fn budget_mut(&mut self, id: RoleId) -> &mut Budget;

    /// Changes the budget of a role and of all above it.
    fn each_budget(&mut self, id: RoleId, change: impl Fn(&mut Budget)) {
        let mut next = Some(id);
        while let Some(id) = next {
            change(self.budget_mut(id));
            next = self.tree().role(id).parent;
        }
    }

    /// Brings up to date what a role, and all above it, are promised and have not.
    fn note_shortfall(&mut self, id: RoleId) {
        let (mut next, mut below_changed) = (Some(id), true);
        while let Some(id) = next {
            next = self.tree().role(id).parent;
            if !below_changed && self.budget(id).quota.is_none() {
                continue;
            }
            let budget = self.budget_mut(id);
            let mut shortfall = budget.own_shortfall();
            shortfall.raise_to(&budget.shortfall_below);
            below_changed = shortfall != budget.shortfall;
            if let Some(parent) = next.filter(|_| below_changed) {
                let before = mem::replace(&mut budget.shortfall, shortfall.clone());
                let above = self.budget_mut(parent);
                above.shortfall_below.take_up_to(&before);
                above.shortfall_below.give(&shortfall);
            } else {
                budget.shortfall = shortfall;
            }
        }
    }

    /// How much more the frameworks of a role may be offered, with so much free on all active agents together.
    fn room(&self, role: RoleId, stage: Stage, free: &Resources) -> Ceiling {
        let mut room = headroom(self, role, free);
        if let Stage::Guarantee(promised) = stage {
            // Of what it is promised and lacks, no more than that; of the rest, what it would get anyway.
            let lacks = self.budget(promised).own_shortfall();
            room.lower(&Ceiling {
                cpus: Some(lacks.cpus).filter(|lacks| !lacks.is_zero()),
                mem: Some(lacks.mem).filter(|lacks| !lacks.is_zero()),
                disk: Some(lacks.disk).filter(|lacks| !lacks.is_zero()),
                scalars: lacks.scalars().map(|(name, amount)| (name.into(), amount)).collect(),
            });
        }
        for (id, _) in self.tree().up_from(role) {
            if let Some(left) = self.budget(id).left() {
                room.lower(&left);
            }
        }
        room
    }

    /// As much of what is free on an agent, and reserved for no other role, as quotas leave to the frameworks of a role.
    ///
    /// What is reserved counts towards its role, and those above, be it used or not: there, using it needs no room. Nothing of it is
    /// kept for others.
    fn room_of(&self, role: RoleId, stage: Stage, free: &Resources, usable: &Portion) -> Portion {
        if usable.reserved.is_empty() {
            let resources = self.room(role, stage, free).cut(&usable.resources);
            return Portion { resources, reserved: Vec::new(), volumes: usable.volumes.clone() };
        }
        let mut limits: Vec<(&str, Ceiling)> =
            self.tree().up_from(role).filter_map(|(id, role)| Some((&*role.path, self.budget(id).left()?))).collect();
        // The room of volumes counts already.
        let mut room = Portion { volumes: usable.volumes.clone(), ..Portion::default() };
        for part in &usable.reserved {
            let is_below = |path: &str| part.reservation.is_for(path) && path != part.reservation.role();
            let mut most = Ceiling::default();
            limits.iter().filter(|(path, _)| is_below(path)).for_each(|(_, left)| most.lower(left));
            let part = Portion::of_one(Some(part.reservation.clone()), most.cut(&part.resources));
            let below = limits.iter_mut().filter(|(path, _)| is_below(path));
            below.for_each(|(_, left)| *left = left.left(&part.resources));
            room.give(&part);
        }
        let mut most = self.room(role, stage, free);
        limits.iter().for_each(|(_, left)| most.lower(left));
        room.give(&Portion::from(most.cut(&usable.unreserved())));
        room
    }
}

/// What of the free resources is not kept for what other roles are promised. Resources of which nothing is kept are not
/// bounded.
fn headroom(budgets: &(impl Budgets + ?Sized), role: RoleId, free: &Resources) -> Ceiling {
    let kept = &budgets.budget(ROOT).shortfall_below;
    if kept.is_empty() {
        return Ceiling::default();
    }
    // What is kept for this role itself is not kept from it.
    let mut below = budgets.budget(role);
    let mut others = below.shortfall_below.clone();
    for (id, _) in budgets.tree().up_from(role).skip(1) {
        let above = budgets.budget(id);
        let mut sum = above.shortfall_below.clone();
        sum.take_up_to(&below.shortfall);
        sum.give(&others);
        others = sum;
        below = above;
    }
    let mut own = kept.clone();
    own.take_up_to(&others);
    let left = |free: u64, kept: u64, own: u64| (kept > 0).then(|| free.saturating_sub(kept).saturating_add(own));
    Ceiling {
        cpus: left(free.cpus.get(), kept.cpus.get(), own.cpus.get()).map(MilliCpu::new),
        mem: left(free.mem.get(), kept.mem.get(), own.mem.get()).map(Bytes::new),
        disk: left(free.disk.get(), kept.disk.get(), own.disk.get()).map(Bytes::new),
        scalars: (kept.scalars())
            .filter_map(|(name, kept)| Some((name.into(), left(free.scalar(name), kept, own.scalar(name))?)))
            .collect(),
    }
}
