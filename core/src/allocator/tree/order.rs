//! Who is next at every level, and by what share each branch of the tree competes.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::super::seat::Seat;
use super::super::share::Place;
use super::{Child, ROOT, RoleId, Tree};
use crate::resources::{Resources, Share};

impl Tree {
    pub(in super::super) fn set_stale(&mut self, id: RoleId) {
        self.stale.insert((Reverse(self.role(id).depth), id));
    }

    pub(in super::super) fn set_all_stale(&mut self) {
        let all: Vec<_> = self.by_path.values().map(|&id| (Reverse(self.role(id).depth), id)).collect();
        self.stale.extend(all);
    }

    /// Moves a framework to another place in its role; `None` when it would take nothing.
    pub(in super::super) fn set_eager(
        &mut self,
        Seat { framework, role: id }: Seat,
        from: &mut Option<Place>,
        to: Option<Place>,
    ) {
        if *from != to {
            self.role_mut(id).eager.move_to(&framework, from, to);
            self.set_stale(id);
        }
    }

    /// Brings the places of roles up to date, from the bottom to the top.
    pub(in super::super) fn rank(&mut self, total: &Resources) {
        let mut next = None;
        while let Some(id) = next.take().or_else(|| self.stale.pop_first().map(|(_, id)| id)) {
            let role = self.roles[id.0].as_mut().expect("a role that is named is there");
            let own = (!role.eager.is_empty()).then(|| (role.own.allocated.dominant_share(total), role.own.grants));
            role.competing.move_to(&Child::Own, &mut role.own_place, own);
            let Some(parent) = role.parent else { continue };
            let place = (!role.competing.is_empty()).then(|| {
                let share = role.budget.account.allocated.dominant_share(total).per_weight(role.weight);
                (share, role.budget.account.grants)
            });
            let is_needy =
                role.budget.quota.as_ref().is_some_and(|quota| !role.budget.consumed().contains(&quota.guarantee));
            let needy_place = place.filter(|_| is_needy);
            if needy_place != role.needy_place {
                self.needy.move_to(&(role.path.clone(), id), &mut role.needy_place, needy_place);
            }
            if place != role.place {
                let (mut from, child) = (role.place, Child::Role(role.path.clone(), id));
                role.place = place;
                self.role_mut(parent).competing.move_to(&child, &mut from, place);
            }
            // Mostly one role changed, and those above it are next.
            match self.stale.is_empty() {
                true => next = Some(parent),
                false => self.set_stale(parent),
            }
        }
    }

    /// Asks the frameworks below a role that would take something, in the order in which they are served, until one answers.
    pub(in super::super) fn ask<T>(&self, id: RoleId, ask: &mut impl FnMut(Seat) -> Option<T>) -> Option<T> {
        let role = self.role(id);
        role.competing.in_order().find_map(|child| match child {
            Child::Own => role.eager.in_order().find_map(|&framework| ask(Seat { framework, role: id })),
            Child::Role(_, below) => self.ask(*below, ask),
        })
    }

    /// The roles whose guarantees are not met, in the order in which they are served.
    pub(in super::super) fn needy(&self) -> impl Iterator<Item = RoleId> {
        self.needy.in_order().map(|&(_, id)| id)
    }

    /// Where a framework of this role stands that has this place in it: one place for each level of the tree, to be compared
    /// from the first on. `None` when it would take nothing.
    pub(in super::super) fn place(&self, id: RoleId, place: Option<Place>) -> Option<impl Ord + use<>> {
        let role = self.role(id);
        let mut levels: Vec<(Place, Child)> = Vec::with_capacity(role.depth + 1);
        levels.push((role.own_place?, Child::Own));
        for (id, role) in self.up_from(id).filter(|(_, role)| role.parent.is_some()) {
            levels.push((role.place?, Child::Role(role.path.clone(), id)));
        }
        levels.reverse();
        Some((levels, place?))
    }

    /// The two branches by which the frameworks of two different roles compete, under the lowest role above both: each a
    /// role, or `None` for the frameworks of that role itself.
    pub(in super::super) fn branches(&self, one: RoleId, other: RoleId) -> (RoleId, Option<RoleId>, Option<RoleId>) {
        let (mut one, mut other) = ((one, None), (other, None));
        while one.0 != other.0 {
            let up = |(id, _): (RoleId, Option<RoleId>)| (self.role(id).parent.unwrap_or(ROOT), Some(id));
            if self.role(one.0).depth >= self.role(other.0).depth {
                one = up(one);
            } else {
                other = up(other);
            }
        }
        (one.0, one.1, other.1)
    }

    /// The share by which a branch competes: a role below `under`, or the frameworks of `under` itself.
    pub(in super::super) fn share_of_branch(&self, under: RoleId, branch: Option<RoleId>, total: &Resources) -> Share {
        match branch {
            Some(id) => {
                let role = self.role(id);
                role.budget.account.allocated.dominant_share(total).per_weight(role.weight)
            }
            None => self.role(under).own.allocated.dominant_share(total),
        }
    }

    /// Where a branch stands under the role in which it competes: one as of [`Self::share_of_branch`]. `None` when nobody in it would
    /// take something.
    pub(in super::super) fn place_of_branch(&self, under: RoleId, branch: Option<RoleId>) -> Option<Place> {
        branch.map_or_else(|| self.role(under).own_place, |id| self.role(id).place)
    }

    /// What share a role would have if all its siblings with frameworks took all they may.
    pub(in super::super) fn fair_share(&self, id: RoleId) -> Share {
        let role = self.role(id);
        let Some(parent) = role.parent else { return Share::new(1, 1) };
        let above = self.role(parent);
        let weight = |id: &RoleId| u64::from(self.role(*id).weight.get());
        let others: u64 =
            above.children.iter().filter(|other| **other != id && self.is_used(**other)).map(weight).sum();
        let own = u64::from(role.weight.get());
        let all = others + own + u64::from(!above.members.is_empty());
        self.fair_share(parent).times(own, all)
    }

    fn is_used(&self, id: RoleId) -> bool {
        let role = self.role(id);
        !role.members.is_empty() || role.children.iter().any(|child| self.is_used(*child))
    }
}
