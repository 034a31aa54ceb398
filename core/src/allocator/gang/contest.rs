//! Which open offers give way to a whole gang.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::super::Allocator;
use super::super::demand::{Gang, WantKey};
use super::super::ledger::Holding;
use super::super::promises::Promise;
use super::super::seat::Seat;
use super::super::tree::RoleId;
use super::place::sum_of;
use super::waiting::{Lack, Waiting};
use super::{Asking, Places, Usable};
use crate::id::{AgentId, OfferId};
use crate::reservation::Portion;
use crate::time::Now;

/// What agents would have if offers gave way.
struct Given<'a> {
    /// What each offer gives.
    offers: BTreeMap<AgentId, Vec<(OfferId, Portion)>>,
    /// What is usable there now, and with that.
    before: Usable,
    after: Usable,
    holdings: BTreeMap<AgentId, &'a Holding>,
}

impl Allocator {
    /// Open offers that make room for a whole gang if they give way now, and one of the agents that they are of; `None` when
    /// they cannot, and when they can `later`.
    pub(in super::super) fn contested_by_gang(
        &self,
        seat: Seat,
        now: Now,
        later: &mut Option<Now>,
    ) -> Option<(AgentId, Vec<OfferId>)> {
        let member = self.members.get(&seat)?;
        let asking = Asking { seat, member, now };
        let mut gangs = member.demand.as_ref()?.gangs().peekable();
        gangs.peek()?;
        let given = self.would_be_given(asking, later);
        if given.offers.is_empty() {
            return None;
        }
        for gang in gangs {
            let Some((mut rooms, are_all)) = self.rooms_beside(asking, &gang, &given, later) else { continue };
            rooms.extend(given.after.iter().map(|(&agent, room)| (agent, room.clone())));
            let before = self.gangs.borrow().examined;
            let found = self.places_beyond_quotas(asking, &gang, &rooms).and_then(|places| {
                let (sum, offers) = (sum_of(&places), in_the_way(&given, &places));
                let limits: Vec<RoleId> = self.limits_in_the_way(seat.role, &sum.resources).collect();
                let of_any = self.contested_for_quotas(seat, &limits, now, later);
                let mut seen: BTreeSet<OfferId> = offers.iter().copied().collect();
                let others = self.idle_first(&given).into_iter().chain(of_any);
                let others: Vec<OfferId> = others.filter(|&offer| seen.insert(offer)).collect();
                let offers = self.enough_offers(seat, &sum.resources, &sum, offers, &others).ok_or(0_u32)?;
                Ok((places.first().ok_or(0_u32)?.0, offers))
            });
            match found {
                Ok((_, offers)) if offers.is_empty() => {}
                Ok((agent, offers)) => {
                    // There is more for it than is known.
                    self.gangs.borrow_mut().forget_one(seat, gang.id);
                    return Some((agent, offers));
                }
                Err(fit) if are_all => {
                    let mut gangs = self.gangs.borrow_mut();
                    let looks = rooms.len() + gangs.examined - before;
                    gangs.rest(seat, gang.id, now, fit, looks);
                }
                Err(_) => {}
            }
        }
        None
    }

    /// What offers would give that can give way now.
    fn would_be_given<'a>(&'a self, asking: Asking<'_>, later: &mut Option<Now>) -> Given<'a> {
        let Asking { seat, now, .. } = asking;
        let mut given =
            Given { offers: BTreeMap::new(), before: Usable::new(), after: Usable::new(), holdings: BTreeMap::new() };
        let path = &self.tree.role(seat.role).path;
        let mut seen = BTreeSet::new();
        for (agent, holding) in self.agents_with_offers(&mut seen).filter(|(_, holding)| holding.active) {
            for (offer, promise) in self.contestable_now(seat, holding, now, later) {
                let portion = holding.usable(&promise.portion, path).into_owned();
                let before =
                    given.before.entry(agent).or_insert_with(|| holding.usable(&holding.free(), path).into_owned());
                given.after.entry(agent).or_insert_with(|| before.clone()).give(&portion);
                given.offers.entry(agent).or_default().push((offer, portion));
                given.holdings.insert(agent, holding);
            }
        }
        given
    }

