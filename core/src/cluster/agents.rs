//! Agents that fall silent, drain, leave, or are given up.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::effect::{AgentOrder, Announcement, Change, Effect, FrameworkEvent, Rejection};
use super::refusal::Refusal;
use super::state::{Agent, Presence, State};
use super::tally::{AgentMove, OfferEnd};
use super::timers::Timer;
use super::{enrol, maintenance, offers, reconcile, rhythm, updates, withdrawal};
use crate::access::Verb;
use crate::id::{AgentId, FrameworkId, SessionId, TaskId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::task::Reason;
use crate::time::Now;

/// Notes that an agent lives, which says something.
pub(super) fn heard_from(state: &mut State, now: Now, session: SessionId, verb: Verb) -> Result<AgentId, Refusal> {
    let id = state.agent_of(session, verb)?;
    if let Some(agent) = state.agents.get_mut(&id) {
        agent.last_seen = now;
    }
    Ok(id)
}

pub(super) fn drain(state: &mut State, now: Now, session: SessionId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = heard_from(state, now, session, Verb::Drain)?;
    if let Some(agent) = state.agents.get_mut(&id) {
        agent.draining = true;
        let open = state.allocator.offers_of(id);
        withdrawal::offer_or_not(state, id);
        offers::rescind(state, open, OfferEnd::Rescinded, out);
    }
    Ok(())
}

pub(super) fn leave(state: &mut State, now: Now, session: SessionId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let id = heard_from(state, now, session, Verb::Leave)?;
    let concerned = concerned(state, id);
    cut_off(state, now, id, out);
    give_up(state, now, id, TaskEvent::AgentLeft, Reason::AgentDraining, "its agent left", out);
    mourn(state, id, &concerned, out);
    out.push(Effect::Close(session));
    Ok(())
}

/// Its connection ended. Its tasks count as running until it has been silent for too long.
pub(super) fn disconnect(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    cut_off(state, now, id, out);
    out.push(Effect::Announce(Announcement::AgentDown(id)));
}

/// An operator's word that an agent will not come back.
pub(super) fn declare_gone(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    let agent = state.agents.get(&id).ok_or(Refusal::AgentUnknown(id))?;
    let was_known = match agent.presence {
        Presence::Connected(_) => return Err(Refusal::AgentConnected(id)),
        Presence::Disconnected | Presence::Recovering => true,
        Presence::Unreachable { .. } => false,
    };
    let concerned = concerned(state, id);
    let why = "an operator declared its agent gone";
    give_up(state, now, id, TaskEvent::AgentGoneByOperator, Reason::AgentRemoved, why, out);
    if was_known {
        mourn(state, id, &concerned, out);
    }
    Ok(())
}

/// An operator's word that an agent is nobody's any more. What runs there ends; its certificate lets it in no more.
pub(super) fn remove(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) -> Result<(), Refusal> {
    if !state.agents.contains_key(&id) && !state.enrolled.contains(id) {
        return Err(Refusal::AgentUnknown(id));
    }
    // It ends its tasks, and finds then that it cannot come back.
    let last_word = Rejection::Gone(format!("{id} was removed by an operator"));
    void(state, now, id, last_word, "an operator removed its agent", out);
    Ok(())
}

/// Nothing runs any more on an agent that an operator wants gone once it is drained.
pub(super) fn retire(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let last_word = Rejection::Final(format!(
        "{id} was drained and marked gone by an operator: to have the machine join anew, start its agent with an empty work \
         folder"
    ));
    void(state, now, id, last_word, "an operator marked its agent gone", out);
}

/// An id that was kept for an agent is kept no longer, and nobody can come back under it.
pub(super) fn end_enrolment(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    enrol::end(state, id, out);
    forget_decisions(state, id, out);
}

/// What was decided of an agent's id means nothing any more.
fn forget_decisions(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    withdrawal::forget(state, id, out);
    maintenance::forget_agent(state, id, out);
}

/// Makes an agent's id nobody's.
fn void(state: &mut State, now: Now, id: AgentId, last_word: Rejection, why: &str, out: &mut Vec<Effect>) {
    let concerned = concerned(state, id);
    let Some(agent) = state.agents.get_mut(&id) else { return end_enrolment(state, id, out) };
    // Its id is nobody's then.
    agent.certified = false;
    let was_known = !matches!(agent.presence, Presence::Unreachable { .. });
    if let Presence::Connected(session) = agent.presence {
        cut_off(state, now, id, out);
        out.push(Effect::ToAgent(session, AgentOrder::Refused(last_word)));
        out.push(Effect::Close(session));
    }
    give_up(state, now, id, TaskEvent::AgentGoneByOperator, Reason::AgentRemoved, why, out);
    if was_known {
        mourn(state, id, &concerned, out);
    }
}

/// The timer of an agent went off: it may be silent, away, or just have spoken.
pub(super) fn time_out(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let known = state.agents.len();
    let Some(agent) = state.agents.get_mut(&id) else { return };
    let due = match agent.presence {
        Presence::Connected(_) | Presence::Disconnected => {
            agent.last_seen + rhythm::patience(known, state.config.agent_timeout)
        }
        Presence::Recovering => agent.timer,
        Presence::Unreachable { .. } => {
            let why = "its agent was unreachable for too long";
            return give_up(state, now, id, TaskEvent::AgentGone, Reason::AgentRemoved, why, out);
        }
    };
    let later = if due > now { Err(due) } else { state.guard.allow(now, known) };
    if let Err(later) = later {
        agent.timer = later;
        return state.timers.set(later, Timer::Agent(id));
    }
    let presence = agent.presence;
    let concerned = concerned(state, id);
    if let Presence::Connected(session) = presence {
        cut_off(state, now, id, out);
        out.push(Effect::Close(session));
    }
    become_unreachable(state, now, id, &concerned, out);
}

/// Ends an agent's session from our side: nothing can be launched there any more, and what it told last is the
/// master's to repeat.
pub(super) fn cut_off(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    let agent = state.agents.get_mut(&id).expect("the caller has seen the agent");
    if let Presence::Connected(session) = agent.presence {
        agent.presence = Presence::Disconnected;
        state.sessions.forget(session);
    }
    agent.registering = None;
    let open = state.allocator.offers_of(id);
    let tasks = agent.tasks.clone();
    for task in tasks {
        if state.tasks[&task].status.state.is_terminal() {
            updates::keep(state, now, task);
        }
    }
    state.allocator.set_agent_active(id, false);
    if !planted::is(Bug::OfferOutlivesAgent) {
        offers::rescind(state, open, OfferEnd::Rescinded, out);
    }
}

fn become_unreachable(
    state: &mut State,
    now: Now,
    id: AgentId,
    concerned: &BTreeSet<FrameworkId>,
    out: &mut Vec<Effect>,
) {
    let agent = state.agents.get_mut(&id).expect("the caller has seen the agent");
    let missed = agent.presence == Presence::Recovering;
    state.tally.agent_moves(if missed { AgentMove::Missed } else { AgentMove::Unreachable });
    agent.presence = Presence::Unreachable { since: now };
    agent.timer = now + state.config.agent_gone_after;
    if !planted::is(Bug::NeverGone) {
        state.timers.set(agent.timer, Timer::Agent(id));
    }
    let tasks: Vec<TaskId> = agent.tasks.iter().copied().collect();
    out.push(Effect::Remember(Change::AgentRecorded(id, agent.record())));
    state.drop_orphans(id);
    for task in tasks {
        // Nobody waits for the tasks of a framework that is gone.
        let event = match state.frameworks.contains_key(&task.framework) {
            true => TaskEvent::AgentSilent,
            false => TaskEvent::AgentLeft,
        };
        state.declare(now, task, event, Reason::AgentRemoved, "its agent is silent", out);
    }
    mourn(state, id, concerned, out);
    reconcile::answer_questions(state, id, out);
    while let Some(oldest) = one_too_many(state) {
        let why = "its agent never came back, and too many are unreachable";
        give_up(state, now, oldest, TaskEvent::AgentGone, Reason::AgentRemoved, why, out);
    }
}

/// Ends every task of an agent that will not come back, and forgets the agent.
fn give_up(
    state: &mut State,
    now: Now,
    id: AgentId,
    event: TaskEvent,
    reason: Reason,
    why: &str,
    out: &mut Vec<Effect>,
) {
    let agent = state.agents.get(&id).expect("the caller has seen the agent");
    state.timers.cancel(agent.timer, Timer::Agent(id));
    let was_unreachable = matches!(agent.presence, Presence::Unreachable { .. });
    for task in agent.tasks.clone() {
        state.declare(now, task, event, reason, why, out);
        // Ended before, and not acknowledged: its agent will not repeat it.
        if state.tasks.get(&task).is_some_and(|task| !task.kept) {
            match state.frameworks.contains_key(&task.framework) {
                true => updates::keep(state, now, task),
                false => state.archive(task),
            }
        }
        if state.tasks.contains_key(&task) {
            state.detach(task);
        }
    }
    out.push(Effect::Remember(Change::AgentRemoved(id)));
    state.tally.agent_moves(if was_unreachable { AgentMove::Forgotten } else { AgentMove::Removed });
    state.drop_orphans(id);
    state.allocator.remove_agent(id);
    state.has_seen(id);
    let Some(agent) = state.agents.remove(&id) else { return };
    let Agent { key, certified, questions, .. } = *agent;
    if certified {
        enrol::keep_for_later(state, now, id, out);
        // Nothing runs there any more that anybody could wait for.
        state.withdrawn.note(id);
    } else {
        forget_decisions(state, id, out);
    }
    state.forget_key(id, key);
    reconcile::answer_all(state, questions, Some(id), out);
    reconcile::answer_questions(state, id, out);
}

/// Those who have something on an agent: tasks whose end they have not acknowledged, or offers. Nobody else need know that
/// there was such an agent.
fn concerned(state: &State, id: AgentId) -> BTreeSet<FrameworkId> {
    let Some(agent) = state.agents.get(&id) else { return BTreeSet::new() };
    if state.unseen.contains(&id) {
        // It has not come since this master leads, and whose tasks it runs nobody has told.
        return state.frameworks.keys().copied().collect();
    }
    let by_task = agent.tasks.iter().map(|task| task.framework);
    let offers = state.allocator.offers_of(id);
    let by_offer = offers.iter().filter_map(|offer| state.allocator.offer(*offer)).map(|offer| offer.framework);
    by_task.chain(by_offer).collect()
}

/// Takes an agent out of what can be offered, and tells those who had something there.
fn mourn(state: &mut State, id: AgentId, concerned: &BTreeSet<FrameworkId>, out: &mut Vec<Effect>) {
    state.allocator.remove_agent(id);
    for session in concerned.iter().filter_map(|framework| state.framework_session(*framework)) {
        out.push(Effect::ToFramework(session, FrameworkEvent::AgentLost(id)));
    }
    out.push(Effect::Announce(Announcement::AgentRemoved(id)));
}

/// The agent that has been unreachable for longest, when there are more of them than we remember.
fn one_too_many(state: &State) -> Option<AgentId> {
    let unreachable = || {
        state.agents.iter().filter_map(|(&id, agent)| match agent.presence {
            Presence::Unreachable { since } => Some((since, id)),
            _ => None,
        })
    };
    if unreachable().count() <= state.config.unreachable_agents {
        return None;
    }
    unreachable().min().map(|(_, id)| id)
}
