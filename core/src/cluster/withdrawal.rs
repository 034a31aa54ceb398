//! Agents that take no tasks, because somebody wants it so: deactivated, draining, drained.
//!
//! What is decided here is kept by the agent's id, apart from what is known of the agent: it holds while the agent is
//! away, over masters, and for an agent that leaves and comes back with its certificate.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{AgentOrder, Announcement, Change, Effect};
use super::refusal::Refusal;
use super::state::{Presence, State};
use super::tally::OfferEnd;
use super::timers::Timer;
use super::{agents, offers};
use crate::allocator::Withheld;
use crate::id::{AgentId, TaskId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::task::{Reason, TaskState};
use crate::time::Now;
use crate::upkeep::{Cause, Drain, Phase, Withdrawal};

/// How long an agent on which nothing runs any more is not called drained, for frameworks to take note of the last ends.
/// They do within milliseconds; the master repeats to them what is left.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// Every agent that takes no tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Withdrawn {
    all: BTreeMap<AgentId, Withdrawal>,
    /// Draining ones about which something changed: they may be drained now.
    changed: BTreeSet<AgentId>,
    /// Draining ones on which nothing runs, and until when the ends that nobody has acknowledged are waited for.
    settling: BTreeMap<AgentId, Now>,
}

impl Withdrawn {
    pub(super) fn get(&self, id: AgentId) -> Option<Withdrawal> {
        self.all.get(&id).copied()
    }

    /// Something ended on an agent, or is acknowledged.
    pub(super) fn note(&mut self, id: AgentId) {
        if self.draining(id).is_some() {
            self.changed.insert(id);
        }
    }

    fn draining(&self, id: AgentId) -> Option<Drain> {
        match self.all.get(&id)?.phase {
            Phase::Draining(drain) => Some(drain),
            Phase::Deactivated | Phase::Drained => None,
        }
    }
}

/// As the registry remembers it.
pub(super) fn recover(state: &mut State, id: AgentId, withdrawal: Withdrawal) {
    let is_over = match withdrawal.cause {
        Cause::Maintenance(window) => withdrawal.phase == Phase::Drained && !state.maintenance.is_known(window),
        Cause::Operator => false,
    };
    // Such a row is left when a master dies in the midst of writing.
    if is_over || check_known(state, id).is_err() {
        return;
    }
    state.withdrawn.all.insert(id, withdrawal);
    if let Phase::Draining(drain) = withdrawal.phase {
        state.timers.set(drain.kill_at, Timer::Drain(id));
        state.withdrawn.changed.insert(id);
    }
}

pub(super) fn deactivate(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    check_known(state, id)?;
    if let Some(withdrawal) = state.withdrawn.get(id) {
        return Err(Refusal::Withdrawn(id, withdrawal.phase));
    }
    withdraw(state, id, Withdrawal { phase: Phase::Deactivated, since: now, cause: Cause::Operator }, out);
    Ok(())
}

/// An operator's word. Said again of an agent that drains, it changes the time that is left and what follows.
pub(super) fn drain(
    state: &mut State,
    now: Now,
    id: AgentId,
    grace: Duration,
    mark_gone: bool,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    check_known(state, id)?;
    if grace > Drain::GRACE_MAX {
        return Err(Refusal::GraceTooLong(grace));
    }
    if state.withdrawn.get(id).is_some_and(|known| known.phase == Phase::Drained) {
        match mark_gone {
            true => agents::retire(state, now, id, out),
            // It stays so until an operator thinks otherwise.
            false => withdraw(state, id, Withdrawal { cause: Cause::Operator, ..state.withdrawn.all[&id] }, out),
        }
        return Ok(());
    }
    begin_drain(state, now, id, Drain { kill_at: now + grace, mark_gone }, Cause::Operator, out);
    Ok(())
}

/// A maintenance window begins. What an operator has decided holds beyond its end.
pub(super) fn drain_for(
    state: &mut State,
    now: Now,
    id: AgentId,
    grace: Duration,
    cause: Cause,
    out: &mut Vec<Effect>,
) {
    let cause = match state.withdrawn.get(id) {
        Some(Withdrawal { phase: Phase::Draining(_) | Phase::Drained, .. }) => return,
        Some(withdrawal) => withdrawal.cause,
        None => cause,
    };
    begin_drain(state, now, id, Drain { kill_at: now + grace, mark_gone: false }, cause, out);
}

