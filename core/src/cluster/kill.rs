//! Ending tasks on request.

use alloc::vec::Vec;

use super::effect::{AgentOrder, Announcement, Effect};
use super::reconcile;
use super::refusal::Refusal;
use super::state::State;
use crate::id::{SessionId, TaskId};
use crate::lifecycle::TaskEvent;
use crate::task::TaskState;

/// A task that does not run is answered for, as a question would be.
pub(super) fn by_framework(
    state: &mut State,
    session: SessionId,
    id: TaskId,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session)?;
    if id.framework != framework {
        return Err(Refusal::NotItsTask { task: id, framework });
    }
    if state.tasks.get(&id).is_some_and(|task| !task.status.state.is_terminal()) {
        kill(state, id, out);
    } else {
        reconcile::answer(state, id, out);
    }
    Ok(())
}

pub(super) fn by_operator(state: &mut State, id: TaskId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let task = state.tasks.get(&id).or_else(|| state.history.get(id)).ok_or(Refusal::TaskUnknown(id))?;
    if task.status.state.is_terminal() {
        return Err(Refusal::TaskEnded(id, task.status.state));
    }
    kill(state, id, out);
    Ok(())
}

/// Orders the end of a task. To an agent that is away it is said when it comes back. Asking again orders it again.
fn kill(state: &mut State, id: TaskId, out: &mut Vec<Effect>) {
    let task = state.tasks.get_mut(&id).expect("the caller has seen the task");
    task.kill = true;
    if let Some(next) = task.status.state.next(TaskEvent::KillRequested) {
        debug_assert_eq!(next, TaskState::Killing);
        task.status.state = next;
        out.push(Effect::Announce(Announcement::Task(task.status.clone())));
    }
    let agent = task.agent;
    if let Some(session) = state.agent_session(agent) {
        out.push(Effect::ToAgent(session, AgentOrder::Kill(id)));
    }
}
