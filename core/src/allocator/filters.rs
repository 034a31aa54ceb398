//! What frameworks have refused, and until when.
//!
//! Kept by agent, so that an agent that leaves takes its refusals along, and one look tells that everybody has refused it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::seat::Seat;
use crate::id::AgentId;
use crate::planted::{self, Bug};
use crate::resources::Resources;
use crate::time::Now;

/// Refusals kept for one framework in one role on one agent. One that refuses more sizes than these within their
/// time is asked again early, which costs a message.
pub(super) const REFUSALS_MAX: usize = 8;

/// All refusals that last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    on: BTreeMap<AgentId, OnAgent>,
    /// On which agents somebody has refused something.
    of: BTreeMap<Seat, BTreeSet<AgentId>>,
    /// For each agent, when the first of its refusals ends.
    deadlines: BTreeSet<(Now, AgentId)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OnAgent {
    refused: BTreeMap<Seat, Refusals>,
    ends: BTreeSet<(Now, Seat)>,
    /// How many of those that refused take whatever there is.
    blind: usize,
    /// Each of these refuses at least this much, where that is known. It may be less than they do.
    covered: Option<Resources>,
}

/// Of one framework in one role on one agent: nearly always one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusals {
    first: Refused,
    more: Vec<Refused>,
    /// Whether the framework takes whatever there is: it has not said what it wants.
    blind: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    resources: Resources,
    until: Now,
}

impl Refusals {
    fn iter(&self) -> impl Iterator<Item = &Refused> {
        core::iter::once(&self.first).chain(&self.more)
    }
}

impl Filters {
    /// Until when somebody refuses as much as this, or more; `None` when it does not.
    pub(super) fn hold(&self, seat: Seat, agent: AgentId, free: &Resources, now: Now) -> Option<Now> {
        let refusals = self.on.get(&agent)?.refused.get(&seat)?;
        let lasts = |refused: &&Refused| now < refused.until || planted::is(Bug::FilterKept);
        let covering = refusals.iter().filter(lasts).filter(|refused| refused.resources.contains(free));
        covering.map(|refused| refused.until).max()
    }

    /// Whether each of so many frameworks that take whatever there is has refused as much as this, for longer than now.
    /// May say no though they have.
    pub(super) fn are_everybodys(&self, blind: usize, agent: AgentId, free: &Resources, now: Now) -> bool {
        self.on.get(&agent).is_some_and(|on| {
            on.blind == blind
                && on.covered.as_ref().is_some_and(|covered| covered.contains(free))
                && on.ends.first().is_some_and(|&(until, _)| now < until)
        })
    }

    /// Everybody was asked, and each of those that take whatever there is refuses this much: so that they need not be asked
    /// one by one for as much again.
    pub(super) fn note_everybodys(&mut self, blind: usize, agent: AgentId, free: &Resources) {
        if let Some(on) = self.on.get_mut(&agent).filter(|on| on.blind == blind) {
            on.covered = Some(free.clone());
        }
    }

    pub(super) fn add(&mut self, seat: Seat, agent: AgentId, resources: Resources, until: Now, blind: bool) {
        let on = self.on.entry(agent).or_default();
        let deadline = on.ends.first().copied();
        if on.refused.is_empty() {
            on.covered = Some(resources.clone());
        } else if let Some(covered) = on.covered.as_mut().filter(|_| blind) {
            covered.cut_to(&resources);
        }
        let new = Refused { resources, until };
        match on.refused.get_mut(&seat) {
            None => {
                on.blind += usize::from(blind);
                on.refused.insert(seat, Refusals { first: new, more: Vec::new(), blind });
                self.of.entry(seat).or_default().insert(agent);
            }
            Some(refusals) => {
                for old in refusals.iter() {
                    on.ends.remove(&(old.until, seat));
                }
                let stays = |old: &Refused| old.until > until || !new.resources.contains(&old.resources);
                refusals.more.retain(stays);
                if refusals.more.len() + 1 == REFUSALS_MAX {
                    on.covered = None;
                    let ends_first = |(_, old): &(usize, &Refused)| old.until;
                    let first = refusals.more.iter().enumerate().min_by_key(ends_first).map(|(at, _)| at);
                    match first.filter(|&at| refusals.more[at].until < refusals.first.until) {
                        Some(at) => drop(refusals.more.swap_remove(at)),
                        None => refusals.first = refusals.more.swap_remove(0),
                    }
                }
                if stays(&refusals.first) {
                    refusals.more.push(new);
                } else {
                    refusals.first = new;
                }
            }
        }
        on.ends.extend(on.refused[&seat].iter().map(|kept| (kept.until, seat)));
        let first = on.ends.first().copied();
        self.move_deadline(agent, deadline, first);
    }

