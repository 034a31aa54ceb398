//! News of tasks on its way from agents to frameworks.

use alloc::vec::Vec;

use super::agents::heard_from;
use super::effect::{AgentOrder, Announcement, Effect};
use super::refusal::Refusal;
use super::state::{State, Task};
use super::updates;
use crate::access::Verb;
use crate::id::{AgentId, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::resources::Resources;
use crate::task::{TaskState, TaskStatus};
use crate::time::Now;

/// Bytes of a message that are kept with a task. An agent's own are one line for people.
const MESSAGE_MAX: usize = 4096;

pub(super) fn update(
    state: &mut State,
    now: Now,
    session: SessionId,
    statuses: Vec<TaskStatus>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let agent = heard_from(state, now, session, Verb::Report)?;
    if state.agents[&agent].registering.is_some() {
        return Err(Refusal::StillRegistering(session));
    }
    for status in statuses {
        let mut message = status.message;
        message.truncate(message.floor_char_boundary(MESSAGE_MAX));
        update_one(state, now, agent, session, TaskStatus { agent: Some(agent), message, ..status }, out);
    }
    Ok(())
}

fn update_one(
    state: &mut State,
    now: Now,
    agent: AgentId,
    session: SessionId,
    status: TaskStatus,
    out: &mut Vec<Effect>,
) {
    let id = status.task;
    let (update, ended) = (status.update, status.state.is_terminal());
    if end_orphan(state, agent, id, ended) {
        return acknowledge_ourselves(session, id, update, out);
    }
    let has_framework = state.frameworks.contains_key(&id.framework);
    let is_unheard_of = ended && update != UpdateId::UNACKNOWLEDGED && has_framework && state.task(id).is_none();
    if is_unheard_of {
        state.insert_task(id, unheard_of(state, agent, &status));
    }
    let Some(task) = state.tasks.get_mut(&id).filter(|task| task.agent == agent && !told_otherwise(task)) else {
        // Its framework has had the last word on it, or is gone, or it runs elsewhere. A task that is not known has
        // ended, for agents name all others when they register: only of its end a word is worth repeating.
        return acknowledge_ourselves(session, id, update, out);
    };
    task.latest_update = task.latest_update.max(update);
    let was_kept = task.kept && task.status.state.is_terminal();
    let moves = task.status.state.next(TaskEvent::Reported(status.state)).is_some();
    // The same from the master's own mouth, or from a registration, says less.
    if moves || task.status.state == status.state {
        updates::let_go(state, id);
        state.note(id, status.clone());
    }
    if moves {
        out.push(Effect::Announce(Announcement::Task(status.clone())));
    }
    if !has_framework {
        acknowledge_ourselves(session, id, update, out);
        if ended {
            state.archive(id);
        }
        return;
    }
    if ended && update == UpdateId::UNACKNOWLEDGED {
        // Its agent says that once. It gets a number of the master's.
        updates::keep(state, now, id);
        return state.tell(state.tasks[&id].status.clone(), out);
    }
    // A repeat is forwarded too: its framework may have missed the first, and has to acknowledge it.
    state.tell(status, out);
    if ended && (is_unheard_of || was_kept) {
        // Its acknowledgement may be on the way to the agent, which will not repeat it then.
        updates::keep(state, now, id);
    }
}

/// Whether the framework was told an end that the master declared: nothing can follow it.
fn told_otherwise(task: &Task) -> bool {
    task.status.state.is_terminal() && task.status.update.is_by_master()
}

/// Whether the agent speaks of a task that it should not have run. Its end frees what it held.
fn end_orphan(state: &mut State, agent: AgentId, id: TaskId, ended: bool) -> bool {
    let Some(known) = state.agents.get_mut(&agent) else { return false };
    if !ended {
        return known.orphans.contains_key(&id);
    }
    let Some(resources) = known.orphans.remove(&id) else { return false };
    state.allocator.free(id.framework, agent, &resources);
    true
}

fn acknowledge_ourselves(session: SessionId, id: TaskId, update: UpdateId, out: &mut Vec<Effect>) {
    if update != UpdateId::UNACKNOWLEDGED && !planted::is(Bug::NobodyAcknowledges) {
        out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(id, update)));
    }
}

/// A task of a known framework that the master has forgotten: it is kept so that the acknowledgement finds its way.
fn unheard_of(state: &State, agent: AgentId, status: &TaskStatus) -> Task {
    Task {
        name: Default::default(),
        tenant: state.tenant_of(status.task.framework),
        agent,
        resources: Resources::default(),
        holds: false,
        kill: false,
        latest_update: UpdateId::UNACKNOWLEDGED,
        status: TaskStatus { state: TaskState::Unknown, ..status.clone() },
        kept: false,
    }
}
