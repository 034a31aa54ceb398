//! Frameworks that join, come back and leave.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::command::FrameworkInfo;
use super::effect::{AgentOrder, Announcement, Change, Effect, FrameworkEvent};
use super::refusal::Refusal;
use super::register::of_another_cluster;
use super::sessions::Peer;
use super::state::{Framework, Link, State};
use super::tally::OfferEnd;
use super::timers::Timer;
use super::{inverse, offers, reconcile, updates};
use crate::access::{Principal, PrincipalId, Verb};
use crate::allocator::Promise;
use crate::id::{AgentId, FrameworkId, Member, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::task::{Reason, Source, TaskStatus};
use crate::time::Now;

pub(super) fn subscribe(
    state: &mut State,
    now: Now,
    session: SessionId,
    member: Option<Member<FrameworkId>>,
    info: FrameworkInfo,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let who = state.sessions.stranger(session)?.clone();
    who.check(Verb::Subscribe)?;
    if let Err(invalid) = info.check() {
        turn_away(session, invalid.to_string(), out);
        return Ok(());
    }
    may_use(&who, Verb::Subscribe, &info)?;
    let Some(Member { cluster, id }) = member else {
        let (has, most) = (state.principals.frameworks(&who.id()).len(), state.config.frameworks_per_principal);
        if has >= most && !who.is_owner() {
            return Err(Refusal::TooManyFrameworks { who, most, has });
        }
        check_roles(state, &who, None, &info.roles)?;
        match state.frameworks.len() < state.config.frameworks {
            true => join(state, session, who.id(), info, out),
            false => {
                turn_away(session, format!("{} frameworks are known, more are not taken", state.frameworks.len()), out);
            }
        }
        return Ok(());
    };
    if cluster != state.cluster && !planted::is(Bug::ClusterNotChecked) {
        turn_away(session, of_another_cluster(state, &id.to_string(), &cluster.to_string()), out);
    } else if state.frameworks.get(&id).is_some_and(|known| who.may(Verb::Subscribe, &known.tenant)) {
        check_roles(state, &who, Some(id), &info.roles)?;
        come_back(state, now, session, id, info, out);
    } else if id.0 > state.last_framework || id.0 == 0 {
        turn_away(session, format!("{} never gave the id {id}: subscribe without one", state.cluster), out);
    } else {
        // So it is for whoever may not come back as it.
        turn_away(session, "framework has been removed".to_string(), out);
    }
    Ok(())
}

/// What a framework is from now on, while it is connected. It is checked as a subscription is.
pub(super) fn update(
    state: &mut State,
    session: SessionId,
    info: FrameworkInfo,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let id = state.framework_of(session, Verb::UpdateFramework)?;
    info.check()?;
    let who = state.sessions.principal(session)?.clone();
    may_use(&who, Verb::UpdateFramework, &info)?;
    check_roles(state, &who, Some(id), &info.roles)?;
    let framework = state.frameworks.get_mut(&id).expect("a session's framework is known");
    if framework.info == info {
        return Ok(());
    }
    framework.become_another(info);
    out.push(Effect::Remember(Change::FrameworkSubscribed(id, framework.record())));
    let left = |offer: &Promise| !state.frameworks[&id].info.roles.iter().any(|role| **role == *offer.role);
    let offers = state.allocator.offers_to(id).into_iter();
    let of_no_role: Vec<_> = offers.filter(|offer| state.allocator.offer(*offer).is_some_and(left)).collect();
    offers::rescind(state, of_no_role, OfferEnd::Rescinded, out);
    state.allocator.set_framework(id, &state.frameworks[&id].info.roles);
    out.push(Effect::Announce(Announcement::FrameworkUpdated(id)));
    Ok(())
}

/// Makes sure that somebody may have a framework in each of its roles.
fn may_use(who: &Principal, verb: Verb, info: &FrameworkInfo) -> Result<(), Refusal> {
    match info.roles.iter().find(|role| !who.may_use(verb, role)) {
        Some(role) => Err(Refusal::RoleDenied(who.clone(), role.clone())),
        None => Ok(()),
    }
}

/// Makes sure that a framework in these roles leaves its principal in no more than it may be in. `same` is the framework
/// when it is known already.
fn check_roles(state: &State, who: &Principal, same: Option<FrameworkId>, roles: &[String]) -> Result<(), Refusal> {
    let asks = who.id();
    let principal = same.map_or(&asks, |id| &state.frameworks[&id].tenant.principal);
    let most = state.config.roles_per_principal;
    let own = state.principals.frameworks(principal);
    if who.is_owner() || principal.is_owner() {
        return Ok(());
    }
    let others = own.iter().filter(|id| same != Some(**id));
    let mut all: BTreeSet<&str> = others.flat_map(|id| &state.frameworks[id].info.roles).map(String::as_str).collect();
    for role in roles {
        let has = all.len();
        if all.insert(role) && all.len() > most {
            return Err(Refusal::TooManyRoles { who: who.clone(), most, has, role: role.clone() });
        }
    }
    Ok(())
}

/// Takes the framework's place at the table away for now. It is removed when it is not back in time.
pub(super) fn disconnect(state: &mut State, now: Now, id: FrameworkId, out: &mut Vec<Effect>) {
    let framework = state.frameworks.get_mut(&id).expect("a session's framework is known");
    if let Link::Connected(session) = framework.link {
        state.sessions.forget(session);
    }
    let until = now + framework.info.failover_timeout;
    let at_once = framework.info.failover_timeout.is_zero();
    framework.link = Link::LostUntil(until);
    let open = state.allocator.offers_to(id);
    state.timers.set(until, Timer::Framework(id));
    offers::give_back(state, open, OfferEnd::Returned);
    inverse::forget_framework(state, id);
    state.allocator.set_framework_active(id, false);
    out.push(Effect::Announce(Announcement::FrameworkDown(id)));
    if at_once {
        remove(state, now, id, out);
    }
}

pub(super) fn teardown(state: &mut State, now: Now, session: SessionId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = state.framework_of(session, Verb::Teardown)?;
    remove(state, now, id, out);
    Ok(())
}

const WHY: &str = "its framework is gone";

/// Forgets a framework and ends its tasks. What they hold is free when their agents say so, and not before.
pub(super) fn remove(state: &mut State, now: Now, id: FrameworkId, out: &mut Vec<Effect>) {
    if !state.frameworks.contains_key(&id) {
        return;
    }
    let open = state.allocator.offers_to(id);
    offers::give_back(state, open, OfferEnd::Returned);
    inverse::forget_framework(state, id);
    updates::stop_resending(state, id);
    reconcile::forget_questions(state, id);
    let framework = state.frameworks.remove(&id).expect("it was just there");
    state.principals.remove(&framework.tenant.principal, id);
    state.allocator.remove_framework(id);
    out.push(Effect::Remember(Change::FrameworkRemoved(id)));
    for agent in agents_with_tasks(state, &framework) {
        if let Some(session) = state.agent_session(agent).filter(|_| !planted::is(Bug::TasksOutliveFramework)) {
            out.push(Effect::ToAgent(session, AgentOrder::RemoveFramework(id)));
        }
    }
    state.leave_queued(id);
    for task in framework.tasks {
        let known = state.tasks.get_mut(&task).expect("a framework's task is known");
        known.kept = false;
        if known.holds {
            // An allocation with nothing in its queue is not killed: its agent closes it, as it would have later.
            if known.allocation.as_mut().is_none_or(|allocation| core::mem::take(&mut allocation.queued) > 0) {
                known.kill = true;
                kill_unheard(state, task, out);
            }
        } else if known.status.state.is_terminal() {
            state.archive(task);
        } else {
            // It is unreachable. Should it come back, its agent is told to end it then.
            state.declare(now, task, TaskEvent::AgentLeft, Reason::FrameworkRemoved, WHY, out);
        }
    }
    match framework.link {
        Link::Connected(session) => {
            state.sessions.forget(session);
            out.push(Effect::Close(session));
        }
        Link::LostUntil(until) => state.timers.cancel(until, Timer::Framework(id)),
    }
    out.push(Effect::Announce(Announcement::FrameworkRemoved(id)));
}

/// Notes that a task is to end, of which nobody is left to be told.
fn kill_unheard(state: &mut State, id: TaskId, out: &mut Vec<Effect>) {
    let task = &state.tasks[&id];
    let Some(next) = task.status.state.next(TaskEvent::KillRequested) else { return };
    let status = TaskStatus {
        reason: Some(Reason::FrameworkRemoved),
        message: WHY.to_string(),
        agent: Some(task.agent),
        ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, next, Source::Master)
    };
    state.note(id, status.clone());
    out.push(Effect::Announce(Announcement::Task(status)));
}