fn begin_drain(state: &mut State, now: Now, id: AgentId, drain: Drain, cause: Cause, out: &mut Vec<Effect>) {
    let before = state.withdrawn.draining(id);
    if let Some(before) = before {
        state.timers.cancel(before.kill_at, Timer::Drain(id));
    }
    let since = if before.is_some() { state.withdrawn.all[&id].since } else { now };
    if drain.kill_at > now {
        state.timers.set(drain.kill_at, Timer::Drain(id));
    }
    withdraw(state, id, Withdrawal { phase: Phase::Draining(drain), since, cause }, out);
    end_tasks(state, now, id, out);
    state.withdrawn.note(id);
}

pub(super) fn reactivate(state: &mut State, id: AgentId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    check_known(state, id)?;
    let withdrawal = state.withdrawn.get(id).ok_or(Refusal::NotWithdrawn(id))?;
    if matches!(withdrawal.phase, Phase::Draining(_)) {
        return Err(Refusal::StillDraining(id));
    }
    if let Some(window) = state.maintenance.under_way(id) {
        return Err(Refusal::InMaintenance(id, window));
    }
    restore(state, id, out);
    Ok(())
}

/// A maintenance window has ended, and with it what it brought about. What was told to end ends all the same: an agent
/// with such tasks takes new ones after that. One that was away all the time keeps what it runs.
pub(super) fn end_cause(state: &mut State, id: AgentId, cause: Cause, out: &mut Vec<Effect>) {
    let is_to_end = |task: &TaskId| state.tasks[task].status.state == TaskState::Killing;
    let ends_tasks = state.agents.get(&id).is_some_and(|agent| agent.tasks.iter().any(is_to_end));
    if state.withdrawn.get(id).is_some_and(|known| known.cause == cause) && !ends_tasks {
        restore(state, id, out);
    }
}

/// What was decided of an agent's id means nothing any more: nobody can come back under it.
pub(super) fn forget(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    drain_no_more(state, id);
    if state.withdrawn.all.remove(&id).is_some() {
        out.push(Effect::Remember(Change::AgentReactivated(id)));
    }
}

/// It is known what an agent holds that came back: if it drains, that is to end.
pub(super) fn came_back(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    if state.withdrawn.draining(id).is_some() {
        settle_no_more(state, id);
        end_tasks(state, now, id, out);
        state.withdrawn.note(id);
    }
    offer_or_not(state, id);
}

/// The time of what an agent still runs is over, or that in which its ends are acknowledged.
pub(super) fn time_out(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    kill_rest(state, now, id, out);
    state.withdrawn.note(id);
}

/// Those that drain, and have come to the end of it: once, at the end of a batch of commands.
pub(super) fn settle(state: &mut State, now: Now, out: &mut Vec<Effect>) {
    while let Some(id) = state.withdrawn.changed.pop_first() {
        let Some(drain) = state.withdrawn.draining(id) else { continue };
        if !is_empty(state, now, id) {
            continue;
        }
        drain_no_more(state, id);
        if drain.mark_gone {
            agents::retire(state, now, id, out);
            continue;
        }
        let cause = match state.withdrawn.all[&id].cause {
            // That window has ended meanwhile; another may have begun.
            Cause::Maintenance(window) if !state.maintenance.is_known(window) => {
                state.maintenance.under_way(id).map(Cause::Maintenance)
            }
            cause => Some(cause),
        };
        match cause {
            Some(cause) => withdraw(state, id, Withdrawal { phase: Phase::Drained, since: now, cause }, out),
            None => restore(state, id, out),
        }
    }
}

/// Whether nothing runs on an agent that drains, and nothing is to be waited for.
fn is_empty(state: &mut State, now: Now, id: AgentId) -> bool {
    let Some(agent) = state.agents.get(&id) else {
        // It left, or was given up: its tasks are told as gone.
        return true;
    };
    let is_there = matches!(agent.presence, Presence::Connected(_)) && agent.registering.is_none();
    let runs = !state.allocator.allocated_on(id).is_empty() && !planted::is(Bug::DrainedTooEarly);
    if !is_there || runs {
        settle_no_more(state, id);
        return false;
    }
    if agent.tasks.is_empty() || planted::is(Bug::DrainedTooEarly) {
        return true;
    }
    match state.withdrawn.settling.get(&id) {
        Some(&until) => until <= now,
        None => {
            let until = now + ACKNOWLEDGED_WITHIN;
            state.withdrawn.settling.insert(id, until);
            state.timers.set(until, Timer::Drain(id));
            false
        }
    }
}

