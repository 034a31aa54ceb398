//! Which open offers give way to somebody who waits.
//!
//! An offer counts as allocated, so whoever lets offers lie about is ahead in shares of whoever has nothing. It is asked to
//! give way to somebody with a smaller share after some time; what it holds only to have room at hand, at once.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::demand::Urgency;
use super::ledger::Holding;
use super::patience::Patience;
use super::place::Look;
use super::promises::Promise;
use super::seat::Seat;
use super::tree::{ROOT, RoleId};
use super::verdict::Case;
use super::{Allocation, Allocator};
use crate::demand::Want;
use crate::id::{AgentId, OfferId};
use crate::reservation::Portion;
use crate::time::Now;

/// For how long room at hand is left to whoever has the smaller share. Who runs one task after another uses it within that.
const AT_HAND: Duration = Duration::from_millis(250);

/// How many of those that wait are looked at in one allocation, and how many open offers for each of them: the rest has its turn
/// in the next.
const LOOKED_AT: (usize, usize) = (8, 64);

impl Allocator {
    /// Takes offers back from those that hold up others, for as many tasks as wait.
    pub(super) fn contest(&mut self, now: Now, allocation: &mut Allocation) {
        self.contestable = None;
        if self.hungry.is_empty() || self.promises.len() == 0 {
            return;
        }
        for id in self.hungriest() {
            while let Some((agent, offers)) = self.in_the_way(id, now) {
                for offer in offers {
                    self.take_back(offer, now, allocation);
                }
                self.rank();
                let mut look = Look::default();
                self.share_out(agent, now, Some(&BTreeSet::from([id])), &mut look);
                self.rank();
                self.dirty_agents.insert(agent);
                let made_none = look.offers.is_empty();
                allocation.take_in(look);
                if made_none {
                    break;
                }
            }
        }
    }

    /// Those that wait, in the order in which they are served.
    fn hungriest(&self) -> Vec<Seat> {
        let mut hungriest = Vec::new();
        self.tree.ask(ROOT, &mut |id| {
            hungriest.extend(self.hungry.get(&id));
            (hungriest.len() == LOOKED_AT.0).then_some(())
        });
        hungriest
    }

    /// An agent that would have room for a task that waits, and the offers in its way there, all of which can be contested.
    fn in_the_way(&mut self, id: Seat, now: Now) -> Option<(AgentId, Vec<OfferId>)> {
        let mut later: Option<Now> = None;
        let found = self.look_in_the_way(id, now, &mut later);
        self.contestable = self.contestable.into_iter().chain(later).min();
        found
    }

    fn look_in_the_way(&self, id: Seat, now: Now, later: &mut Option<Now>) -> Option<(AgentId, Vec<OfferId>)> {
        let demand = self.members.get(&id)?.demand.as_ref()?;
        for (_, want, _) in demand.open(Urgency::Waiting) {
            let mut seen = BTreeSet::new();
            for (agent, holding) in self.agents_with_offers(&mut seen) {
                let unit = &want.resources;
                let role = &self.tree.role(id.role).path;
                let suits = want.suits(holding.info.traits()).is_ok()
                    && holding.has().contains(unit)
                    && want.volumes.iter().all(|&volume| holding.holds_for(volume, role));
                if !holding.active || !suits || self.filters.hold(id, agent, unit, now).is_some() {
                    continue;
                }
                if let Some(offers) = self.contested(id, holding, want, now, later) {
                    return Some((agent, offers));
                }
            }
            if let Some(found) = self.contested_up_to_limit(id, want, now, later) {
                return Some(found);
            }
        }
        self.contested_by_gang(id, now, later)
    }

