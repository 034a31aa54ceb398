//! Updates that the master keeps: sent again until their framework has taken note of them.
//!
//! What the master declares itself is kept here, and so is an end that an agent told and does not hold any more. All
//! other updates are kept by their agents.

use alloc::vec::Vec;
use core::time::Duration;

use super::command::Acknowledgement;
use super::effect::{AgentOrder, Effect};
use super::refusal::Refusal;
use super::state::State;
use super::timers::Timer;
use super::{enqueue, groups};
use crate::access::Verb;
use crate::backoff::Backoff;
use crate::id::{FrameworkId, SessionId, TaskId, UpdateId};
use crate::planted::{self, Bug};
use crate::time::Now;

/// When an update is sent again for the first time. Doubles with every time.
const RESEND_FIRST: Duration = Duration::from_secs(1);

/// The longest time between two tries.
const RESEND_MAX: Duration = Duration::from_secs(60);

/// Keeps the latest that is known of a task, unless nobody is there who could ever take note of it.
pub(super) fn keep(state: &mut State, now: Now, id: TaskId) {
    if planted::is(Bug::EndNotKept) && state.tasks[&id].status.state.is_terminal() {
        return state.archive(id);
    }
    let Some(framework) = state.frameworks.get_mut(&id.framework) else { return };
    let task = state.tasks.get_mut(&id).expect("the caller has seen the task");
    if task.group().is_some_and(|group| state.groups.is_acknowledged(id, group)) {
        return;
    }
    if task.status.update == UpdateId::UNACKNOWLEDGED {
        // An agent that names no update of an end breaks the contract. Its framework hears of it all the same.
        state.last_update += 1;
        task.status.update = UpdateId::by_master(state.epoch, state.last_update);
    }
    task.kept = true;
    framework.kept.insert((task.status.update, id));
    if framework.resend.is_none() {
        let at = now + RESEND_FIRST;
        framework.resend = Some((at, RESEND_FIRST));
        state.timers.set(at, Timer::Resend(id.framework));
    }
}

/// Keeps a task's update no longer: it was acknowledged, or is not the latest any more.
pub(super) fn let_go(state: &mut State, id: TaskId) {
    let task = state.tasks.get_mut(&id).expect("the caller has seen the task");
    if !task.kept {
        return;
    }
    task.kept = false;
    let update = task.status.update;
    if let Some(framework) = state.frameworks.get_mut(&id.framework) {
        framework.kept.remove(&(update, id));
        if framework.kept.is_empty() {
            stop_resending(state, id.framework);
        }
    }
}

/// Tells a framework that is back of everything that is kept for it.
pub(super) fn tell_all(state: &mut State, now: Now, id: FrameworkId, out: &mut Vec<Effect>) {
    stop_resending(state, id);
    resend(state, now, id, RESEND_FIRST, out);
}

/// The timer went off.
pub(super) fn resend_due(state: &mut State, now: Now, id: FrameworkId, out: &mut Vec<Effect>) {
    let Some(framework) = state.frameworks.get_mut(&id) else { return };
    let Some((_, wait)) = framework.resend.take() else { return };
    resend(state, now, id, Backoff::longer(wait, RESEND_MAX), out);
}

fn resend(state: &mut State, now: Now, id: FrameworkId, wait: Duration, out: &mut Vec<Effect>) {
    let framework = &state.frameworks[&id];
    if framework.kept.is_empty() {
        return;
    }
    for (_, task) in &framework.kept {
        state.tell(state.tasks[task].told(*task), out);
    }
    let framework = state.frameworks.get_mut(&id).expect("it was just there");
    framework.resend = Some((now + wait, wait));
    state.timers.set(now + wait, Timer::Resend(id));
}

/// Sends a framework nothing again, until there is something anew.
pub(super) fn stop_resending(state: &mut State, id: FrameworkId) {
    if let Some((at, _)) = state.frameworks.get_mut(&id).and_then(|framework| framework.resend.take()) {
        state.timers.cancel(at, Timer::Resend(id));
    }
}

/// Takes note of acknowledgements, and passes on to agents what they keep. What was never sent needs none.
pub(super) fn acknowledge(
    state: &mut State,
    session: SessionId,
    acknowledgements: &[Acknowledgement],
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Acknowledge)?;
    for &Acknowledgement { task: id, update, agent } in acknowledgements {
        let Some(task) = state.tasks.get(&id).filter(|_| id.framework == framework) else { continue };
        if update == UpdateId::UNACKNOWLEDGED || agent.is_some_and(|agent| agent != task.agent) {
            continue;
        }
        let by_its_agent = !update.is_by_master() && update <= task.latest_update;
        let tells_end = task.status.state.is_terminal() && update == task.status.update;
        if tells_end && (by_its_agent || task.kept) && groups::keeps_end(state, id) {
            let_go(state, id);
            continue;
        }
        let task = &state.tasks[&id];
        if by_its_agent && let Some(session) = state.agent_session(task.agent) {
            out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(id, update)));
        }
        if by_its_agent && task.allocation.is_some() {
            enqueue::acknowledged(state, id, update);
        }
        let task = &state.tasks[&id];
        // Else it is of an earlier master's, of another life of its agent, or of nothing at all.
        let exact = update == task.status.update || planted::is(Bug::LateAckArchives);
        let settles = exact && (by_its_agent || task.kept);
        if settles && task.status.state.is_terminal() {
            state.archive(id);
        } else if settles {
            let_go(state, id);
        }
    }
    Ok(())
}
