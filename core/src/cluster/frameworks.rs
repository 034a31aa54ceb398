//! Frameworks that join, come back and leave.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::command::FrameworkInfo;
use super::effect::{AgentOrder, Announcement, Change, Effect, FrameworkEvent};
use super::offers;
use super::refusal::Refusal;
use super::state::{Framework, Link, Peer, State};
use super::timers::Timer;
use crate::id::{AgentId, FrameworkId, SessionId};
use crate::lifecycle::TaskEvent;
use crate::task::Reason;
use crate::time::Now;

pub(super) fn subscribe(
    state: &mut State,
    session: SessionId,
    id: Option<FrameworkId>,
    info: FrameworkInfo,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    if state.sessions.contains_key(&session) {
        return Err(Refusal::IntroducedTwice(session));
    }
    if let Err(invalid) = info.check() {
        turn_away(session, invalid.to_string(), out);
        return Ok(());
    }
    match id {
        Some(id) if state.frameworks.contains_key(&id) => come_back(state, session, id, info, out),
        Some(id) if id.0 <= state.last_framework => {
            turn_away(session, "framework has been removed".to_string(), out);
        }
        // An id that we never gave is one that an earlier registry gave.
        Some(id) => join(state, session, id, info, out),
        None => join(state, session, FrameworkId(state.last_framework + 1), info, out),
    }
    Ok(())
}

/// Takes the framework's place at the table away for now. It is removed when it is not back in time.
pub(super) fn disconnect(state: &mut State, now: Now, id: FrameworkId, out: &mut Vec<Effect>) {
    let framework = state.frameworks.get_mut(&id).expect("a session's framework is known");
    if let Link::Connected(session) = framework.link {
        state.sessions.remove(&session);
    }
    let until = now + framework.info.failover_timeout;
    let at_once = framework.info.failover_timeout.is_zero();
    framework.link = Link::LostUntil(until);
    let open = framework.offers.clone();
    state.timers.set(until, Timer::Framework(id));
    offers::give_back(state, open);
    state.allocator.set_framework_active(id, false);
    out.push(Effect::Announce(Announcement::FrameworkDown(id)));
    if at_once {
        remove(state, id, out);
    }
}

pub(super) fn teardown(state: &mut State, session: SessionId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = state.framework_of(session)?;
    remove(state, id, out);
    Ok(())
}

const WHY: &str = "its framework is gone";

/// Forgets a framework and ends its tasks. What they hold is free when their agents say so, and not before.
pub(super) fn remove(state: &mut State, id: FrameworkId, out: &mut Vec<Effect>) {
    let Some(open) = state.frameworks.get(&id).map(|framework| framework.offers.clone()) else { return };
    offers::give_back(state, open);
    let framework = state.frameworks.remove(&id).expect("it was just there");
    state.allocator.remove_framework(id);
    out.push(Effect::Remember(Change::FrameworkRemoved(id)));
    for agent in agents_with_tasks(state, &framework) {
        if let Some(session) = state.agent_session(agent) {
            out.push(Effect::ToAgent(session, AgentOrder::RemoveFramework(id)));
        }
    }
    for task in framework.tasks {
        let known = state.tasks.get_mut(&task).expect("a framework's task is known");
        if known.holds {
            known.kill = true;
            state.happen(task, TaskEvent::KillRequested, Reason::FrameworkRemoved, WHY, out);
        } else if known.status.state.is_terminal() {
            state.close(task);
        } else {
            // It is unreachable. Should it come back, its agent is told to end it then.
            state.happen(task, TaskEvent::AgentLeft, Reason::FrameworkRemoved, WHY, out);
        }
    }
    match framework.link {
        Link::Connected(session) => {
            state.sessions.remove(&session);
            out.push(Effect::Close(session));
        }
        Link::LostUntil(until) => state.timers.cancel(until, Timer::Framework(id)),
    }
    out.push(Effect::Announce(Announcement::FrameworkRemoved(id)));
}

fn join(state: &mut State, session: SessionId, id: FrameworkId, info: FrameworkInfo, out: &mut Vec<Effect>) {
    state.last_framework = state.last_framework.max(id.0);
    out.push(Effect::Remember(Change::FrameworkSubscribed(id, info.clone())));
    state.frameworks.insert(id, Framework::new(info, Link::Connected(session)));
    welcome(state, session, id, out);
}

fn come_back(state: &mut State, session: SessionId, id: FrameworkId, info: FrameworkInfo, out: &mut Vec<Effect>) {
    let framework = state.frameworks.get_mut(&id).expect("the caller has seen it");
    if framework.info != info {
        framework.role = info.role.as_str().into();
        framework.info = info.clone();
        out.push(Effect::Remember(Change::FrameworkSubscribed(id, info)));
    }
    match core::mem::replace(&mut framework.link, Link::Connected(session)) {
        Link::Connected(older) => {
            state.sessions.remove(&older);
            turn_away(older, "framework failed over to another connection".to_string(), out);
        }
        Link::LostUntil(until) => state.timers.cancel(until, Timer::Framework(id)),
    }
    let open = framework.offers.clone();
    offers::give_back(state, open);
    welcome(state, session, id, out);
    for agent in agents_with_tasks(state, &state.frameworks[&id]) {
        if let Some(session) = state.agent_session(agent) {
            out.push(Effect::ToAgent(session, AgentOrder::Resend(id)));
        }
    }
}

fn welcome(state: &mut State, session: SessionId, id: FrameworkId, out: &mut Vec<Effect>) {
    state.sessions.insert(session, Peer::Framework(id));
    state.allocator.set_framework(id, &state.frameworks[&id].role);
    state.allocator.set_framework_active(id, true);
    out.push(Effect::ToFramework(
        session,
        FrameworkEvent::Subscribed { member: state.member(id), epoch: state.epoch, last_call: 0 },
    ));
    out.push(Effect::Announce(Announcement::FrameworkUp(id)));
}

fn turn_away(session: SessionId, why: String, out: &mut Vec<Effect>) {
    out.push(Effect::ToFramework(session, FrameworkEvent::Error(why)));
    out.push(Effect::Close(session));
}

fn agents_with_tasks(state: &State, framework: &Framework) -> BTreeSet<AgentId> {
    framework.tasks.iter().filter_map(|task| state.tasks.get(task)).map(|task| task.agent).collect()
}
