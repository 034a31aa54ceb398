//! Agents are looked at a slice at a time: when thousands change at once, whoever else wants something decided does not wait for all.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::Allocator;
use super::seat::Seat;
use crate::id::AgentId;

/// Agents that changed and have not been looked at since: the slices to come, by id and in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    agents: BTreeMap<AgentId, For>,
    /// The last agent of the last slice. The next begins behind it.
    last: Option<AgentId>,
}

/// For whom an agent is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum For {
    Everybody,
    These(BTreeSet<Seat>),
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// Agents that have something for everybody.
    pub(super) fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.agents.keys().copied()
    }

    pub(super) fn remove(&mut self, agent: AgentId) {
        self.agents.remove(&agent);
    }

    fn add(&mut self, agent: AgentId) {
        self.agents.insert(agent, For::Everybody);
    }

    fn add_for(&mut self, agent: AgentId, seats: BTreeSet<Seat>) {
        match self.agents.get_mut(&agent) {
            Some(For::Everybody) => {}
            Some(For::These(these)) => these.extend(seats),
            None => {
                self.agents.insert(agent, For::These(seats));
            }
        }
    }

    /// Those of some agents that are in it.
    fn those_among<'a>(&self, agents: impl IntoIterator<Item = &'a AgentId>) -> Vec<AgentId> {
        agents.into_iter().filter(|agent| self.agents.contains_key(agent)).copied().collect()
    }

    /// Whether the last slice ended a round: every agent that waited when it began has been looked at.
    fn ends_round(&self) -> bool {
        self.last.is_none_or(|last| self.agents.range(last..).next().is_none())
    }

    /// The next so many.
    fn take(&mut self, count: usize) -> Vec<(AgentId, For)> {
        let begin = self.last.map_or(0, |last| last.0.saturating_add(1));
        let in_turn = self.agents.range(AgentId(begin)..).chain(self.agents.range(..AgentId(begin)));
        let slice: Vec<AgentId> = in_turn.map(|(&agent, _)| agent).take(count).collect();
        self.last = slice.last().copied().or(self.last);
        slice.into_iter().filter_map(|agent| self.agents.remove_entry(&agent)).collect()
    }
}

impl Allocator {
    /// Whether agents that changed wait for the next allocation, because there were more than the last one looked at. They are in the
    /// order of their ids, and each has its turn, whatever changes meanwhile.
    pub fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Leaves `most` agents to be looked at now, and puts the others into the backlog. What changed just now comes first, since
    /// somebody may wait for it, and beside it at least half a slice of what waits; what changes while it waits keeps its turn. Says
    /// whether every agent that waited for long has had its turn with this slice.
    pub(super) fn cut_slice(&mut self, most: usize) -> bool {
        let most = most.max(1);
        if self.backlog.is_empty() && self.dirty_agents.len() + self.woken_on.len() <= most {
            return true;
        }
        for agent in self.backlog.those_among(&self.dirty_agents) {
            self.dirty_agents.remove(&agent);
            self.backlog.add(agent);
        }
        for agent in self.backlog.those_among(self.woken_on.keys()) {
            self.backlog.add_for(agent, self.woken_on.remove(&agent).unwrap_or_default());
        }
        let fresh = self.dirty_agents.len() + self.woken_on.len();
        let waiting = self.backlog.take(most.saturating_sub(fresh).max(most.div_ceil(2)));
        let ends_round = !waiting.is_empty() && self.backlog.ends_round();
        let mut room = most.saturating_sub(waiting.len());
        for agent in behind(&self.dirty_agents, room) {
            self.dirty_agents.remove(&agent);
            self.backlog.add(agent);
        }
        room = room.saturating_sub(self.dirty_agents.len());
        for agent in behind(self.woken_on.keys(), room) {
            self.backlog.add_for(agent, self.woken_on.remove(&agent).unwrap_or_default());
        }
        for (agent, asked) in waiting {
            match asked {
                For::Everybody => {
                    self.dirty_agents.insert(agent);
                }
                For::These(seats) => self.woken_on.entry(agent).or_default().extend(seats),
            }
        }
        ends_round
    }

    /// Of many idle agents, those that take whatever there is look at one slice after another as well.
    pub(super) fn spread(&mut self, woken: &mut BTreeSet<Seat>, most: usize) {
        // No agent is idle that is not known, and to count the idle ones takes longer.
        if self.agents.len() <= most {
            return;
        }
        let is_blind = |seat: &Seat| self.members.get(seat).is_some_and(|known| known.demand.is_none());
        let takes_all = |seat: &Seat| is_blind(seat) && self.would_take(*seat);
        let blind: BTreeSet<Seat> = woken.iter().copied().filter(takes_all).collect();
        if !blind.is_empty() {
            woken.retain(|seat| !blind.contains(seat));
            for agent in self.idle.agents() {
                self.woken_on.entry(agent).or_default().extend(&blind);
            }
        }
    }
}

/// All but the first so many.
fn behind<'a>(agents: impl IntoIterator<Item = &'a AgentId>, first: usize) -> Vec<AgentId> {
    agents.into_iter().skip(first).copied().collect()
}
