//! A place for each task of a gang: the largest first, and filled or spread as the placement of its role has it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::super::Allocator;
use super::super::demand::{Gang, WantKey};
use super::super::room::Budgets;
use super::super::seat::Seat;
use super::super::slots::Slot;
use super::super::verdict::{Passed, Stage, Take};
use super::{Asking, Places, Unmet, Usable};
use crate::demand::Want;
use crate::id::AgentId;
use crate::placement::Placement;
use crate::reservation::Portion;

/// Rooms, and the tasks that were put there so far.
pub(super) struct Packing<'a> {
    allocator: &'a Allocator,
    asking: Asking<'a>,
    rooms: &'a Usable,
    /// What is left of rooms where something was put.
    left: Usable,
    put: Vec<(AgentId, WantKey, Portion)>,
}

impl<'a> Packing<'a> {
    pub(super) fn new(allocator: &'a Allocator, asking: Asking<'a>, rooms: &'a Usable) -> Self {
        Self { allocator, asking, rooms, left: Usable::new(), put: Vec::new() }
    }

    pub(super) fn room(&self, agent: AgentId) -> Option<&Portion> {
        self.left.get(&agent).or_else(|| self.rooms.get(&agent))
    }

    /// Whether there is room for one more task on an agent.
    pub(super) fn fits(&self, agent: AgentId, want: &Want) -> bool {
        let (Some(room), Some(holding)) = (self.room(agent), self.allocator.agents.get(&agent)) else { return false };
        self.allocator.has_room_for(&self.asking.on(agent, holding, room), want, room)
    }

    /// Puts a task where it fits. What was there before, for [`Self::take_back`].
    pub(super) fn put(&mut self, agent: AgentId, key: WantKey, want: &Want) -> Option<Portion> {
        let (before, holding) = (self.room(agent)?.clone(), self.allocator.agents.get(&agent)?);
        let mut room = before.clone();
        let mut portion = room.take(&want.resources).ok()?;
        portion.give(&Portion { volumes: want.volumes.clone(), ..Portion::default() });
        room.volumes.retain(|volume| !want.volumes.contains(volume) || !holding.is_one_at_a_time(&[*volume]));
        self.left.insert(agent, room);
        self.put.push((agent, key, portion));
        Some(before)
    }

    /// The task that was put last is nowhere.
    pub(super) fn take_back(&mut self, before: Portion) {
        if let Some((agent, ..)) = self.put.pop() {
            self.left.insert(agent, before);
        }
    }

    pub(super) fn places(self) -> Places {
        let mut places: BTreeMap<(AgentId, WantKey), (Portion, u32)> = BTreeMap::new();
        for (agent, key, portion) in self.put {
            let (sum, count) = places.entry((agent, key)).or_default();
            sum.give(&portion);
            *count += 1;
        }
        let take = |((agent, key), (portion, count))| (agent, Take { portion, units: Some((key, count)) });
        places.into_iter().map(take).collect()
    }
}

impl Allocator {
    /// A place for each task of a gang in these rooms, within quotas.
    pub(in super::super) fn places_in<'a>(
        &self,
        asking: Asking<'_>,
        gang: &Gang<'_>,
        rooms: &Usable,
    ) -> Result<Places, Unmet<'a>> {
        let places = self.places_beyond_quotas(asking, gang, rooms).map_err(Unmet::Room)?;
        self.within_bounds(asking.seat, &places).map_err(Unmet::Bound)?;
        Ok(places)
    }

    /// The same whatever quotas say, or how many have a place. With one kind of tasks places are found if there are any; with several,
    /// if [`search`](super::search) finds them.
    pub(super) fn places_beyond_quotas(
        &self,
        asking: Asking<'_>,
        gang: &Gang<'_>,
        rooms: &Usable,
    ) -> Result<Places, u32> {
        let mut packing = Packing::new(self, asking, rooms);
        let fit = packing.put_largest_first(gang, self.placement_of(asking.seat.role));
        match fit == gang.tasks() {
            true => Ok(packing.places()),
            false => self.search(asking, gang, rooms).ok_or(fit),
        }
    }

    /// Whether quotas leave all of this to somebody.
    fn within_bounds(&self, seat: Seat, places: &Places) -> Result<(), Passed<'static>> {
        if self.tree.quotas == 0 {
            return Ok(());
        }
        let sum = sum_of(places);
        let room = self.tree.room_of(seat.role, Stage::FairShare, &self.free, &sum);
        match room.resources.contains(&sum.resources) {
            true => Ok(()),
            false => Err(self.bound(seat.role, &sum.resources)),
        }
    }
}

/// What all places hold together.
pub(super) fn sum_of(places: &Places) -> Portion {
    let mut sum = Portion::default();
    places.iter().for_each(|(_, take)| sum.give(&take.portion));
    sum
}

impl Packing<'_> {
    /// How many tasks have found a place.
    fn put_largest_first(&mut self, gang: &Gang<'_>, placement: Placement) -> u32 {
        let mut fit = 0;
        let mut wants = gang.wants.clone();
        wants.sort_by_key(|(_, want, _)| Reverse((want.resources.cpus, want.resources.mem)));
        for (key, want, count) in wants {
            let mut order: BTreeSet<Slot> = self
                .rooms
                .keys()
                .filter(|&&agent| self.fits(agent, want))
                .filter_map(|&agent| self.slot(agent))
                .collect();
            for _ in 0..count {
                let next = match placement {
                    Placement::Binpack => order.pop_first(),
                    Placement::Spread => order.pop_last(),
                };
                let Some((_, agent)) = next else { break };
                if self.put(agent, key, want).is_none() {
                    break;
                }
                fit += 1;
                order.extend(self.slot(agent).filter(|_| self.fits(agent, want)));
            }
        }
        fit
    }

    fn slot(&self, agent: AgentId) -> Option<Slot> {
        let room = self.room(agent)?;
        Some(((room.resources.cpus, room.resources.mem), agent))
    }
}
