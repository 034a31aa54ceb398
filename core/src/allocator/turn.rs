//! Whose turn it is on one agent.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::Allocator;
use super::demand::WantKey;
use super::gang::Places;
use super::heldback::Bounds;
use super::seat::Seat;
use super::tree::{ROOT, RoleId};
use super::verdict::{Case, Passed, Stage, Take};
use crate::id::AgentId;
use crate::reservation::Portion;
use crate::time::Now;

/// So many turns on one agent give one task each, and as many after these give two, four and so on: tasks may be small, and
/// billions.
const ONE_BY_ONE: u32 = 256;

/// Whose turn it is, and what it would take.
pub(super) enum Next {
    /// Of this agent, or of one that it chooses.
    One(OfOne),
    /// Of all of these agents.
    Gang(Seat, Places),
}

/// What somebody would take of one agent.
pub(super) struct OfOne {
    pub(super) seat: Seat,
    pub(super) stage: Stage,
    /// So many units at most, of what it said that it wants.
    pub(super) most: u32,
    pub(super) take: Take,
}

/// A look at one agent.
pub(super) struct Turn<'a> {
    allocator: &'a Allocator,
    agent: AgentId,
    free: &'a Portion,
    now: Now,
    /// Who is asked; `None`: everybody.
    among: Option<&'a BTreeSet<Seat>>,
    /// Whoever competes with nobody takes all it wants at once; else it is one task at a time.
    most: u32,
    /// What quotas keep from those that were asked.
    bounds: RefCell<Bounds>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        allocator: &'a Allocator,
        agent: AgentId,
        free: &'a Portion,
        now: Now,
        among: Option<&'a BTreeSet<Seat>>,
        before: u32,
    ) -> Self {
        let competes = allocator.blind + allocator.hungry.len() > 1;
        let most = if competes { 1_u32.checked_shl(before / ONE_BY_ONE).unwrap_or(u32::MAX) } else { u32::MAX };
        Self { allocator, agent, free, now, among, most, bounds: RefCell::default() }
    }

    /// Who is to be offered something of this agent, and what; and what quotas kept from those before.
    pub(super) fn next(self) -> (Option<Next>, Bounds) {
        // Whoever takes whatever there is does not take too little.
        let is_enough = self.allocator.is_enough_for_some(&self.free.resources)
            || !self.free.is_empty() && self.allocator.is_anything_wanted();
        let next = is_enough.then(|| self.promised().or_else(|| self.fair()).or_else(|| self.spare())).flatten();
        (next, self.bounds.into_inner())
    }

    /// Whoever is in a role that has less than it is promised comes before all others.
    fn promised(&self) -> Option<Next> {
        let tree = &self.allocator.tree;
        tree.needy().find_map(|role| {
            tree.ask(role, &mut |id| {
                let is_asked = self.among.is_none_or(|few| few.contains(&id));
                is_asked.then(|| self.take(id, Stage::Guarantee(role), self.most)).flatten()
            })
        })
    }

    fn fair(&self) -> Option<Next> {
        let Allocator { tree, filters, members, hungry, blind, .. } = self.allocator;
        let ask = |id| self.take(id, Stage::FairShare, self.most);
        if let Some(few) = self.among {
            let place = |&seat: &Seat| {
                let known = members.get(&seat)?;
                Some((tree.place(seat.role, known.place)?, seat))
            };
            if let (Some(&only), 1) = (few.first(), few.len()) {
                return members.get(&only).filter(|known| known.place.is_some()).and_then(|_| ask(only));
            }
            let mut takers: Vec<_> = few.iter().filter_map(place).collect();
            takers.sort_unstable();
            return takers.into_iter().find_map(|(_, id)| ask(id));
        }
        let is_plain = self.free.reserved.is_empty();
        if is_plain && hungry.is_empty() && filters.are_everybodys(*blind, self.agent, &self.free.resources, self.now) {
            return None;
        }
        tree.ask(ROOT, &mut |id| ask(id))
    }

    fn spare(&self) -> Option<Next> {
        let is_asked = |id| self.among.is_none_or(|few| few.contains(&id));
        let sparing = self.allocator.sparing.iter().map(|&(_, id)| id).filter(|id| is_asked(*id));
        sparing.into_iter().find_map(|id| self.take(id, Stage::Spare, u32::MAX))
    }

    fn note(&self, passed: Passed<'_>, role: RoleId) {
        let mut bounds = self.bounds.borrow_mut();
        match passed {
            Passed::AtLimit(role) => bounds.limits.push(role),
            Passed::Kept => bounds.kept = true,
            // Of more than quotas leave to it now it may think otherwise.
            Passed::Refused(_) if self.allocator.tree.quotas > 0 => {
                let path = self.allocator.tree.up_from(role).filter(|(_, role)| role.budget.quota.is_some());
                bounds.limits.extend(path.map(|(id, _)| id));
                bounds.kept = true;
            }
            _ => {}
        }
    }

    /// Quotas alone keep this want from being met here.
    fn note_beyond_quotas(&self, case: &Case<'_>, key: Option<WantKey>) {
        let its = key.and_then(|key| Some((key, case.member.demand.as_ref()?.want(key)?)));
        if let Some((key, (want, beyond))) = its
            && !beyond.has(case.agent)
            && self.allocator.filters.hold(case.seat, case.agent, &want.resources, case.now).is_none()
        {
            self.bounds.borrow_mut().wants.push((case.seat, key));
        }
    }

    fn take(&self, seat: Seat, stage: Stage, most: u32) -> Option<Next> {
        let Self { allocator, agent, free, now, .. } = *self;
        let (member, holding) = (&allocator.members[&seat], &allocator.agents[&agent]);
        let case = Case { seat, member, agent, holding, free, now };
        let mut note = |key: Option<WantKey>, passed: Passed<'_>| {
            self.note(passed, seat.role);
            if stage == Stage::FairShare && matches!(passed, Passed::AtLimit(_) | Passed::Kept) {
                self.note_beyond_quotas(&case, key);
            }
        };
        if let Some(take) = allocator.verdict(&case, stage, most, &mut note) {
            return Some(Next::One(OfOne { seat, stage, most, take }));
        }
        match stage {
            Stage::FairShare => {
                allocator.places_of_gang(&case, &mut |passed| note(None, passed)).map(|places| Next::Gang(seat, places))
            }
            _ => None,
        }
    }
}
