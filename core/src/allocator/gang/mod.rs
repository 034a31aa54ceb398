//! Wants that are met together or not at all: whether the whole of a gang has room now, over all agents, and where.
//!
//! Nothing is ever kept for a gang while it waits, so no two of them can wait for what the other has: whoever is next and fits
//! whole gets all of it at once.
//!
//! | room | its one idea |
//! |---|---|
//! | `waiting` | what is known of a gang that waits, so that it is not looked for anew with each agent that changes |
//! | `place` | a place for each of its tasks, the largest first |
//! | `search` | the same by trying, where that is not enough |
//! | `contest` | which open offers give way to it |

mod contest;
mod place;
mod search;
mod waiting;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::demand::{Gang, WantKey};
use super::ledger::Holding;
use super::seat::Seat;
use super::verdict::{Case, Passed, Take, how_often};
use super::{Allocator, Member};
use crate::demand::Want;
use crate::id::AgentId;
use crate::quantity::{Bytes, MilliCpu};
use crate::reservation::Portion;
use crate::time::Now;

pub(super) use waiting::Gangs;

use waiting::{Lack, Waiting};

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

/// Whose gangs they are, and when they are looked at.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) seat: Seat,
    pub(super) member: &'a Member,
    pub(super) now: Now,
}

impl<'a> Asking<'a> {
    fn of(case: &Case<'a>) -> Self {
        Self { seat: case.seat, member: case.member, now: case.now }
    }

    fn on(self, agent: AgentId, holding: &'a Holding, free: &'a Portion) -> Case<'a> {
        let Self { seat, member, now } = self;
        Case { seat, member, agent, holding, free, now }
    }
}

/// Where to look for a gang.
enum Within {
    /// There is no room, or it is not to be looked for now.
    Nowhere,
    /// There is room nowhere else.
    These(Usable),
    Everywhere,
}