    /// Agents with open offers: first of those that hold them only to have room at hand, then the oldest.
    pub(super) fn agents_with_offers<'a>(
        &'a self,
        seen: &mut BTreeSet<AgentId>,
    ) -> impl Iterator<Item = (AgentId, &'a Holding)> {
        let idle = self.idlers.iter().flat_map(|id| &self.members[id].promises).take(LOOKED_AT.1);
        let idle = idle.filter_map(|offer| self.promises.get(*offer));
        let oldest = self.promises.iter().take(LOOKED_AT.1).map(|(_, promise)| promise);
        let agents = idle.chain(oldest).map(|promise| promise.agent).filter(move |agent| seen.insert(*agent));
        agents.filter_map(|agent| Some((agent, &**self.agents.get(&agent)?)))
    }

    /// The offers of an agent that make room for this if they give way now; `None` when they cannot, and when they can `later`.
    fn contested(
        &self,
        id: Seat,
        holding: &Holding,
        want: &Want,
        now: Now,
        later: &mut Option<Now>,
    ) -> Option<Vec<OfferId>> {
        let mut room = holding.free();
        let mut offers = Vec::new();
        for &offer in &holding.promises {
            let promise = self.promises.get(offer)?;
            let Some(from) = self.contestable_from(promise, id) else { continue };
            if now < from {
                *later = later.iter().copied().chain([from]).min();
                continue;
            }
            room.give(&promise.portion);
            offers.push(offer);
            let usable = holding.usable(&room, &self.tree.role(id.role).path);
            if usable.resources.contains(&want.resources) && usable.has_volumes(&want.volumes) {
                return self.may_have(id, &want.resources, &usable, &offers).then_some(offers);
            }
        }
        None
    }

    /// An agent that has room for a task that waits, and the offers of whichever agents that bring its role up to its limit.
    fn contested_up_to_limit(
        &self,
        id: Seat,
        want: &Want,
        now: Now,
        later: &mut Option<Now>,
    ) -> Option<(AgentId, Vec<OfferId>)> {
        if self.tree.quotas == 0 {
            return None;
        }
        let limited: Vec<RoleId> = self.limits_in_the_way(id.role, &want.resources).collect();
        if limited.is_empty() {
            return None;
        }
        let (agent, usable) = self.with_room_for(id, want, now)?;
        let mut offers = Vec::new();
        for (_, holding) in self.agents_with_offers(&mut BTreeSet::new()) {
            for (&offer, promise) in holding.promises.iter().filter_map(|id| Some((id, self.promises.get(*id)?))) {
                let counts = || self.tree.up_from(promise.seat.role).any(|(role, _)| limited.contains(&role));
                match self.contestable_from(promise, id).filter(|_| counts()) {
                    Some(from) if from <= now => offers.push(offer),
                    Some(from) => *later = later.iter().copied().chain([from]).min(),
                    None => {}
                }
            }
        }
        if offers.is_empty() {
            return None;
        }
        self.enough_offers(id, &want.resources, &usable, Vec::new(), &offers).map(|offers| (agent, offers))
    }

    /// An agent with room for such a task, of some with most room.
    fn with_room_for(&self, seat: Seat, want: &Want, now: Now) -> Option<(AgentId, Portion)> {
        let member = self.members.get(&seat)?;
        let orders = self.idle.of(&self.tree, seat.role).map(|(_, slots)| slots);
        let largest = orders.flat_map(|slots| slots.iter().rev().take(LOOKED_AT.1)).map(|&(_, agent)| agent);
        largest.filter_map(|agent| Some((agent, self.agents.get(&agent)?))).find_map(|(agent, holding)| {
            let free = holding.free();
            let case = Case { seat, member, agent, holding, free: &free, now };
            let usable = self.usable(&case);
            self.has_room_for(&case, want, &usable).then(|| (agent, usable.into_owned()))
        })
    }

    /// From when on an offer gives way to a framework that waits; `None`: not at all.
    pub(super) fn contestable_from(&self, promise: &Promise, id: Seat) -> Option<Now> {
        let (holder, waiting) = (self.members.get(&promise.seat)?, self.members.get(&id)?);
        if promise.seat == id {
            return None;
        }
        let (has_more, patience) = if promise.seat.role == id.role {
            let share = |account: &super::Account| account.allocated.dominant_share(&self.total);
            (share(&holder.account) > share(&waiting.account), holder.patience)
        } else {
            let (under, its, other) = self.tree.branches(promise.seat.role, id.role);
            let share = |branch| self.tree.share_of_branch(under, branch, &self.total);
            let patience = its.map_or(holder.patience, |role| self.tree.role(role).patience);
            (share(its) > share(other), patience)
        };
        match (holder.is_idle(), has_more) {
            (true, true) => Some(promise.since),
            (true, false) => Some(promise.since + AT_HAND),
            (false, true) => Some(promise.since + patience.get()),
            (false, false) => None,
        }
    }

    fn take_back(&mut self, id: OfferId, now: Now, allocation: &mut Allocation) {
        let Some(promise) = self.close(id) else { return };
        self.free_of(promise.seat, promise.agent, &promise.portion);
        if let Some(holder) = self.members.get_mut(&promise.seat)
            && !holder.is_idle()
        {
            let until = now + holder.patience.rest();
            holder.patience.lapsed();
            self.tree.each_patience(promise.seat.role, Patience::lapsed);
            self.refuse_as(promise.seat, promise.agent, promise.portion.resources.clone(), until);
        }
        allocation.rescinded.push((id, promise));
    }
}