fn join(state: &mut State, session: SessionId, principal: PrincipalId, info: FrameworkInfo, out: &mut Vec<Effect>) {
    state.last_framework += 1;
    let id = FrameworkId(state.last_framework);
    state.principals.insert(&principal, id);
    let framework = Framework::new(info, principal, Link::Connected(session));
    out.push(Effect::Remember(Change::FrameworkSubscribed(id, framework.record())));
    state.frameworks.insert(id, framework);
    welcome(state, session, id, out);
}

fn come_back(
    state: &mut State,
    now: Now,
    session: SessionId,
    id: FrameworkId,
    info: FrameworkInfo,
    out: &mut Vec<Effect>,
) {
    let framework = state.frameworks.get_mut(&id).expect("the caller has seen it");
    if framework.info != info {
        framework.become_another(info);
        out.push(Effect::Remember(Change::FrameworkSubscribed(id, framework.record())));
    }
    match core::mem::replace(&mut framework.link, Link::Connected(session)) {
        Link::Connected(older) => {
            state.sessions.forget(older);
            turn_away(older, "framework failed over to another connection".to_string(), out);
        }
        Link::LostUntil(until) => state.timers.cancel(until, Timer::Framework(id)),
    }
    let open = state.allocator.offers_to(id);
    offers::give_back(state, open, OfferEnd::Returned);
    inverse::forget_framework(state, id);
    welcome(state, session, id, out);
    updates::tell_all(state, now, id, out);
    state.tell_unacknowledged_queues(id, out);
    for agent in agents_with_tasks(state, &state.frameworks[&id]) {
        state.note_holder(agent, id);
        if let Some(session) = state.agent_session(agent) {
            out.push(Effect::ToAgent(session, AgentOrder::Resend(id)));
        }
    }
}

fn welcome(state: &mut State, session: SessionId, id: FrameworkId, out: &mut Vec<Effect>) {
    state.sessions.introduce(session, Peer::Framework(id));
    state.allocator.set_framework(id, &state.frameworks[&id].info.roles);
    state.allocator.set_framework_active(id, true);
    out.push(Effect::ToFramework(
        session,
        FrameworkEvent::Subscribed {
            member: state.member(id),
            epoch: state.epoch,
            last_call: state.frameworks[&id].last_call,
        },
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
