//! What agents measure to be unused of what their tasks hold: offered once more, and taken back first.
//!
//! An agent measures, and the master decides: of less than was measured before, offers are rescinded that stand no longer, and then
//! tasks are preempted that run on more than there is. What they hold is counted until they have ended. That costs nobody
//! anything meanwhile: they run on nothing but what is idle.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::agents::heard_from;
use super::effect::{AgentOrder, Announcement, Effect};
use super::offers;
use super::refusal::Refusal;
use super::state::State;
use super::tally::OfferEnd;
use crate::access::Verb;
use crate::id::{AgentId, OfferId, SessionId, TaskId};
use crate::lifecycle::TaskEvent;
use crate::quantity::MilliCpu;
use crate::task::{Reason, TaskState, TaskStatus};
use crate::time::Now;

/// Takes note of what an agent has measured. No more than it has can be unused.
pub(super) fn measured(
    state: &mut State,
    now: Now,
    session: SessionId,
    unused: MilliCpu,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let id = state.agent_of(session, Verb::Report)?;
    let agent = &state.agents[&id];
    if agent.registering.is_some() {
        return Err(Refusal::StillRegistering(session));
    }
    let unused = unused.min(agent.info.resources.cpus);
    heard_from(state, now, session, Verb::Report)?;
    state.allocator.set_revocable(id, unused);
    let stand_no_longer = offers_beyond(state, id);
    offers::rescind(state, stand_no_longer, OfferEnd::Rescinded, out);
    for task in tasks_beyond(state, id) {
        preempt(state, session, task, out);
    }
    Ok(())
}

/// How much more of an agent is allocated than it measures to be unused.
fn beyond(state: &State, id: AgentId) -> MilliCpu {
    state.allocator.allocated_on(id).resources.revocable.saturating_sub(state.allocator.revocable_on(id))
}

/// The offers that are to be taken back, the newest first.
fn offers_beyond(state: &State, id: AgentId) -> Vec<OfferId> {
    let mut beyond = beyond(state, id);
    let promised = |offer: &OfferId| {
        state.allocator.offer(*offer).map_or(MilliCpu::ZERO, |offer| offer.portion.resources.revocable)
    };
    let mut taken_back = Vec::new();
    for offer in state.allocator.offers_of(id).into_iter().rev().filter(|offer| !promised(offer).is_zero()) {
        if beyond.is_zero() {
            break;
        }
        beyond = beyond.saturating_sub(promised(&offer));
        taken_back.push(offer);
    }
    taken_back
}

/// The tasks that are to end, the newest first: they have lost least. Those that are about to end are enough for what they hold.
fn tasks_beyond(state: &State, id: AgentId) -> Vec<TaskId> {
    let mut beyond = beyond(state, id);
    let mut newest = BTreeSet::new();
    for task in &state.agents[&id].tasks {
        let known = &state.tasks[task];
        let holds = if known.holds { known.portion.resources.revocable } else { MilliCpu::ZERO };
        if known.kill || known.preempted || known.status.state == TaskState::Killing {
            beyond = beyond.saturating_sub(holds);
        } else if !holds.is_zero() {
            newest.insert((known.nth, *task, holds));
        }
    }
    let mut preempted = Vec::new();
    for (_, task, holds) in newest.into_iter().rev() {
        if beyond.is_zero() {
            break;
        }
        beyond = beyond.saturating_sub(holds);
        preempted.push(task);
    }
    preempted
}

fn preempt(state: &mut State, session: SessionId, id: TaskId, out: &mut Vec<Effect>) {
    let task = state.tasks.get_mut(&id).expect("the caller has seen the task");
    task.preempted = true;
    if let Some(next) = task.status.state.next(TaskEvent::KillRequested) {
        let status = TaskStatus { state: next, ..task.told(id) };
        state.note(id, status.clone());
        out.push(Effect::Announce(Announcement::Task(status)));
    }
    out.push(Effect::ToAgent(session, order_to_end(id)));
}

/// What its agent is told of a task that is preempted.
pub(super) fn order_to_end(task: TaskId) -> AgentOrder {
    let why = "the idle processor time that it ran on is wanted back".into();
    AgentOrder::End { task, reason: Reason::Preempted, why }
}
