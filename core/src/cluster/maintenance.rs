//! Maintenance windows: made, begun, ended, cancelled.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::effect::{Change, Effect};
use super::refusal::Refusal;
use super::state::State;
use super::tally::OfferEnd;
use super::{inverse, offers, withdrawal};
use crate::id::{AgentId, MaintenanceId};
use crate::time::Now;
use crate::upkeep::{Cause, Maintenance, Unavailability};

/// Windows that are known. A window of a few agents for every day of three years.
const WINDOWS_MAX: usize = 1_000;

/// Agents of all windows together: each of the largest cluster once. A few megabytes.
const AGENTS_MAX: usize = 100_000;

/// Every window that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows {
    all: BTreeMap<MaintenanceId, Window>,
    /// Those of each agent. They do not overlap, so that the first is the next.
    by_agent: BTreeMap<AgentId, BTreeSet<(Unavailability, MaintenanceId)>>,
    /// When something is due: the start of those that have not begun, the end of the others. Milliseconds since 1970.
    due: BTreeSet<(u64, MaintenanceId)>,
    /// The highest number ever given.
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) maintenance: Maintenance,
    pub(super) has_begun: bool,
}

impl Window {
    fn due_ms(&self) -> u64 {
        let when = self.maintenance.when;
        if self.has_begun { when.end_ms() } else { when.start_ms }
    }
}

