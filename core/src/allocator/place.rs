//! Which agents an offer is made of: whoever is next and has said what it wants chooses, by the placement of its role.
//!
//! Agents are in the order of what is free on them for its role. So the best one is at an end of that order, and whoever looks again
//! goes on from where it found one: nothing becomes free in one look.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use super::Allocator;
use super::demand::{Units, Urgency, WantKey};
use super::seat::Seat;
use super::slots::{Rooms, Slot, Slots};
use super::tree::RoleId;
use super::turn::OfOne;
use super::verdict::{Case, Stage, Take};
use crate::id::{AgentId, OfferId};
use crate::placement::Placement;
use crate::quantity::Bytes;
use crate::reservation::Portion;
use crate::time::Now;

/// What is to be offered of one agent to one member.
pub(super) struct Pending {
    pub(super) seat: Seat,
    pub(super) portion: Portion,
    pub(super) units: Units,
}

/// One look at what changed.
#[derive(Default)]
pub(super) struct Look {
    /// The offers that were made.
    pub(super) offers: Vec<OfferId>,
    /// How often an agent was looked at.
    pub(super) examined: usize,
    /// What was given and is to be offered.
    pending: BTreeMap<AgentId, Vec<Pending>>,
    /// The agents that changed, where there is a choice.
    changed: Slots,
    rooms: BTreeMap<AgentId, Rooms>,
    /// Who may choose among the idle agents as well.
    woken: BTreeSet<Seat>,
    searches: BTreeMap<(Seat, Stage), Search>,
    /// Idle agents that were chosen by somebody whose turn it was on another one.
    chosen: BTreeSet<AgentId>,
}

/// How far somebody has looked.
#[derive(Default)]
struct Search {
    /// The agent that was chosen last.
    last: Option<AgentId>,
    changed: Progress,
    idle: Progress,
}

/// How far in each group of agents, named by the roles for which something is reserved there.
#[derive(Default)]
struct Progress(BTreeMap<Vec<RoleId>, Reached>);

#[derive(Clone, Copy, Default)]
enum Reached {
    #[default]
    Nothing,
    /// All before this one do not do.
    Slot(Slot),
    Everything,
}

impl Look {
    /// Whether whoever is next may take something of another agent than that on which it is its turn.
    pub(super) fn is_a_choice(&self) -> bool {
        self.rooms.len() > 1 || !self.woken.is_empty()
    }

    /// Notes what was given: several times of one agent to one member is one offer.
    pub(super) fn add(&mut self, agent: AgentId, seat: Seat, take: Take) {
        let Take { portion, units } = take;
        // Of most agents there is one.
        let pending = self.pending.entry(agent).or_insert_with(|| Vec::with_capacity(1));
        match pending.iter_mut().find(|other| other.seat == seat) {
            Some(other) => other.add(&portion, units),
            None => pending.push(Pending { seat, portion, units: units.into_iter().collect() }),
        }
    }

    /// What was given since the last call.
    pub(super) fn take_pending(&mut self) -> BTreeMap<AgentId, Vec<Pending>> {
        mem::take(&mut self.pending)
    }

    /// An idle agent that was chosen since it was looked at.
    pub(super) fn next_chosen(&mut self) -> Option<AgentId> {
        self.chosen.pop_first()
    }

    fn note_rooms(&mut self, agent: AgentId, rooms: Rooms) {
        if let Some(known) = self.rooms.get_mut(&agent)
            && *known != rooms
        {
            self.changed.remove(agent, known);
            self.changed.insert(agent, &rooms);
            *known = rooms;
        }
    }
}

impl Pending {
    /// More of the same agent, in one offer.
    fn add(&mut self, more: &Portion, units: Option<(WantKey, u32)>) {
        self.portion.give(more);
        let Some((key, count)) = units else { return };
        match self.units.iter_mut().find(|(other, _)| *other == key) {
            Some((_, sum)) => *sum += count,
            None => self.units.push((key, count)),
        }
    }
}

impl Allocator {
    /// A look at the agents that changed, and for these frameworks at the idle ones.
    pub(super) fn begin_look(&self, woken: &BTreeSet<Seat>) -> Look {
        let mut look = Look::default();
        if !self.is_anything_wanted() {
            return look;
        }
        look.woken.clone_from(woken);
        if self.dirty_agents.len() > 1 || !woken.is_empty() {
            for &agent in &self.dirty_agents {
                let holding = self.agents.get(&agent);
                let rooms = holding.map(|holding| Rooms::of(holding, &self.tree)).unwrap_or_default();
                look.changed.insert(agent, &rooms);
                look.rooms.insert(agent, rooms);
            }
        }
        look
    }

    /// Which agents the offers to a role are made of.
    pub(super) fn placement_of(&self, role: RoleId) -> Placement {
        self.tree.up_from(role).find_map(|(_, role)| role.placement).unwrap_or_default()
    }