impl Allocator {
    /// The places of the first gang of a framework that has room, now that something may have changed on the agent at hand; `passes`
    /// hears what bounds each gang before it.
    pub(super) fn places_of_gang(&self, case: &Case<'_>, passes: &mut dyn FnMut(Passed<'_>)) -> Option<Places> {
        let mut gangs = case.member.demand.as_ref()?.gangs().peekable();
        gangs.peek()?;
        let (asking, usable) = (Asking::of(case), self.usable(case));
        let mut all = None;
        for gang in gangs {
            let these;
            let rooms = match self.where_to_look(case, &gang, &usable) {
                Within::Nowhere => continue,
                Within::These(rooms) => {
                    these = rooms;
                    &these
                }
                Within::Everywhere => all.get_or_insert_with(|| self.rooms_for(asking, Some(case.agent))),
            };
            match self.look_for(asking, &gang, rooms) {
                Ok(places) => return Some(places),
                Err(bound) => bound.into_iter().for_each(&mut *passes),
            }
        }
        None
    }

    /// Where a gang could have room, by what is known of it and what is usable on the agent at hand.
    fn where_to_look(&self, case: &Case<'_>, gang: &Gang<'_>, usable: &Portion) -> Within {
        let here = || self.could_take(case, gang, None, usable) > 0;
        let mut gangs = self.gangs.borrow_mut();
        let Some(mut lacks) = gangs.take_short(case.seat, gang.id) else {
            return match gangs.may_look(case, gang.id, here) {
                true => Within::Everywhere,
                false => Within::Nowhere,
            };
        };
        for lack in &mut lacks {
            lack.note(case.agent, self.could_take(case, gang, lack.of, usable));
        }
        let mut rooms = Usable::new();
        if lacks.iter().all(Lack::is_met) {
            // Others may have taken something of these agents.
            for &agent in lacks.iter().flat_map(Lack::agents) {
                rooms.entry(agent).or_insert_with(|| self.room_on(Asking::of(case), agent));
            }
            gangs.examined += rooms.len();
            for lack in &mut lacks {
                let of = lack.of;
                lack.count_again(|agent| self.could_take_there(Asking::of(case), agent, gang, of, &rooms));
            }
        }
        let is_met = lacks.iter().all(Lack::is_met);
        gangs.keep(case.seat, gang.id, Waiting::Short(lacks));
        match (is_met, gang.wants.len()) {
            (false, _) => Within::Nowhere,
            (true, 1) => Within::These(rooms),
            (true, _) => Within::Everywhere,
        }
    }

    /// The places of a gang in these rooms, which are all that there are for it. Where there are none, what is known of it then.
    fn look_for(&self, asking: Asking<'_>, gang: &Gang<'_>, rooms: &Usable) -> Result<Places, Option<Passed<'static>>> {
        let Asking { seat, now, .. } = asking;
        let before = self.gangs.borrow().examined;
        self.gangs.borrow_mut().examined += rooms.len();
        let there = |of, agent| (agent, self.could_take_there(asking, agent, gang, of, rooms));
        let survey = |of, needed| Lack::survey(of, needed, rooms.keys().map(|&agent| there(of, agent)));
        let mut lacks: Vec<Lack> = gang.wants.iter().filter_map(|&(key, _, count)| survey(Some(key), count)).collect();
        if lacks.is_empty() && gang.wants.len() > 1 {
            lacks.extend(survey(None, gang.tasks()));
        }
        if !lacks.is_empty() {
            self.gangs.borrow_mut().keep(seat, gang.id, Waiting::Short(lacks));
            return Err(None);
        }
        let placed = self.places_in(asking, gang, rooms);
        let mut gangs = self.gangs.borrow_mut();
        match placed {
            Ok(places) => {
                gangs.forget_one(seat, gang.id);
                Ok(places)
            }
            Err(unmet) => {
                let (fit, bound) = match unmet {
                    Unmet::Room(fit) => (fit, None),
                    Unmet::Bound(bound) => (0, Some(bound)),
                };
                let looks = gangs.examined - before;
                gangs.rest(seat, gang.id, now, fit, looks);
                Err(bound)
            }
        }
    }

    /// What is free and may be used by somebody, of every agent that has something free.
    pub(super) fn rooms_for(&self, asking: Asking<'_>, also: Option<AgentId>) -> Usable {
        let least = asking.member.demand.as_ref().map(|demand| demand.wants().map(|want| want.resources.cpus).min());
        let least = least.flatten().unwrap_or(MilliCpu::ZERO);
        let orders = self.idle.of(&self.tree, asking.seat.role).map(|(_, slots)| slots);
        let idle = orders.flat_map(|slots| slots.range(((least, Bytes::ZERO), AgentId(0))..)).map(|&(_, agent)| agent);
        let changed = self.dirty_agents.iter().copied().chain(self.backlog.agents());
        let agents = idle.chain(changed).chain(also);
        let is_active = |agent: &AgentId| self.agents.get(agent).is_some_and(|holding| holding.active);
        let mut rooms = Usable::new();
        for agent in agents.filter(is_active) {
            rooms.entry(agent).or_insert_with(|| self.room_on(asking, agent));
        }
        rooms
    }

    /// The same of one agent; nothing of one that is not active.
    fn room_on(&self, asking: Asking<'_>, agent: AgentId) -> Portion {
        let Some(holding) = self.agents.get(&agent).filter(|holding| holding.active) else { return Portion::default() };
        let free = holding.free();
        self.usable(&asking.on(agent, holding, &free)).into_owned()
    }

    /// How many tasks of a gang an agent could take, of one want or of all. May be too many where it is all, and never too few.
    fn could_take(&self, case: &Case<'_>, gang: &Gang<'_>, of: Option<WantKey>, room: &Portion) -> u32 {
        let its = gang.wants.iter().filter(|(key, ..)| of.is_none_or(|of| of == *key));
        let counts = its.map(|&(_, want, count)| match self.has_room_for(case, want, room) {
            true if case.holding.is_one_at_a_time(&want.volumes) => 1,
            true => how_often(&want.resources, &room.resources, count),
            false => 0,
        });
        counts.sum()
    }

    /// The same of an agent with the room that it has among these.
    fn could_take_there(
        &self,
        asking: Asking<'_>,
        agent: AgentId,
        gang: &Gang<'_>,
        of: Option<WantKey>,
        rooms: &Usable,
    ) -> u32 {
        let (Some(room), Some(holding)) = (rooms.get(&agent), self.agents.get(&agent)) else { return 0 };
        self.could_take(&asking.on(agent, holding, room), gang, of, room)
    }

    /// Whether there is room for one such task on an agent, as far as quotas do not matter.
    pub(super) fn has_room_for(&self, case: &Case<'_>, want: &Want, room: &Portion) -> bool {
        room.resources.contains(&want.resources)
            && room.has_volumes(&want.volumes)
            && want.suits(case.holding.info.traits()).is_ok()
            && self.filters.hold(case.seat, case.agent, &want.resources, case.now).is_none()
    }
}