impl Windows {
    /// None; their numbers will be above `last`.
    pub(super) fn above(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    /// As the registry remembers it. It begins, if it has begun, with the first word of the wall clock.
    pub(super) fn insert(&mut self, id: MaintenanceId, maintenance: Maintenance) {
        self.last = self.last.max(id.0);
        for &agent in &maintenance.agents {
            self.by_agent.entry(agent).or_default().insert((maintenance.when, id));
        }
        self.due.insert((maintenance.when.start_ms, id));
        self.all.insert(id, Window { maintenance, has_begun: false });
    }

    pub(super) fn iter_after(&self, after: Option<MaintenanceId>) -> impl Iterator<Item = (MaintenanceId, &Window)> {
        let rest = self.all.range((super::views::above(after), core::ops::Bound::Unbounded));
        rest.map(|(&id, window)| (id, window))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When an agent will not be there, or is not now.
    pub(super) fn next_of(&self, agent: AgentId) -> Option<Unavailability> {
        self.by_agent.get(&agent)?.first().map(|&(when, _)| when)
    }

    /// When an agent will not be there, unless that has begun already.
    pub(super) fn upcoming(&self, agent: AgentId) -> Option<Unavailability> {
        let &(when, id) = self.by_agent.get(&agent)?.first()?;
        (!self.has_begun(id)).then_some(when)
    }

    pub(super) fn has_begun(&self, id: MaintenanceId) -> bool {
        self.all.get(&id).is_some_and(|window| window.has_begun)
    }

    /// The window in which an agent is now.
    pub(super) fn under_way(&self, agent: AgentId) -> Option<MaintenanceId> {
        self.by_agent.get(&agent)?.iter().map(|&(_, id)| id).find(|&id| self.has_begun(id))
    }

    /// Whether there is such a window, be it under way or to come.
    pub(super) fn is_known(&self, id: MaintenanceId) -> bool {
        self.all.contains_key(&id)
    }

    /// Whether it makes a difference that the wall clock says this, in milliseconds since 1970.
    pub(super) fn is_due(&self, wall_ms: u64) -> bool {
        self.due.first().is_some_and(|&(at, _)| at <= wall_ms)
    }

    fn overlapping(&self, maintenance: &Maintenance) -> Option<(AgentId, MaintenanceId)> {
        maintenance.agents.iter().find_map(|agent| {
            let others = self.by_agent.get(agent)?;
            let other = others.iter().find(|(when, _)| when.overlaps(maintenance.when))?;
            Some((*agent, other.1))
        })
    }

    fn begin(&mut self, id: MaintenanceId) {
        if let Some(window) = self.all.get_mut(&id) {
            self.due.remove(&(window.due_ms(), id));
            window.has_begun = true;
            self.due.insert((window.due_ms(), id));
        }
    }

    fn remove(&mut self, id: MaintenanceId) -> Option<Window> {
        let window = self.all.remove(&id)?;
        self.due.remove(&(window.due_ms(), id));
        for agent in &window.maintenance.agents {
            self.remove_from(*agent, window.maintenance.when, id);
        }
        Some(window)
    }

    fn remove_from(&mut self, agent: AgentId, when: Unavailability, id: MaintenanceId) {
        if let Some(of_agent) = self.by_agent.get_mut(&agent) {
            of_agent.remove(&(when, id));
            if of_agent.is_empty() {
                self.by_agent.remove(&agent);
            }
        }
    }
}

/// Makes a window. `wall_ms` is what the wall clock says, in milliseconds since 1970.
pub(super) fn schedule(
    state: &mut State,
    now: Now,
    maintenance: Maintenance,
    wall_ms: u64,
    out: &mut Vec<Effect>,
) -> Result<MaintenanceId, Refusal> {
    maintenance.check(wall_ms)?;
    let is_unknown = |id: &&AgentId| !state.agents.contains_key(id) && !state.enrolled.contains(**id);
    if let Some(&unknown) = maintenance.agents.iter().find(is_unknown) {
        return Err(Refusal::AgentUnknown(unknown));
    }
    if let Some((agent, other)) = state.maintenance.overlapping(&maintenance) {
        return Err(Refusal::MaintenanceOverlaps(agent, other));
    }
    if state.maintenance.len() >= WINDOWS_MAX {
        return Err(Refusal::TooManyMaintenances(WINDOWS_MAX));
    }
    let agents: usize = state.maintenance.all.values().map(|window| window.maintenance.agents.len()).sum();
    if agents + maintenance.agents.len() > AGENTS_MAX {
        return Err(Refusal::TooManyInMaintenance(AGENTS_MAX));
    }
    let id = MaintenanceId(state.maintenance.last + 1);
    out.push(Effect::Remember(Change::MaintenanceRecorded(id, maintenance.clone())));
    changing(state, &maintenance.agents.clone(), out, |state| state.maintenance.insert(id, maintenance));
    if state.maintenance.is_due(wall_ms) {
        wall_clock(state, now, wall_ms, out);
    }
    out.push(Effect::Scheduled(id));
    Ok(id)
}

/// Ends a window before its time, or before it has begun.
pub(super) fn cancel(state: &mut State, now: Now, id: MaintenanceId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    if !state.maintenance.is_known(id) {
        return Err(Refusal::MaintenanceUnknown(id));
    }
    end(state, now, id, out);
    Ok(())
}

/// The wall clock says so: windows begin and end. What has begun does not begin again when it is set back.
pub(super) fn wall_clock(state: &mut State, now: Now, wall_ms: u64, out: &mut Vec<Effect>) {
    while let Some(&(_, id)) = state.maintenance.due.first().filter(|(at, _)| *at <= wall_ms) {
        let Window { maintenance, has_begun } = &state.maintenance.all[&id];
        // Nobody is drained for one that is over before it was seen to begin.
        match *has_begun || maintenance.when.end_ms() <= wall_ms {
            true => end(state, now, id, out),
            false => begin(state, now, id, out),
        }
    }
}

/// An agent's id is nobody's any more: it is in no window.
pub(super) fn forget_agent(state: &mut State, agent: AgentId, out: &mut Vec<Effect>) {
    for (when, id) in state.maintenance.by_agent.remove(&agent).unwrap_or_default() {
        let Some(window) = state.maintenance.all.get_mut(&id) else { continue };
        window.maintenance.agents.remove(&agent);
        if window.maintenance.agents.is_empty() {
            state.maintenance.remove(id);
            out.push(Effect::Remember(Change::MaintenanceEnded(id)));
        } else {
            debug_assert_eq!(window.maintenance.when, when);
            out.push(Effect::Remember(Change::MaintenanceRecorded(id, window.maintenance.clone())));
        }
    }
    inverse::forget_agent(state, agent, out);
}

fn begin(state: &mut State, now: Now, id: MaintenanceId, out: &mut Vec<Effect>) {
    let Maintenance { agents, grace, .. } = state.maintenance.all[&id].maintenance.clone();
    changing(state, &agents, out, |state| state.maintenance.begin(id));
    for agent in agents {
        withdrawal::drain_for(state, now, agent, grace, Cause::Maintenance(id), out);
    }
}

fn end(state: &mut State, now: Now, id: MaintenanceId, out: &mut Vec<Effect>) {
    let Maintenance { agents, .. } = state.maintenance.all[&id].maintenance.clone();
    changing(state, &agents, out, |state| drop(state.maintenance.remove(id)));
    out.push(Effect::Remember(Change::MaintenanceEnded(id)));
    for agent in agents {
        withdrawal::end_cause(state, agent, Cause::Maintenance(id), out);
        // The next one may have begun in the same moment.
        if let Some(other) = state.maintenance.under_way(agent) {
            let grace = state.maintenance.all[&other].maintenance.grace;
            withdrawal::drain_for(state, now, agent, grace, Cause::Maintenance(other), out);
        }
    }
}

/// Changes when agents will not be there. Whoever was told something else of one of them is told anew: it is offered
/// again, and whoever holds something there is asked again.
fn changing(state: &mut State, agents: &BTreeSet<AgentId>, out: &mut Vec<Effect>, change: impl FnOnce(&mut State)) {
    let before: Vec<_> = agents.iter().map(|&agent| (agent, state.maintenance.upcoming(agent))).collect();
    change(state);
    for (agent, before) in before {
        if state.maintenance.upcoming(agent) != before {
            let open = state.allocator.offers_of(agent);
            offers::rescind(state, open, OfferEnd::Rescinded, out);
            inverse::ask_anew(state, agent, out);
        }
    }
}
