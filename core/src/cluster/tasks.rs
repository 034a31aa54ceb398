//! News of tasks on its way from agents to frameworks, and acknowledgements on their way back.

use alloc::vec::Vec;

use super::agents::{self, heard_from};
use super::command::Acknowledgement;
use super::effect::{AgentOrder, Announcement, Effect};
use super::refusal::Refusal;
use super::register::role_of;
use super::state::{State, Task};
use crate::id::{AgentId, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::resources::Resources;
use crate::task::{TaskState, TaskStatus};
use crate::time::Now;

pub(super) fn update(
    state: &mut State,
    now: Now,
    session: SessionId,
    updates: Vec<TaskStatus>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let agent = heard_from(state, now, session)?;
    for status in updates {
        update_one(state, agent, session, TaskStatus { agent: Some(agent), ..status }, out);
    }
    Ok(())
}

fn update_one(state: &mut State, agent: AgentId, session: SessionId, status: TaskStatus, out: &mut Vec<Effect>) {
    let id = status.task;
    let (update, ended) = (status.update, status.state.is_terminal());
    let has_framework = state.frameworks.contains_key(&id.framework);
    if has_framework && !state.tasks.contains_key(&id) && state.history.get(id).is_none() {
        state.insert_task(id, unheard_of(state, agent, &status));
    }
    let Some(task) = state.tasks.get_mut(&id).filter(|task| task.agent == agent) else {
        // Its framework has had the last word on it, or is gone, or it runs elsewhere by now.
        return acknowledge_ourselves(session, id, update, out);
    };
    let forward = has_framework && !task.closed;
    task.latest_update = task.latest_update.max(update);
    if task.status.state.next(TaskEvent::Reported(status.state)).is_some() {
        task.status = status.clone();
        out.push(Effect::Announce(Announcement::Task(status.clone())));
    } else if task.status.state == status.state && task.status.update == UpdateId::UNACKNOWLEDGED {
        // Known so far from the agent's registration, which says less.
        task.status = status.clone();
    }
    if ended {
        state.release(id);
    }
    // A repeat is forwarded too: its framework may have missed the first, and has to acknowledge it.
    if forward {
        state.tell(status, out);
    } else {
        acknowledge_ourselves(session, id, update, out);
    }
    if ended && (!forward || update == UpdateId::UNACKNOWLEDGED) {
        state.close(id);
    }
}

/// Passes on to agents what the framework has taken note of. What was never sent needs no acknowledgement.
pub(super) fn acknowledge(
    state: &mut State,
    session: SessionId,
    updates: &[Acknowledgement],
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session)?;
    for &Acknowledgement { task: id, update, .. } in updates {
        let Some(task) = state.tasks.get(&id).filter(|task| id.framework == framework && !task.closed) else {
            continue;
        };
        if update == UpdateId::UNACKNOWLEDGED || update > task.latest_update {
            continue;
        }
        let agent = task.agent;
        if let Some(session) = state.agent_session(agent) {
            out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(id, update)));
        }
        if task.status.state.is_terminal() && update >= task.status.update {
            state.close(id);
            agents::forget_if_empty(state, agent);
        }
    }
    Ok(())
}

fn acknowledge_ourselves(session: SessionId, id: TaskId, update: UpdateId, out: &mut Vec<Effect>) {
    if update != UpdateId::UNACKNOWLEDGED {
        out.push(Effect::ToAgent(session, AgentOrder::Acknowledge(id, update)));
    }
}

/// A task of a known framework that nobody ever mentioned: it is kept so that the acknowledgement finds its way.
fn unheard_of(state: &State, agent: AgentId, status: &TaskStatus) -> Task {
    Task {
        name: Default::default(),
        role: role_of(state, status.task.framework),
        agent,
        resources: Resources::default(),
        holds: false,
        kill: false,
        closed: false,
        latest_update: UpdateId::UNACKNOWLEDGED,
        status: TaskStatus { state: TaskState::Unknown, ..status.clone() },
    }
}
