//! Agents that fall silent, drain and leave.

use alloc::vec::Vec;

use super::effect::{Announcement, Change, Effect, FrameworkEvent};
use super::offers;
use super::refusal::Refusal;
use super::state::{Presence, State};
use super::timers::Timer;
use crate::id::{AgentId, SessionId, TaskId};
use crate::lifecycle::TaskEvent;
use crate::task::Reason;
use crate::time::Now;

/// Notes that an agent lives.
pub(super) fn heard_from(state: &mut State, now: Now, session: SessionId) -> Result<AgentId, Refusal> {
    let id = state.agent_of(session)?;
    if let Some(agent) = state.agents.get_mut(&id) {
        agent.last_seen = now;
    }
    Ok(id)
}

pub(super) fn drain(state: &mut State, now: Now, session: SessionId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = heard_from(state, now, session)?;
    if let Some(agent) = state.agents.get_mut(&id) {
        agent.draining = true;
        let open = agent.offers.clone();
        state.allocator.set_agent_active(id, false);
        offers::rescind(state, open, out);
    }
    Ok(())
}

pub(super) fn leave(state: &mut State, now: Now, session: SessionId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = heard_from(state, now, session)?;
    cut_off(state, id, out);
    out.push(Effect::Remember(Change::AgentRemoved(id)));
    give_up(state, id, TaskEvent::AgentLeft, Reason::AgentDraining, "its agent left", out);
    mourn(state, id, out);
    out.push(Effect::Close(session));
    Ok(())
}

/// Its connection ended. Its tasks count as running until [`time_out`].
pub(super) fn disconnect(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    cut_off(state, id, out);
    let timer = now + state.config.agent_timeout;
    let agent = state.agents.get_mut(&id).expect("a session's agent is known");
    agent.presence = Presence::Disconnected;
    state.timers.cancel(agent.timer, Timer::Agent(id));
    agent.timer = timer;
    state.timers.set(timer, Timer::Agent(id));
    out.push(Effect::Announce(Announcement::AgentDown(id)));
}

/// The timer of an agent went off: it may be silent, away, or just have spoken.
pub(super) fn time_out(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let timeout = state.config.agent_timeout;
    let Some(agent) = state.agents.get_mut(&id) else { return };
    match agent.presence {
        Presence::Connected(_) if agent.last_seen + timeout > now => {
            agent.timer = agent.last_seen + timeout;
            state.timers.set(agent.timer, Timer::Agent(id));
        }
        Presence::Connected(session) => {
            cut_off(state, id, out);
            become_unreachable(state, now, id, out);
            out.push(Effect::Close(session));
        }
        Presence::Disconnected | Presence::Recovering => become_unreachable(state, now, id, out),
        // Its timer went off already, and no other was set.
        Presence::Unreachable { .. } => {}
    }
}

/// Ends an agent's session from our side: nothing can be launched there any more.
pub(super) fn cut_off(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    let agent = state.agents.get_mut(&id).expect("the caller has seen the agent");
    if let Presence::Connected(session) = agent.presence {
        agent.presence = Presence::Disconnected;
        state.sessions.remove(&session);
    }
    let open = agent.offers.clone();
    state.allocator.set_agent_active(id, false);
    offers::rescind(state, open, out);
}

fn become_unreachable(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let agent = state.agents.get_mut(&id).expect("the caller has seen the agent");
    let seen = agent.presence != Presence::Recovering;
    agent.presence = Presence::Unreachable { seen };
    agent.timer = now;
    let tasks: Vec<TaskId> = agent.tasks.iter().copied().collect();
    out.push(Effect::Remember(Change::AgentRemoved(id)));
    for task in tasks {
        // Nobody waits for the tasks of a framework that is gone.
        let event = match state.frameworks.contains_key(&task.framework) {
            true => TaskEvent::AgentSilent,
            false => TaskEvent::AgentLeft,
        };
        state.happen(task, event, Reason::AgentRemoved, "its agent is silent", out);
        if let Some(known) = state.tasks.get(&task) {
            match known.closed {
                true => state.close(task),
                false => state.release(task),
            }
        }
    }
    mourn(state, id, out);
    forget_if_empty(state, id);
    while let Some(oldest) = one_too_many(state) {
        give_up(state, oldest, TaskEvent::AgentLeft, Reason::AgentRemoved, "its agent never came back", out);
    }
}

/// Ends every task of an agent that will not come back, and forgets the agent.
fn give_up(state: &mut State, id: AgentId, event: TaskEvent, reason: Reason, why: &str, out: &mut Vec<Effect>) {
    let agent = state.agents.get(&id).expect("the caller has seen the agent");
    state.timers.cancel(agent.timer, Timer::Agent(id));
    for task in agent.tasks.clone() {
        state.happen(task, event, reason, why, out);
        // Ended before, and not acknowledged: its agent will not repeat it.
        if state.tasks.contains_key(&task) {
            state.close(task);
        }
    }
    state.agents.remove(&id);
    state.allocator.remove_agent(id);
}

/// Takes an agent out of what can be offered, and tells everybody.
fn mourn(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    state.allocator.remove_agent(id);
    for session in state.framework_sessions() {
        out.push(Effect::ToFramework(session, FrameworkEvent::AgentLost(id)));
    }
    out.push(Effect::Announce(Announcement::AgentRemoved(id)));
}

/// An unreachable agent of which nothing is awaited need not be remembered.
pub(super) fn forget_if_empty(state: &mut State, id: AgentId) {
    if let Some(agent) = state.agents.get(&id)
        && agent.presence == (Presence::Unreachable { seen: true })
        && agent.tasks.is_empty()
    {
        state.agents.remove(&id);
    }
}

/// The agent that has been unreachable for longest, when there are more of them than we remember.
fn one_too_many(state: &State) -> Option<AgentId> {
    let unreachable = || {
        let away = |presence| matches!(presence, Presence::Unreachable { .. });
        state.agents.iter().filter(move |(_, agent)| away(agent.presence))
    };
    if unreachable().count() <= state.config.unreachable_agents {
        return None;
    }
    unreachable().min_by_key(|(_, agent)| agent.timer).map(|(&id, _)| id)
}