    /// Where somebody takes something whose turn it is on the agent `here`, and what.
    pub(super) fn choose(&self, next: OfOne, here: AgentId, now: Now, look: &mut Look) -> (AgentId, Take) {
        let OfOne { seat, stage, most, take } = next;
        let member = &self.members[&seat];
        let Some(demand) = member.demand.as_ref().filter(|_| look.is_a_choice()) else { return (here, take) };
        let placement = self.placement_of(seat.role);
        let idle = look.woken.contains(&seat).then_some(&self.idle);
        let most = match placement {
            Placement::Binpack => most,
            // With half of its part at once no agent is left with less than the others in the end.
            Placement::Spread => {
                let urgency = if stage == Stage::Spare { Urgency::Spare } else { Urgency::Waiting };
                let open: u64 = demand.open(urgency).map(|(.., count)| u64::from(count)).sum();
                let in_reach = [Some(&look.changed), idle].into_iter().flatten();
                let orders = in_reach.flat_map(|slots| slots.of(&self.tree, seat.role));
                let agents: usize = orders.map(|(_, slots)| slots.len()).sum();
                let part = open / (2 * agents as u64).max(1);
                most.min(u32::try_from(part.max(1)).unwrap_or(u32::MAX))
            }
        };
        let would_take = |agent: AgentId| {
            let holding = self.agents.get(&agent).filter(|holding| holding.active)?;
            let case = Case { seat, member, agent, holding, free: &holding.free(), now };
            self.verdict(&case, stage, most, &mut |_, _| ())
        };
        let search = look.searches.entry((seat, stage)).or_default();
        if placement == Placement::Binpack
            && let Some((last, take)) = search.last.and_then(|last| Some((last, would_take(last)?)))
        {
            return (last, take);
        }
        let start = ((self.least_cpus(&BTreeSet::from([seat])), Bytes::ZERO), AgentId(0));
        let go_on = |progress: &mut Progress, slots: &Slots, would_take: &dyn Fn(AgentId) -> Option<Take>| {
            progress.go_on(placement, start, slots.of(&self.tree, seat.role), would_take)
        };
        let changed = go_on(&mut search.changed, &look.changed, &would_take);
        let take_idle = |agent: AgentId| if look.rooms.contains_key(&agent) { None } else { would_take(agent) };
        let idle = idle.and_then(|idle| go_on(&mut search.idle, idle, &take_idle));
        let best = best(placement, changed.into_iter().chain(idle));
        let (agent, take) = best.map_or((here, take), |((_, agent), take)| (agent, take));
        search.last = Some(agent);
        (agent, take)
    }

    /// Something was given of an agent to somebody whose turn it was on `here`.
    pub(super) fn note_given(&mut self, agent: AgentId, here: AgentId, was_dirty: bool, look: &mut Look) {
        if !look.is_a_choice() && agent == here {
            return;
        }
        self.note_idle(agent);
        look.note_rooms(agent, self.agents.get(&agent).map(|holding| holding.idle.clone()).unwrap_or_default());
        if agent != here && !was_dirty {
            // Nobody else has more of it than before.
            self.dirty_agents.remove(&agent);
            look.chosen.insert(agent);
        }
    }
}

impl Progress {
    /// The next that does, of all these.
    fn go_on<'a>(
        &mut self,
        placement: Placement,
        start: Slot,
        orders: impl Iterator<Item = (&'a [RoleId], &'a BTreeSet<Slot>)>,
        would_take: &dyn Fn(AgentId) -> Option<Take>,
    ) -> Option<(Slot, Take)> {
        let found = orders.filter_map(|(kept, slots)| {
            if !self.0.contains_key(kept) {
                self.0.insert(kept.to_vec(), Reached::Nothing);
            }
            self.0.get_mut(kept)?.go_on(placement, start, slots, would_take)
        });
        best(placement, found)
    }
}

/// The one that comes first in the order of a placement.
fn best(placement: Placement, found: impl Iterator<Item = (Slot, Take)>) -> Option<(Slot, Take)> {
    match placement {
        Placement::Binpack => found.min_by_key(|&(slot, _)| slot),
        Placement::Spread => found.max_by_key(|&(slot, _)| slot),
    }
}

impl Reached {
    /// The next in the order of a placement that does, from here on.
    fn go_on(
        &mut self,
        placement: Placement,
        start: Slot,
        slots: &BTreeSet<Slot>,
        would_take: &dyn Fn(AgentId) -> Option<Take>,
    ) -> Option<(Slot, Take)> {
        let does = |slot: &Slot| Some((*slot, would_take(slot.1)?));
        let found = match (placement, *self) {
            (_, Self::Everything) => None,
            (Placement::Binpack, Self::Nothing) => slots.range(start..).find_map(does),
            (Placement::Binpack, Self::Slot(from)) => slots.range(from..).find_map(does),
            (Placement::Spread, Self::Nothing) => slots.range(start..).rev().find_map(does),
            (Placement::Spread, Self::Slot(from)) => slots.range(start.min(from)..=from).rev().find_map(does),
        };
        *self = found.as_ref().map_or(Self::Everything, |&(slot, _)| Self::Slot(slot));
        found
    }
}
