//! News of tasks on its way from agents to frameworks.

use alloc::string::String;
use alloc::vec::Vec;

use super::agents::heard_from;
use super::command::HeldTask;
use super::effect::{AgentOrder, Announcement, Effect};
use super::enqueue::TOO_LATE;
use super::refusal::Refusal;
use super::state::{Orphan, State, Task};
use super::{groups, inventory, updates};
use crate::access::Verb;
use crate::id::{AgentId, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::queue;
use crate::resources::Resources;
use crate::task::TaskStatus;
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
    if planted::is(Bug::ForgottenTakenIn) && has_framework && state.task(id).is_none() {
        let held = HeldTask {
            id,
            name: String::new(),
            resources: Resources::default(),
            role: String::new(),
            volumes: Vec::new(),
            module: None,
            state: status.state,
            update,
            group: None,
            trace: None,
            life: None,
        };
        inventory::adopt(state, now, agent, held, out);
    }
    let Some(task) = state.tasks.get_mut(&id).filter(|task| task.agent == agent && !told_otherwise(task)) else {
        // Its framework has had the last word on it, or is gone, or it runs elsewhere. Agents name all their tasks when they
        // register: one that is not known was archived, and the acknowledgement is on its way to the agent.
        return acknowledge_ourselves(session, id, update, out);
    };
    task.latest_update = task.latest_update.max(update);
    let started = task.life.told(&status, now);
    if ended {
        // Its agent tells of the tasks in it before: what is left never arrived there.
        let why = queue::came_too_late(id);
        state.end_queue(now, id, (TOO_LATE.0, TOO_LATE.1, &why), out);
    }
    let task = &state.tasks[&id];
    let moves = task.status.state.next(TaskEvent::Reported(status.state)).is_some();
    // The same from the master's own mouth, or from a registration, says less.
    if moves || task.status.state == status.state {
        updates::let_go(state, id);
        state.note(id, status.clone());
    }
    if let Some(after) = started {
        state.tally.starts(after);
    }
    if moves {
        out.push(Effect::Announce(Announcement::Task(status.clone())));
    }
    if !has_framework {
        acknowledge_ourselves(session, id, update, out);
        if ended {
            state.archive(id);
        }
    } else if ended && update == UpdateId::UNACKNOWLEDGED {
        // Its agent says that once. It gets a number of the master's, and is told until it is acknowledged.
        updates::keep(state, now, id);
        state.tell(state.tasks[&id].told(id), out);
    } else if !groups::is_acknowledged(state, id) {
        // A repeat is forwarded too: its framework may have missed the first, and has to acknowledge it.
        state.tell(status, out);
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
    let Some(Orphan { role, portion }) = known.orphans.remove(&id) else { return false };
    state.allocator.free(id.framework, &role, agent, &portion);
    state.withdrawn.note(agent);
    true
}

fn acknowledge_ourselves(session: SessionId, id: TaskId, update: UpdateId, out: &mut Vec<Effect>) {
    if update != UpdateId::UNACKNOWLEDGED && !planted::is(Bug::NobodyAcknowledges) {
        out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(id, update)));
    }
}