/// Nothing is due of a drain any more.
fn drain_no_more(state: &mut State, id: AgentId) {
    settle_no_more(state, id);
    state.withdrawn.changed.remove(&id);
    if let Some(drain) = state.withdrawn.draining(id) {
        state.timers.cancel(drain.kill_at, Timer::Drain(id));
    }
}

fn settle_no_more(state: &mut State, id: AgentId) {
    if let Some(until) = state.withdrawn.settling.remove(&id) {
        state.timers.cancel(until, Timer::Drain(id));
    }
}

/// Tells frameworks that what they run there ends, and kills it when its time is over.
fn end_tasks(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let Some(drain) = state.withdrawn.draining(id) else { return };
    let Some(agent) = state.agents.get(&id) else { return };
    let left = drain.kill_at.since(now);
    let why = match left.is_zero() {
        true => "its agent is drained".to_string(),
        false => format!("its agent is drained: what still runs there is killed in {left:.0?}"),
    };
    let tasks: Vec<TaskId> = agent.tasks.iter().copied().collect();
    for task in tasks {
        state.declare(now, task, TaskEvent::KillRequested, Reason::AgentDraining, &why, out);
    }
    kill_rest(state, now, id, out);
}

fn kill_rest(state: &State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let is_over = state.withdrawn.draining(id).is_some_and(|drain| drain.kill_at <= now);
    let registers = state.agents.get(&id).is_some_and(|agent| agent.registering.is_some());
    let runs = !state.allocator.allocated_on(id).is_empty();
    if let Some(session) = state.agent_session(id)
        && is_over
        && !registers
        && runs
    {
        out.push(Effect::ToAgent(session, AgentOrder::StopAll));
    }
}

fn withdraw(state: &mut State, id: AgentId, withdrawal: Withdrawal, out: &mut Vec<Effect>) {
    let before = state.withdrawn.all.insert(id, withdrawal);
    out.push(Effect::Remember(Change::AgentWithdrawn(id, withdrawal)));
    let withheld = withheld(withdrawal.phase);
    if before.is_none_or(|before| self::withheld(before.phase) != withheld) {
        out.push(Effect::Announce(Announcement::AgentWithdrawn(id, withheld)));
    }
    let open = state.allocator.offers_of(id);
    offer_or_not(state, id);
    if !planted::is(Bug::DrainedIsOffered) {
        offers::rescind(state, open, OfferEnd::Rescinded, out);
    }
}

fn restore(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    drain_no_more(state, id);
    state.withdrawn.all.remove(&id);
    out.push(Effect::Remember(Change::AgentReactivated(id)));
    out.push(Effect::Announce(Announcement::AgentReactivated(id)));
    offer_or_not(state, id);
}

/// What is free on an agent may be offered when it is there, all that it runs is known, and nobody wants it otherwise.
pub(super) fn offer_or_not(state: &mut State, id: AgentId) {
    let Some(agent) = state.agents.get(&id) else { return };
    let is_there = matches!(agent.presence, Presence::Connected(_)) && agent.registering.is_none();
    let by_others = state.withdrawn.get(id).map(|known| withheld(known.phase));
    let withheld =
        by_others.or(agent.draining.then_some(Withheld::Leaving)).filter(|_| !planted::is(Bug::DrainedIsOffered));
    state.allocator.set_agent_withheld(id, withheld);
    state.allocator.set_agent_active(id, is_there && withheld.is_none());
}

const fn withheld(phase: Phase) -> Withheld {
    match phase {
        Phase::Deactivated => Withheld::Deactivated,
        Phase::Draining(_) => Withheld::Draining,
        Phase::Drained => Withheld::Drained,
    }
}

/// Whether an id is an agent's, be it one that left and may come back.
fn check_known(state: &State, id: AgentId) -> Result<(), Refusal> {
    let is_known = state.agents.contains_key(&id) || state.enrolled.contains(id);
    if is_known { Ok(()) } else { Err(Refusal::AgentUnknown(id)) }
}
