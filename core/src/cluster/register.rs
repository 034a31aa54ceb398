//! Agents that join, or come back with what they run.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::agents;
use super::command::HeldTask;
use super::effect::{AgentOrder, AgentRecord, Announcement, Change, Effect, Rejection};
use super::refusal::Refusal;
use super::state::{Agent, Peer, Presence, State, Task};
use super::timers::Timer;
use crate::agent::AgentInfo;
use crate::id::{AgentId, FrameworkId, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::task::{Reason, Source, TaskState, TaskStatus};
use crate::time::Now;

/// A draining agent that comes back takes tasks again until it says otherwise.
pub(super) fn register(
    state: &mut State,
    now: Now,
    session: SessionId,
    id: Option<AgentId>,
    info: AgentInfo,
    held: Vec<HeldTask>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    if state.sessions.contains_key(&session) {
        return Err(Refusal::IntroducedTwice(session));
    }
    if info.resources.is_empty() {
        out.push(Effect::ToAgent(
            session,
            AgentOrder::Refused(Rejection::Final("an agent needs something to offer, and has nothing".to_string())),
        ));
        out.push(Effect::Close(session));
        return Ok(());
    }
    let id = id.unwrap_or(AgentId(state.last_agent + 1));
    // An id that we never gave is one that an earlier registry gave.
    state.last_agent = state.last_agent.max(id.0);
    if let Some(older) = state.agent_session(id) {
        agents::cut_off(state, id, out);
        out.push(Effect::Close(older));
    }
    admit(state, now, session, id, info, out);
    out.push(Effect::ToAgent(session, AgentOrder::Registered { member: state.member(id), epoch: state.epoch }));
    out.push(Effect::Announce(Announcement::AgentUp(id)));
    take_stock(state, session, id, held, out);
    state.allocator.set_agent_active(id, true);
    Ok(())
}

fn admit(state: &mut State, now: Now, session: SessionId, id: AgentId, info: AgentInfo, out: &mut Vec<Effect>) {
    let timer = now + state.config.agent_timeout;
    state.allocator.set_agent(id, &info.resources);
    let mut agent = Agent::new(info, Presence::Connected(session), now, timer);
    let mut is_news = true;
    if let Some(known) = state.agents.remove(&id) {
        state.timers.cancel(known.timer, Timer::Agent(id));
        is_news = known.info != agent.info || matches!(known.presence, Presence::Unreachable { .. });
        agent.tasks = known.tasks;
    }
    if is_news {
        out.push(Effect::Remember(Change::AgentRecorded(
            id,
            AgentRecord { info: agent.info.clone(), key: Default::default(), unreachable_since: None },
        )));
    }
    state.timers.set(timer, Timer::Agent(id));
    state.agents.insert(id, agent);
    state.sessions.insert(session, Peer::Agent(id));
}

/// Compares what the agent holds with what it should.
fn take_stock(state: &mut State, session: SessionId, id: AgentId, held: Vec<HeldTask>, out: &mut Vec<Effect>) {
    let mut missing = state.agents[&id].tasks.clone();
    let mut strangers = BTreeSet::new();
    for task in held {
        missing.remove(&task.id);
        if !state.frameworks.contains_key(&task.id.framework) {
            strangers.insert(task.id.framework);
        }
        take_in(state, session, id, task, out);
    }
    for task in missing {
        state.happen(task, TaskEvent::AgentForgot, Reason::AgentRestarted, "its agent came back without it", out);
        // It had ended, and its agent has forgotten that: nobody will repeat it.
        if state.tasks.contains_key(&task) {
            state.close(task);
        }
    }
    for framework in strangers {
        // A number in use somewhere is not given again.
        state.last_framework = state.last_framework.max(framework.0);
        out.push(Effect::ToAgent(session, AgentOrder::RemoveFramework(framework)));
    }
}

fn take_in(state: &mut State, session: SessionId, agent: AgentId, held: HeldTask, out: &mut Vec<Effect>) {
    let HeldTask { id, state: reported, .. } = held;
    detach_from_other_agent(state, id, agent);
    if !state.tasks.contains_key(&id) {
        let task = state.history.take(id).unwrap_or_else(|| new_task(state, agent, held));
        state.insert_task(id, Task { agent, ..task });
    }
    if reported.is_terminal() {
        // Its end is told by the update that follows.
        return;
    }
    state.hold(id);
    let task = &state.tasks[&id];
    if task.status.state == TaskState::Unreachable {
        state.happen(id, TaskEvent::Reported(reported), Reason::AgentReregistered, "its agent came back", out);
    } else if let Some(next) = task.status.state.next(TaskEvent::Reported(reported)) {
        // Its update, which follows, tells the framework.
        let task = state.tasks.get_mut(&id).expect("it was just there");
        task.status.state = next;
        out.push(Effect::Announce(Announcement::Task(task.status.clone())));
    }
    let task = &state.tasks[&id];
    if task.kill || task.status.state.is_terminal() {
        out.push(Effect::ToAgent(session, AgentOrder::Kill(id)));
    }
}

/// A task is where it is held, whatever we thought.
fn detach_from_other_agent(state: &mut State, id: TaskId, agent: AgentId) {
    let Some(other) = state.tasks.get(&id).map(|task| task.agent).filter(|&other| other != agent) else { return };
    state.release(id);
    if let Some(other) = state.agents.get_mut(&other) {
        other.tasks.remove(&id);
    }
    if let Some(agent) = state.agents.get_mut(&agent) {
        agent.tasks.insert(id);
    }
    state.tasks.get_mut(&id).expect("it was just there").agent = agent;
    agents::forget_if_empty(state, other);
}

/// A task that an earlier master launched, or whose framework is gone.
fn new_task(state: &State, agent: AgentId, held: HeldTask) -> Task {
    Task {
        role: role_of(state, held.id.framework),
        agent,
        name: held.name,
        resources: held.resources,
        holds: false,
        kill: false,
        closed: false,
        latest_update: UpdateId::UNACKNOWLEDGED,
        status: TaskStatus {
            agent: Some(agent),
            ..TaskStatus::new(held.id, UpdateId::UNACKNOWLEDGED, held.state, Source::Agent)
        },
    }
}

/// The role of a framework; empty when it is gone.
pub(super) fn role_of(state: &State, framework: FrameworkId) -> Arc<str> {
    state.frameworks.get(&framework).map_or_else(|| Arc::from(""), |framework| framework.role.clone())
}
