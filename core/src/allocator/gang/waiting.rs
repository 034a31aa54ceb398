//! What is known of a gang that waits, so that an agent that changes costs no look at all the others.
//!
//! Whatever may have more room for it than before is asked about: agents that changed, and those of which a refusal ended. So a gang that
//! is short of room is as short until enough has been added up of that, and is forgotten here when its framework says something new.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::super::demand::{GangId, WantKey};
use super::super::seat::Seat;
use super::super::verdict::Case;
use crate::id::AgentId;
use crate::time::Now;

/// For so long a gang is left alone at first for which there would be room by number and was none in fact, and at most: for that all
/// agents are looked at again.
const LEAST_REST: Duration = Duration::from_millis(100);
const MOST_REST: Duration = Duration::from_secs(5);

/// Between two such looks, whosever gangs they are for.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks at agents that are too few to be rested from.
const FEW: usize = 256;

/// What is known of one gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// There are fewer places than it needs.
    Short(Vec<Lack>),
    /// There are enough for each of its wants, and not for all at once, or quotas are in the way.
    Rests {
        /// For so many of its tasks there was room; 0 where quotas left too little for all.
        fit: u32,
        /// In which look that was found.
        look: u64,
        until: Now,
        rest: Duration,
        /// When and where something may have become free meanwhile, which is looked at afterwards.
        asked: Option<(Now, AgentId)>,
    },
}

/// Fewer places than are needed: every agent that has some, and how many. One that changed since without being asked about may have
/// fewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    /// For the tasks of one want, or for all.
    pub(super) of: Option<WantKey>,
    needed: u32,
    places: BTreeMap<AgentId, u32>,
    sum: u32,
}

/// Gangs that had no room when they were last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Gangs {
    waiting: BTreeMap<(Seat, GangId), Waiting>,
    /// Those that rest and were asked about meanwhile.
    due: BTreeSet<(Now, Seat, GangId)>,
    /// None that rests is looked at before.
    pause: Now,
    /// How often it was looked at what changed. In one look nothing becomes free.
    look: u64,
    /// How often an agent was looked at for a gang.
    pub(super) examined: usize,
}

impl Lack {
    /// What is lacking of places on these agents; `None` when there are enough.
    pub(super) fn survey(
        of: Option<WantKey>,
        needed: u32,
        agents: impl Iterator<Item = (AgentId, u32)>,
    ) -> Option<Self> {
        let mut lack = Self { of, needed, places: BTreeMap::new(), sum: 0 };
        for (agent, places) in agents {
            lack.note(agent, places);
            if lack.is_met() {
                return None;
            }
        }
        Some(lack)
    }

    /// An agent has so many places now.
    pub(super) fn note(&mut self, agent: AgentId, places: u32) {
        let before = match places {
            0 => self.places.remove(&agent),
            _ => self.places.insert(agent, places),
        };
        self.sum = (self.sum - before.unwrap_or(0)).saturating_add(places);
    }

    pub(super) fn count_again(&mut self, places: impl Fn(AgentId) -> u32) {
        for agent in self.places.keys().copied().collect::<Vec<_>>() {
            self.note(agent, places(agent));
        }
    }

    pub(super) fn is_met(&self) -> bool {
        self.is_met_with(0)
    }

    /// Whether there are enough with so many more.
    pub(super) fn is_met_with(&self, more: u32) -> bool {
        self.sum.saturating_add(more) >= self.needed
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.places.keys()
    }
}

impl Gangs {
    pub(super) fn get(&self, seat: Seat, gang: GangId) -> Option<&Waiting> {
        self.waiting.get(&(seat, gang))
    }

    /// Whether a gang was looked at since its framework last said something.
    pub(in super::super) fn are_known(&self, seat: Seat, gang: GangId) -> bool {
        self.waiting.contains_key(&(seat, gang))
    }

    /// Of a gang that is short of room, what is known of it. It is to be kept again.
    pub(super) fn take_short(&mut self, seat: Seat, gang: GangId) -> Option<Vec<Lack>> {
        match self.waiting.get_mut(&(seat, gang))? {
            Waiting::Short(lacks) => Some(mem::take(lacks)),
            Waiting::Rests { .. } => None,
        }
    }

    pub(super) fn keep(&mut self, seat: Seat, gang: GangId, waiting: Waiting) {
        self.forget_one(seat, gang);
        self.waiting.insert((seat, gang), waiting);
    }

