//! Ending tasks on request.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::effect::{AgentOrder, Announcement, Effect};
use super::enqueue;
use super::reconcile::{self, WAITING_MAX};
use super::refusal::Refusal;
use super::state::State;
use crate::access::{Denied, Principal, Tenant, Verb};
use crate::id::{SessionId, TaskId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::task::{TaskState, TaskStatus};

/// A task that does not run, or whose agent cannot be told now, is answered for, as a question would be.
pub(super) fn by_framework(
    state: &mut State,
    session: SessionId,
    id: TaskId,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Kill)?;
    if id.framework != framework {
        reconcile::not_its_task(session, framework, id, out);
        return Ok(());
    }
    if let Some(queued) = state.queued.get(id) {
        let agent = state.tasks.get(&queued.of(id)).map(|allocation| allocation.agent);
        let reachable = agent.is_some_and(|agent| state.agent_session(agent).is_some());
        if !enqueue::kill(state, id, out) || !reachable {
            reconcile::answer(state, id, None, out);
        }
        return Ok(());
    }
    let Some(task) = state.tasks.get(&id).filter(|task| !task.status.state.is_terminal()) else {
        match remember(state, id) {
            true => reconcile::answer(state, id, None, out),
            false => reconcile::over_limit(state, id, "kills wait for agents", out),
        }
        return Ok(());
    };
    let reachable = state.agent_session(task.agent).is_some();
    kill(state, id, out);
    if !reachable {
        reconcile::answer(state, id, None, out);
    }
    Ok(())
}

/// Not on a session: whoever may not know of the task hears that there is none.
pub(super) fn by_principal(
    state: &mut State,
    who: &Principal,
    id: TaskId,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let visible = |tenant: &Arc<Tenant>| who.may(Verb::ListTasks, tenant);
    let tenant = state.tenant_of_task(id).filter(visible).ok_or(Refusal::TaskUnknown(id))?;
    if !who.may(Verb::KillTask, &tenant) {
        return Err(Denied { who: who.clone(), verb: Verb::KillTask }.into());
    }
    if enqueue::kill(state, id, out) {
        return Ok(());
    }
    let known = state.task(id).map(|task| task.status.state).or_else(|| state.queued_state(id));
    let known = known.or_else(|| Some(state.history.queued(id)?.state())).ok_or(Refusal::TaskUnknown(id))?;
    if known.is_terminal() {
        return Err(Refusal::TaskEnded(id, known));
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
        let status = TaskStatus { state: next, ..task.told(id) };
        state.note(id, status.clone());
        out.push(Effect::Announce(Announcement::Task(status)));
    }
    let agent = state.tasks[&id].agent;
    if let Some(session) = state.agent_session(agent) {
        out.push(Effect::ToAgent(session, AgentOrder::Kill(id)));
    }
}

/// An agent that has not been seen may still come with an unknown task: it is ended then. False when too many wait.
fn remember(state: &mut State, id: TaskId) -> bool {
    if state.task(id).is_some()
        || state.queued.get(id).is_some()
        || state.unseen.is_empty()
        || planted::is(Bug::KillForgotten)
    {
        return true;
    }
    let Some(framework) = state.frameworks.get_mut(&id.framework) else { return true };
    if framework.kills.len() >= WAITING_MAX && !framework.kills.contains(&id) {
        return false;
    }
    framework.kills.insert(id);
    true
}