    pub(super) fn clear_seat(&mut self, seat: Seat) {
        for agent in self.of.remove(&seat).unwrap_or_default() {
            let Some(on) = self.on.get_mut(&agent) else { continue };
            let deadline = on.ends.first().copied();
            if let Some(refusals) = on.refused.remove(&seat) {
                on.blind -= usize::from(refusals.blind);
                for refused in refusals.iter() {
                    on.ends.remove(&(refused.until, seat));
                }
            }
            let first = on.ends.first().copied();
            if on.refused.is_empty() {
                self.on.remove(&agent);
            }
            self.move_deadline(agent, deadline, first);
        }
    }

    /// Forgets what some refuse of an agent.
    pub(super) fn forget(&mut self, agent: AgentId, whose: impl Fn(Seat) -> bool) {
        let Some(on) = self.on.get_mut(&agent) else { return };
        let deadline = on.ends.first().copied();
        let its: Vec<Seat> = on.refused.keys().copied().filter(|&seat| whose(seat)).collect();
        for seat in its {
            let Some(refusals) = on.refused.remove(&seat) else { continue };
            on.blind -= usize::from(refusals.blind);
            for refused in refusals.iter() {
                on.ends.remove(&(refused.until, seat));
            }
            if let Some(agents) = self.of.get_mut(&seat) {
                agents.remove(&agent);
            }
        }
        let first = on.ends.first().copied();
        if on.refused.is_empty() {
            self.on.remove(&agent);
        }
        self.move_deadline(agent, deadline, first);
    }

    pub(super) fn clear_agent(&mut self, agent: AgentId) {
        let Some(on) = self.on.remove(&agent) else { return };
        self.move_deadline(agent, on.ends.first().copied(), None);
        for seat in on.refused.keys() {
            if let Some(agents) = self.of.get_mut(seat) {
                agents.remove(&agent);
            }
        }
    }

    /// Frameworks that refuse something of an agent, with the agents that they do so on.
    pub(super) fn pairs(&self) -> usize {
        self.on.values().map(|on| on.refused.len()).sum()
    }

    /// How much is refused in each seat.
    pub(super) fn by_seat(&self) -> impl Iterator<Item = (Seat, usize)> {
        let refused = self.on.values().flat_map(|on| &on.refused);
        refused.map(|(&seat, refusals)| (seat, refusals.iter().count()))
    }

    #[cfg(test)]
    pub(super) fn refusals(&self) -> usize {
        self.by_seat().map(|(_, refusals)| refusals).sum()
    }

    pub(super) fn next_deadline(&self) -> Option<Now> {
        self.deadlines.first().map(|&(until, _)| until)
    }

    /// Drops what ends at `now` or earlier: which frameworks are to be asked again about which agents.
    pub(super) fn expire(&mut self, now: Now) -> Vec<(AgentId, Seat)> {
        let mut over = Vec::new();
        while let Some(&(until, agent)) = self.deadlines.first()
            && until <= now
        {
            let Some(on) = self.on.get_mut(&agent) else {
                self.deadlines.remove(&(until, agent));
                continue;
            };
            let deadline = on.ends.first().copied();
            while let Some(&(until, seat)) = on.ends.first()
                && until <= now
            {
                on.ends.pop_first();
                over.push((agent, seat));
                if planted::is(Bug::FilterKept) {
                    continue;
                }
                let Some(refusals) = on.refused.get_mut(&seat) else { continue };
                on.covered = on.covered.take().filter(|_| refusals.more.is_empty());
                refusals.more.retain(|refused| now < refused.until);
                if refusals.first.until <= now {
                    match refusals.more.pop() {
                        Some(other) => refusals.first = other,
                        None => {
                            on.blind -= usize::from(refusals.blind);
                            on.refused.remove(&seat);
                            if let Some(agents) = self.of.get_mut(&seat) {
                                agents.remove(&agent);
                            }
                        }
                    }
                }
            }
            let first = on.ends.first().copied();
            if on.refused.is_empty() {
                self.on.remove(&agent);
            }
            self.move_deadline(agent, deadline, first);
        }
        over
    }

    fn move_deadline(&mut self, agent: AgentId, from: Option<(Now, Seat)>, to: Option<(Now, Seat)>) {
        if from == to {
            return;
        }
        if let Some((from, _)) = from {
            self.deadlines.remove(&(from, agent));
        }
        if let Some((to, _)) = to {
            self.deadlines.insert((to, agent));
        }
    }
}