    pub(in super::super) fn begin_look(&mut self) {
        self.look += u64::from(!self.waiting.is_empty());
    }

    /// All agents were looked at for a gang, in vain: there was room for so many of its tasks. It rests if that took many looks.
    pub(super) fn rest(&mut self, seat: Seat, gang: GangId, now: Now, fit: u32, looks: usize) {
        let rest = match self.get(seat, gang) {
            _ if looks <= FEW => Duration::ZERO,
            Some(Waiting::Rests { rest, .. }) => (*rest * 2).clamp(LEAST_REST, MOST_REST),
            _ => LEAST_REST,
        };
        let look = self.look;
        self.keep(seat, gang, Waiting::Rests { fit, look, until: now + rest, rest, asked: None });
        if looks > FEW {
            self.pause = now + PAUSE;
        }
    }

    /// For how many tasks of a gang there was room when all agents were last looked at for it, while it rests from that.
    pub(in super::super) fn fit_while_resting(&self, seat: Seat, gang: GangId) -> Option<u32> {
        match self.get(seat, gang)? {
            Waiting::Rests { fit, .. } => Some(*fit),
            Waiting::Short(_) => None,
        }
    }

    /// Whether all agents may be looked at now for a gang that is not short of room, as far as is known: when one of its tasks has room
    /// on the agent at hand, and not while it rests. Then it is once that is over.
    pub(super) fn may_look(&mut self, case: &Case<'_>, gang: GangId, has_room: impl Fn() -> bool) -> bool {
        let (pause, this) = (self.pause, self.look);
        let Some(Waiting::Rests { look, until, rest, asked, .. }) = self.waiting.get_mut(&(case.seat, gang)) else {
            return has_room();
        };
        if *look == this || asked.is_none() && !has_room() {
            return false;
        }
        let from = if rest.is_zero() { *until } else { pause.max(*until) };
        if from <= case.now {
            return true;
        }
        if let Some((due, _)) = asked.replace((from, case.agent)) {
            self.due.remove(&(due, case.seat, gang));
        }
        self.due.insert((from, case.seat, gang));
        false
    }

    /// From when on all agents may be looked at once more for a gang that had no room there.
    pub(super) fn may_look_from(&self) -> Now {
        self.pause
    }

    pub(super) fn forget_one(&mut self, seat: Seat, gang: GangId) {
        if let Some(Waiting::Rests { asked: Some((due, _)), .. }) = self.waiting.remove(&(seat, gang)) {
            self.due.remove(&(due, seat, gang));
        }
    }

    /// Its framework wants something else.
    pub(in super::super) fn forget(&mut self, seat: Seat) {
        self.forget_those(seat, |_| true);
    }

    /// Its framework may have more than quotas left to it.
    pub(in super::super) fn forget_bound(&mut self, seat: Seat) {
        self.forget_those(seat, |waiting| matches!(waiting, Waiting::Rests { fit: 0, .. }));
    }

    fn forget_those(&mut self, seat: Seat, are_meant: impl Fn(&Waiting) -> bool) {
        let its = self.waiting.range((seat, 0)..=(seat, GangId::MAX)).filter(|(_, waiting)| are_meant(waiting));
        for gang in its.map(|(&(_, gang), _)| gang).collect::<Vec<_>>() {
            self.forget_one(seat, gang);
        }
    }

    /// Bounds have changed for everybody.
    pub(in super::super) fn forget_all(&mut self) {
        self.waiting.clear();
        self.due.clear();
    }

    pub(in super::super) fn next_deadline(&self) -> Option<Now> {
        self.due.first().map(|&(due, ..)| due.max(self.pause))
    }

    /// Whose rest is over, and on which agent it is to be asked. One at a time: for each, all agents are looked at.
    pub(in super::super) fn take_due(&mut self, now: Now) -> Option<(Seat, AgentId)> {
        self.next_deadline().filter(|due| *due <= now)?;
        let (_, seat, gang) = self.due.pop_first()?;
        match self.waiting.get(&(seat, gang)) {
            Some(Waiting::Rests { asked: Some((_, agent)), .. }) => Some((seat, *agent)),
            _ => None,
        }
    }

    /// How often an agent was looked at for a gang since this was last asked.
    pub(in super::super) fn take_examined(&mut self) -> usize {
        mem::take(&mut self.examined)
    }
}
