//! Which open offers give way to somebody who waits.
//!
//! An offer counts as allocated, so whoever lets offers lie about is ahead in shares of whoever has nothing. It is asked to
//! give way to somebody with a smaller share after some time; what it holds only to have room at hand, at once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::demand::{Urgency, WantKey};
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

/// Offers that give way to somebody, by the roles whose limits are in its way: the same for many of its wants.
type ForQuotas = BTreeMap<Vec<RoleId>, Vec<OfferId>>;

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
        if found.is_none() {
            self.ask_beyond_quotas(id, now, &mut later);
        }
        self.contestable = self.contestable.into_iter().chain(later).min();
        found
    }

    fn look_in_the_way(&self, id: Seat, now: Now, later: &mut Option<Now>) -> Option<(AgentId, Vec<OfferId>)> {
        let demand = self.members.get(&id)?.demand.as_ref()?;
        let mut for_quotas = ForQuotas::new();
        for (key, want, _) in demand.open(Urgency::Waiting) {
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
            if let Some(found) = self.contested_elsewhere(id, (key, want), now, later, &mut for_quotas) {
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

    /// An agent that has room for a task that waits, and the offers of whichever agents because of which quotas leave too little for it.
    fn contested_elsewhere(
        &self,
        id: Seat,
        (key, want): (WantKey, &Want),
        now: Now,
        later: &mut Option<Now>,
        for_quotas: &mut ForQuotas,
    ) -> Option<(AgentId, Vec<OfferId>)> {
        if self.tree.quotas == 0 {
            return None;
        }
        let (agent, usable) = self.with_room_beyond_quotas(id, key, now)?;
        let limits = self.limits_in_the_way(id.role, &want.resources).collect();
        let others =
            for_quotas.entry(limits).or_insert_with_key(|roles| self.contested_for_quotas(id, roles, now, later));
        let offers = self.enough_offers(id, &want.resources, &usable, Vec::new(), others)?;
        (!offers.is_empty()).then_some((agent, offers))
    }

    /// The offers of whichever agents that give way now and count towards the limits of these roles; without any, all of them: what is
    /// promised to others may be in the way.
    pub(super) fn contested_for_quotas(
        &self,
        id: Seat,
        limits: &[RoleId],
        now: Now,
        later: &mut Option<Now>,
    ) -> Vec<OfferId> {
        let counts =
            |seat: &Seat| limits.is_empty() || self.tree.up_from(seat.role).any(|(id, _)| limits.contains(&id));
        let idle = self.idlers.iter().filter(|seat| counts(seat)).flat_map(|seat| &self.members[seat].promises);
        let idle = idle.filter_map(|&offer| Some((offer, self.promises.get(offer)?)));
        let oldest = self.promises.iter().take(LOOKED_AT.1).filter(|(_, promise)| counts(&promise.seat));
        let mut seen = BTreeSet::new();
        let mut contested = Vec::new();
        for (offer, promise) in idle.take(LOOKED_AT.1).chain(oldest).filter(|&(offer, _)| seen.insert(offer)) {
            match self.contestable_from(promise, id) {
                Some(from) if from <= now => contested.push(offer),
                Some(from) => *later = later.iter().copied().chain([from]).min(),
                None => {}
            }
        }
        contested
    }

    /// An agent that has room for such a task but for quotas, of those that are known.
    fn with_room_beyond_quotas(&self, seat: Seat, key: WantKey, now: Now) -> Option<(AgentId, Portion)> {
        let member = self.members.get(&seat)?;
        let (want, beyond) = member.demand.as_ref()?.want(key)?;
        let agents = beyond.agents().filter_map(|agent| Some((agent, &**self.agents.get(&agent)?)));
        agents.filter(|(_, holding)| holding.active).find_map(|(agent, holding)| {
            let free = holding.free();
            let case = Case { seat, member, agent, holding, free: &free, now };
            let usable = self.usable(&case);
            self.has_room_for(&case, want, &usable).then(|| (agent, usable.into_owned()))
        })
    }

    /// Has agents asked anew for wants that had room but for quotas on more of them than are known, none of which has room any more, while
    /// offers give way for these.
    fn ask_beyond_quotas(&mut self, id: Seat, now: Now, later: &mut Option<Now>) {
        let Some(demand) = self.members.get(&id).and_then(|known| known.demand.as_ref()) else { return };
        let is_unknown = |key| demand.want(key).is_some_and(|(_, beyond)| beyond.are_more());
        let open = demand.open(Urgency::Waiting).filter(|&(key, ..)| is_unknown(key));
        let lost = open.filter(|&(key, ..)| self.with_room_beyond_quotas(id, key, now).is_none());
        let mut for_quotas = ForQuotas::new();
        let mut gives_way = |want: &Want| {
            let limits = self.limits_in_the_way(id.role, &want.resources).collect();
            let others =
                for_quotas.entry(limits).or_insert_with_key(|roles| self.contested_for_quotas(id, roles, now, later));
            !others.is_empty()
        };
        let keys: Vec<WantKey> = lost.filter(|(_, want, _)| gives_way(want)).map(|(key, ..)| key).collect();
        if keys.is_empty() {
            return;
        }
        if let Some(demand) = self.members.get_mut(&id).and_then(|known| known.demand.as_mut()) {
            keys.into_iter().for_each(|key| demand.forget_beyond_quotas(key));
        }
        self.woken.insert(id);
        *later = Some(now);
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
