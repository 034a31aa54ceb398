//! Wants that are met together or not at all: whether the whole of a gang has room now, over all agents, and where.
//!
//! Nothing is ever kept for a gang while it waits, so no two of them can wait for what the other has: whoever is next and fits
//! whole gets all of it at once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::cmp::Reverse;

use super::demand::{Gang, GangId};
use super::ledger::Holding;
use super::promises::Promise;
use super::seat::Seat;
use super::slots::Slot;
use super::verdict::{Case, Passed, Stage, Take};
use super::{Allocator, Member};
use crate::demand::Want;
use crate::id::{AgentId, OfferId};
use crate::placement::Placement;
use crate::quantity::{Bytes, MilliCpu};
use crate::reservation::Portion;
use crate::time::Now;

/// Gangs that had no room when they were last looked at. In one look nothing becomes free, so they have none later in it.
pub(super) type NoRoom = RefCell<BTreeSet<(Seat, GangId)>>;

/// What is usable on agents for somebody.
pub(super) type Usable = BTreeMap<AgentId, Portion>;

/// Where each of a gang's tasks goes.
pub(super) type Places = Vec<(AgentId, Take)>;

/// Why a gang is not offered anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmet<'a> {
    /// There is room for so many of its tasks at once.
    Room(u32),
    /// There would be room for all, were it not for that.
    Bound(Passed<'a>),
}