    /// The rooms in which a gang could have its places beside what is given, and whether these are all there are; `None` when that is
    /// not enough, or not to be looked at now.
    fn rooms_beside(
        &self,
        asking: Asking<'_>,
        gang: &Gang<'_>,
        given: &Given<'_>,
        later: &mut Option<Now>,
    ) -> Option<(Usable, bool)> {
        let more = |of| self.more_places(asking, gang, of, given);
        let gangs = self.gangs.borrow();
        let from = match gangs.get(asking.seat, gang.id) {
            // It was asked about no agent that has room for any of its tasks.
            None => {
                let is_enough = gang.wants.iter().all(|&(key, _, count)| more(Some(key)) >= count);
                return is_enough.then(|| (Usable::new(), false));
            }
            Some(Waiting::Short(lacks)) if !lacks.iter().all(|lack| lack.is_met_with(more(lack.of))) => return None,
            Some(Waiting::Short(lacks)) if gang.wants.len() == 1 => {
                let agents = lacks.iter().flat_map(Lack::agents);
                return Some((agents.map(|&agent| (agent, self.room_on(asking, agent))).collect(), false));
            }
            Some(Waiting::Short(_)) => gangs.may_look_from(),
            Some(Waiting::Rests { until, .. }) => gangs.may_look_from().max(*until),
        };
        if asking.now < from {
            *later = later.iter().copied().chain([from]).min();
            return None;
        }
        Some((self.rooms_for(asking, None), true))
    }

    /// For how many tasks more there would be room on agents with what is given.
    fn more_places(&self, asking: Asking<'_>, gang: &Gang<'_>, of: Option<WantKey>, given: &Given<'_>) -> u32 {
        let places = |agent: AgentId, holding, room| self.could_take(&asking.on(agent, holding, room), gang, of, room);
        let more = |(&agent, after)| {
            let (holding, before) = (given.holdings.get(&agent)?, given.before.get(&agent)?);
            Some(places(agent, holding, after).saturating_sub(places(agent, holding, before)))
        };
        given.after.iter().filter_map(more).fold(0, u32::saturating_add)
    }

    /// What can give way: first what is held only to have room at hand, then the oldest.
    fn idle_first(&self, given: &Given<'_>) -> Vec<OfferId> {
        let mut offers: Vec<OfferId> = given.offers.values().flatten().map(|&(offer, _)| offer).collect();
        let is_idle =
            |offer: OfferId| self.promises.get(offer).is_some_and(|promise| self.idlers.contains(&promise.seat));
        offers.sort_by_key(|&offer| (!is_idle(offer), offer));
        offers
    }

    /// The offers of an agent that give way to somebody now.
    fn contestable_now<'a>(
        &'a self,
        seat: Seat,
        holding: &'a Holding,
        now: Now,
        later: &mut Option<Now>,
    ) -> Vec<(OfferId, &'a Promise)> {
        let mut contestable = Vec::new();
        for &offer in &holding.promises {
            let Some(promise) = self.promises.get(offer) else { continue };
            match self.contestable_from(promise, seat) {
                Some(from) if from <= now => contestable.push((offer, promise)),
                Some(from) => *later = later.iter().copied().chain([from]).min(),
                None => {}
            }
        }
        contestable
    }
}

/// Which of the offers are needed for the places, beside what is free.
fn in_the_way(given: &Given<'_>, places: &Places) -> Vec<OfferId> {
    let mut needed: BTreeMap<AgentId, Portion> = BTreeMap::new();
    places.iter().for_each(|(agent, take)| needed.entry(*agent).or_default().give(&take.portion));
    let mut offers = Vec::new();
    for (agent, needed) in needed {
        let mut room = given.before.get(&agent).cloned().unwrap_or_default();
        for (offer, portion) in given.offers.get(&agent).into_iter().flatten() {
            if room.resources.contains(&needed.resources) && room.has_volumes(&needed.volumes) {
                break;
            }
            room.give(portion);
            offers.push(*offer);
        }
    }
    offers
}
