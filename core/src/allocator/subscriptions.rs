//! In which roles frameworks are, and what they want there.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::demand::Demand;
use super::ledger::Account;
use super::patience::Patience;
use super::seat::Seat;
use super::{Allocator, Member};
use crate::demand::Want;
use crate::id::FrameworkId;

impl Allocator {
    /// A framework is in these roles from now on, and in no other. It is offered something once it is active. Its offers for
    /// roles that it leaves are to be closed before; what it holds there counts there until it is freed.
    pub fn set_framework(&mut self, framework: FrameworkId, roles: &[impl AsRef<str>]) {
        let is_active = self.members.range(Seat::all_of(framework)).any(|(_, known)| known.active);
        for seat in self.subscribed(framework, None) {
            let path = self.tree.path(seat.role);
            if !roles.iter().any(|role| role.as_ref() == path) {
                self.leave(seat, &path);
            }
        }
        for role in roles {
            let seat = Seat { framework, role: self.tree.join(role.as_ref(), framework) };
            let known = self.members.entry(seat).or_insert_with(|| Member::new(true));
            let is_new = !core::mem::replace(&mut known.subscribed, true) || known.active != is_active;
            known.active = is_active;
            if is_new {
                self.woken.insert(seat);
            }
            self.unranked.insert(seat);
        }
    }

    /// Whether a framework can be offered anything. Whatever it refused, suppressed or said that it wants is forgotten, as
    /// its next instance may think otherwise.
    pub fn set_framework_active(&mut self, framework: FrameworkId, active: bool) {
        for seat in self.subscribed(framework, None) {
            if let Some(known) = self.members.get_mut(&seat) {
                known.active = active;
            }
        }
        self.revive(framework, None);
    }

    /// Forgets a framework with its refusals. Its offers are to be closed before. What it holds on agents stays allocated
    /// there until it is freed.
    pub fn remove_framework(&mut self, framework: FrameworkId) {
        self.set_framework_active(framework, false);
        self.rank();
        let seats: Vec<Seat> = self.members.range(Seat::all_of(framework)).map(|(&seat, _)| seat).collect();
        seats.into_iter().for_each(|seat| self.forget(seat));
    }

    /// Offers nothing to a framework for one of its roles, or for any, until it revives.
    pub fn suppress(&mut self, framework: FrameworkId, role: Option<&str>) {
        for seat in self.subscribed(framework, role) {
            if let Some(known) = self.members.get_mut(&seat) {
                known.suppressed = true;
                // Only what ends the suppression would ask for them, and forgets them.
                self.filters.clear_seat(seat);
                self.unranked.insert(seat);
            }
        }
    }

    /// Forgets the refusals and the suppression of a framework in one of its roles, or in all, and what it said that it wants
    /// there.
    pub fn revive(&mut self, framework: FrameworkId, role: Option<&str>) {
        for seat in self.subscribed(framework, role) {
            self.wants(seat, None);
        }
    }

    /// A framework wants this, and no more, in one of its roles, or in each. Forgets its refusals and its suppression there.
    pub fn demand(&mut self, framework: FrameworkId, role: Option<&str>, wants: &[Want]) {
        for seat in self.subscribed(framework, role) {
            self.wants(seat, Some(wants.to_vec()));
        }
    }

    fn wants(&mut self, seat: Seat, wants: Option<Vec<Want>>) {
        if let Some(known) = self.members.get_mut(&seat) {
            known.suppressed = false;
            match wants {
                Some(wants) => known.demand.get_or_insert_with(Demand::default).restate(wants),
                None => known.demand = None,
            }
            self.filters.clear_seat(seat);
            self.gangs.get_mut().forget(seat);
            self.unranked.insert(seat);
            self.woken.insert(seat);
        }
    }

    /// The roles that a framework is in: all, or this one.
    pub(super) fn subscribed(&self, framework: FrameworkId, role: Option<&str>) -> Vec<Seat> {
        let is_meant = |seat: &Seat| role.is_none_or(|role| *self.tree.role(seat.role).path == *role);
        let seats = self.members.range(Seat::all_of(framework)).filter(|(_, known)| known.subscribed);
        seats.map(|(&seat, _)| seat).filter(is_meant).collect()
    }

    /// A framework in a role that it is in, or in which it holds something.
    pub(super) fn seat(&self, framework: FrameworkId, role: &str) -> Option<Seat> {
        // Without an upper bound it is one descent, not two.
        let first = *Seat::all_of(framework).start();
        let from = self.members.range(first..).map(|(&seat, _)| seat);
        let mut seats = from.take_while(|seat| seat.framework == framework);
        seats.find(|seat| *self.tree.role(seat.role).path == *role)
    }

    /// The same, though it is not in that role; `None` when nobody knows the framework.
    pub(super) fn seat_or_kept(&mut self, framework: FrameworkId, role: &str) -> Option<Seat> {
        let is_known = self.members.range(Seat::all_of(framework)).next().is_some();
        self.seat(framework, role).or_else(|| {
            is_known.then(|| {
                let seat = Seat { framework, role: self.tree.keep(role, framework) };
                self.members.insert(seat, Member::new(false));
                seat
            })
        })
    }

    /// A framework is in a role no longer.
    fn leave(&mut self, seat: Seat, path: &str) {
        if let Some(known) = self.members.get_mut(&seat) {
            known.active = false;
            known.subscribed = false;
            known.suppressed = false;
            known.demand = None;
        }
        self.filters.clear_seat(seat);
        self.gangs.get_mut().forget(seat);
        self.unranked.insert(seat);
        self.rank();
        self.tree.keep(path, seat.framework);
        self.forget_if_gone(seat);
    }

    /// Whoever has left a role stays there for as long as something of it counts there.
    pub(super) fn forget_if_gone(&mut self, seat: Seat) {
        let is_gone = |known: &Member| !known.subscribed && known.account.allocated.is_empty();
        if self.members.get(&seat).is_some_and(is_gone) {
            self.forget(seat);
        }
    }

    fn forget(&mut self, seat: Seat) {
        if let Some(mut known) = self.members.remove(&seat) {
            self.note_less(seat.role);
            self.tree.forget(seat, &mut known.place, &known.account);
        }
        self.gangs.get_mut().forget(seat);
        self.woken.remove(&seat);
        self.unnoted.remove(&seat);
        self.unranked.remove(&seat);
    }
}

impl Member {
    fn new(subscribed: bool) -> Self {
        Self {
            account: Account::default(),
            place: None,
            subscribed,
            active: false,
            suppressed: false,
            demand: None,
            patience: Patience::default(),
            promises: BTreeSet::new(),
            waits_since: None,
            rests: None,
            counts_as_blind: false,
            spares: None,
        }
    }
}