impl Allocator {
    /// The places of the first gang of a framework that has room, if some of it has on the agent at hand: only there something
    /// may have changed.
    pub(super) fn places_of_gang<'a>(&self, case: &Case<'a>, none: &NoRoom) -> Result<Places, Option<Passed<'a>>> {
        let Some(demand) = &case.member.demand else { return Err(None) };
        let mut passed = None;
        for gang in demand.gangs() {
            if none.borrow().contains(&(case.seat, gang.id)) {
                continue;
            }
            let usable = self.usable(case);
            let has_room = |want: &Want| self.one_of_gang(case, want, &usable);
            if !gang.wants.iter().any(|(_, want, _)| has_room(want)) {
                continue;
            }
            let rooms = self.rooms_for(case.seat, case.member, Some(case.agent), case.now);
            match self.places_in(case.seat, case.member, &gang, rooms, case.now) {
                Ok(places) => return Ok(places),
                Err(unmet) => {
                    none.borrow_mut().insert((case.seat, gang.id));
                    if let Unmet::Bound(bound) = unmet {
                        passed = Some(bound);
                    }
                }
            }
        }
        Err(passed)
    }

    /// What is free and may be used by somebody, of every agent that has something free.
    pub(super) fn rooms_for(&self, seat: Seat, member: &Member, also: Option<AgentId>, now: Now) -> Usable {
        let least = member.demand.as_ref().map(|demand| demand.wants().map(|want| want.resources.cpus).min());
        let least = least.flatten().unwrap_or(MilliCpu::ZERO);
        let orders = self.idle.of(&self.tree, seat.role).map(|(_, slots)| slots);
        let idle = orders.flat_map(|slots| slots.range(((least, Bytes::ZERO), AgentId(0))..)).map(|&(_, agent)| agent);
        let agents = idle.chain(self.dirty_agents.iter().copied()).chain(also);
        let mut rooms = Usable::new();
        for agent in agents {
            let Some(holding) = self.agents.get(&agent).filter(|holding| holding.active) else { continue };
            rooms.entry(agent).or_insert_with(|| {
                let free = holding.free();
                self.usable(&Case { seat, member, agent, holding, free: &free, now }).into_owned()
            });
        }
        rooms
    }

    /// A place for each task of a gang in these rooms, the largest first: with one kind of tasks they are found if there are any.
    /// Those that are filled or spread as the placement of the role has it.
    pub(super) fn places_in<'a>(
        &self,
        seat: Seat,
        member: &Member,
        gang: &Gang<'_>,
        mut rooms: Usable,
        now: Now,
    ) -> Result<Places, Unmet<'a>> {
        let placement = self.placement_of(seat.role);
        let mut places: Places = Vec::new();
        let mut fit: u32 = 0;
        let mut wants = gang.wants.clone();
        wants.sort_by_key(|(_, want, _)| Reverse((want.resources.cpus, want.resources.mem)));
        for (key, want, count) in wants {
            let slot = |(&agent, room): (&AgentId, &Portion)| ((room.resources.cpus, room.resources.mem), agent);
            let mut order: BTreeSet<Slot> = rooms.iter().map(slot).collect();
            let mut left = count;
            while left > 0 {
                let next = match placement {
                    Placement::Binpack => order.first().copied(),
                    Placement::Spread => order.last().copied(),
                };
                let Some(next @ (_, agent)) = next else { break };
                order.remove(&next);
                let (Some(room), Some(holding)) = (rooms.get_mut(&agent), self.agents.get(&agent)) else { continue };
                let case = Case { seat, member, agent, holding, free: room, now };
                if !self.one_of_gang(&case, want, room) {
                    continue;
                }
                let Ok(mut portion) = room.take(&want.resources) else { continue };
                portion.give(&Portion { volumes: want.volumes.clone(), ..Portion::default() });
                room.volumes.retain(|volume| !want.volumes.contains(volume) || !holding.is_one_at_a_time(&[*volume]));
                order.insert(slot((&agent, room)));
                add(&mut places, agent, key, portion);
                (left, fit) = (left - 1, fit + 1);
            }
        }
        if fit < gang.tasks() {
            return Err(Unmet::Room(fit));
        }
        self.within_bounds(seat, &places).map_err(Unmet::Bound)?;
        Ok(places)
    }

    /// Whether there is room for one task of a gang on an agent, as far as quotas do not matter.
    fn one_of_gang(&self, case: &Case<'_>, want: &Want, room: &Portion) -> bool {
        room.resources.contains(&want.resources)
            && room.has_volumes(&want.volumes)
            && want.suits(case.holding.info.traits()).is_ok()
            && self.filters.hold(case.seat, case.agent, &want.resources, case.now).is_none()
    }

    /// Whether quotas leave all of this to somebody.
    fn within_bounds(&self, seat: Seat, places: &Places) -> Result<(), Passed<'static>> {
        if self.tree.quotas == 0 {
            return Ok(());
        }
        let mut sum = Portion::default();
        places.iter().for_each(|(_, take)| sum.give(&take.portion));
        let room = self.tree.room_of(seat.role, Stage::FairShare, &self.free, &sum);
        match room.resources.contains(&sum.resources) {
            true => Ok(()),
            false => Err(self.bound(seat.role, &sum.resources)),
        }
    }

    /// Open offers that make room for a whole gang if they give way now, and one of the agents that they are of; `None` when
    /// they cannot, and when they can `later`.
    pub(super) fn contested_by_gang(
        &self,
        seat: Seat,
        now: Now,
        later: &mut Option<Now>,
    ) -> Option<(AgentId, Vec<OfferId>)> {
        let member = self.members.get(&seat)?;
        for gang in member.demand.as_ref()?.gangs() {
            let free = self.rooms_for(seat, member, None, now);
            let mut rooms = free.clone();
            let mut given: BTreeMap<AgentId, Vec<(OfferId, Portion)>> = BTreeMap::new();
            let mut seen = BTreeSet::new();
            for (agent, holding) in self.agents_with_offers(&mut seen).filter(|(_, holding)| holding.active) {
                for (offer, promise) in self.contestable_now(seat, holding, now, later) {
                    let path = &self.tree.role(seat.role).path;
                    let portion = holding.usable(&promise.portion, path).into_owned();
                    let room = rooms.entry(agent).or_insert_with(|| holding.usable(&holding.free(), path).into_owned());
                    room.give(&portion);
                    given.entry(agent).or_default().push((offer, portion));
                }
            }
            let Ok(places) = self.places_in(seat, member, &gang, rooms, now) else { continue };
            let offers = in_the_way(&free, &given, &places);
            if let Some(&(agent, _)) = offers.first() {
                return Some((agent, offers.into_iter().map(|(_, offer)| offer).collect()));
            }
        }
        None
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

/// Which of these offers are needed for the places, beside what is free.
fn in_the_way(
    free: &Usable,
    given: &BTreeMap<AgentId, Vec<(OfferId, Portion)>>,
    places: &Places,
) -> Vec<(AgentId, OfferId)> {
    let mut needed: BTreeMap<AgentId, Portion> = BTreeMap::new();
    places.iter().for_each(|(agent, take)| needed.entry(*agent).or_default().give(&take.portion));
    let mut offers = Vec::new();
    for (agent, needed) in needed {
        let mut room = free.get(&agent).cloned().unwrap_or_default();
        for (offer, portion) in given.get(&agent).into_iter().flatten() {
            if room.resources.contains(&needed.resources) && room.has_volumes(&needed.volumes) {
                break;
            }
            room.give(portion);
            offers.push((agent, *offer));
        }
    }
    offers
}

/// One task more on an agent.
fn add(places: &mut Places, agent: AgentId, key: super::demand::WantKey, portion: Portion) {
    let is_same = |(at, take): &&mut (AgentId, Take)| *at == agent && take.units.is_some_and(|(other, _)| other == key);
    match places.iter_mut().find(is_same) {
        Some((_, take)) => {
            take.portion.give(&portion);
            if let Some((_, count)) = &mut take.units {
                *count += 1;
            }
        }
        None => places.push((agent, Take { portion, units: Some((key, 1)) })),
    }
}
