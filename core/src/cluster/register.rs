//! Agents that join, or come back.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::command::{AgentIdentity, HeldTask};
use super::effect::{AgentOrder, Announcement, Change, Effect, Rejection};
use super::inventory;
use super::queued::Stands;
use super::refusal::Refusal;
use super::sessions::Peer;
use super::state::{Agent, Presence, Registering, State};
use super::tally::AgentMove;
use super::timers::Timer;
use super::views::in_queues;
use super::{agents, enrol, volumes};
use crate::access::{Kind, Verb};
use crate::agent::AgentInfo;
use crate::id::{AgentId, AgentKey, SessionId};
use crate::planted::{self, Bug};
use crate::quantity::MilliCpu;
use crate::queue::HeldQueue;
use crate::time::Now;

/// What an agent says when it registers.
pub(super) struct Registration {
    pub(super) identity: AgentIdentity,
    pub(super) info: AgentInfo,
    pub(super) tasks: Vec<HeldTask>,
    pub(super) complete: bool,
}

/// Takes an agent in, or turns it away. A draining agent that comes back takes tasks again until it says otherwise.
pub(super) fn register(
    state: &mut State,
    now: Now,
    session: SessionId,
    registration: Registration,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let who = state.sessions.stranger(session)?;
    who.check(Verb::Register)?;
    let Registration { identity, info, tasks, complete } = registration;
    let fits = |id| match check_held(state, id, tasks.len()) {
        Ok(()) => Ok(id),
        Err(refusal) => Err(Rejection::Final(refusal.to_string())),
    };
    let id = match identify(state, &who.kind, &identity, &info).and_then(fits) {
        Ok(id) => id,
        Err(rejection) => {
            out.push(Effect::ToAgent(session, AgentOrder::Refused(rejection)));
            out.push(Effect::Close(session));
            return Ok(());
        }
    };
    if let Some(older) = state.agent_session(id) {
        agents::cut_off(state, now, id, out);
        out.push(Effect::Close(older));
    }
    admit(state, now, session, id, identity, info, out);
    out.push(Effect::ToAgent(session, AgentOrder::Registered { member: state.member(id), epoch: state.epoch }));
    inventory::take_in(state, now, session, id, tasks, out);
    if complete {
        inventory::complete(state, now, session, id, out);
    }
    Ok(())
}

/// More of what a registering agent holds.
pub(super) fn holds(
    state: &mut State,
    now: Now,
    session: SessionId,
    tasks: Vec<HeldTask>,
    complete: bool,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let id = state.agent_of(session, Verb::Report)?;
    if state.agents[&id].registering.is_none() {
        return Err(Refusal::RegisteredAlready(session));
    }
    check_held(state, id, tasks.len())?;
    agents::heard_from(state, now, session, Verb::Report)?;
    inventory::take_in(state, now, session, id, tasks, out);
    if complete {
        inventory::complete(state, now, session, id, out);
    }
    Ok(())
}

/// More of what a registering agent holds: what is in the queues of its allocations, all of which it has named.
pub(super) fn holds_queues(
    state: &mut State,
    now: Now,
    session: SessionId,
    queues: Vec<HeldQueue>,
    complete: bool,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let id = state.agent_of(session, Verb::Report)?;
    if state.agents[&id].registering.is_none() {
        return Err(Refusal::RegisteredAlready(session));
    }
    let named = queues.iter().flat_map(|queue| &queue.runs).fold(0_u64, |sum, run| sum.saturating_add(run.count));
    let queued = in_queues(state, state.agents.get(&id).into_iter().flat_map(|agent| &agent.tasks));
    check_held(state, id, usize::try_from(named).unwrap_or(usize::MAX).saturating_add(queued))?;
    agents::heard_from(state, now, session, Verb::Report)?;
    for queue in queues {
        inventory::take_in_queue(state, session, id, queue, out);
    }
    if complete {
        inventory::complete(state, now, session, id, out);
    }
    Ok(())
}

/// Whether an agent may hold so many tasks more. What it is known to hold and names again counts twice.
fn check_held(state: &State, id: AgentId, named: usize) -> Result<(), Refusal> {
    let held = state.agents.get(&id).map_or(0, |agent| agent.tasks.len() + agent.orphans.len());
    match held.saturating_add(named) > state.config.tasks_per_agent {
        true => Err(Refusal::TooManyHeld(id, state.config.tasks_per_agent)),
        false => Ok(()),
    }
}

/// Which agent this is: one that is known, or the next.
fn identify(state: &State, who: &Kind, identity: &AgentIdentity, info: &AgentInfo) -> Result<AgentId, Rejection> {
    if info.resources.is_empty() {
        return Err(Rejection::Final("an agent needs something to offer, and has nothing".to_string()));
    }
    if !info.resources.revocable.is_zero() {
        return Err(Rejection::Final(
            "what an agent has is not revocable: it measures later what of it is unused".to_string(),
        ));
    }
    if let Err(invalid) = info.check_reserved() {
        return Err(Rejection::Final(invalid.to_string()));
    }
    if let Kind::Agent(id) = *who {
        return certified(state, id, identity);
    }
    let Some(member) = identity.member else {
        // One that never heard its id, because the connection broke, comes back under it.
        return match state.agents_by_key.get(&identity.key) {
            Some(&id) => its_own(state, id, identity),
            None if state.agents.len() + state.enrolled.len() >= state.config.agents => {
                let known = state.agents.len() + state.enrolled.len();
                Err(Rejection::Later(format!("{known} agents are known, more are not taken")))
            }
            None => Ok(AgentId(state.last_agent + 1)),
        };
    };
    if member.cluster != state.cluster && !planted::is(Bug::ClusterNotChecked) {
        let why = of_another_cluster(state, &member.id.to_string(), &member.cluster.to_string());
        return Err(Rejection::OtherCluster(why));
    }
    if planted::is(Bug::IdAsItComes) && member.id.0 > state.last_agent {
        return Ok(member.id);
    }
    if !state.agents.contains_key(&member.id) {
        return Err(match member.id.0 > state.last_agent || member.id.0 == 0 {
            true => Rejection::Final(format!("{} never gave the id {}", state.cluster, member.id)),
            false => {
                Rejection::Gone(format!("{} has left or was declared gone, and its tasks are told as gone", member.id))
            }
        });
    }
    its_own(state, member.id, identity)
}

/// With a certificate, an agent is who that says, and nobody else.
fn certified(state: &State, id: AgentId, identity: &AgentIdentity) -> Result<AgentId, Rejection> {
    if let Some(member) = identity.member {
        if member.cluster != state.cluster {
            let why = of_another_cluster(state, &member.id.to_string(), &member.cluster.to_string());
            return Err(Rejection::OtherCluster(why));
        }
        if member.id != id {
            let why = format!(
                "it says that it is {}, and its certificate is that of {id}: a work folder and a certificate belong together",
                member.id
            );
            return Err(Rejection::Final(why));
        }
    }
    if state.agents.contains_key(&id) {
        return is_free(state, id, identity);
    }
    match (state.enrolled.contains(id), identity.member) {
        (true, None) => Ok(id),
        // Its tasks are told as gone: it is to end them, and to come back then as one that is new.
        (true, Some(_)) => Err(Rejection::Gone(format!("{id} was given up, and its tasks are told as gone"))),
        // The same, and then to hear what follows.
        (false, Some(_)) => Err(Rejection::Gone(format!("{id} was removed, and its certificate is void"))),
        (false, None) => Err(Rejection::Final(format!(
            "{id} was removed, and its certificate is void: to have the machine join anew, make a token with `haggle token \
             create --kind agent` and start the agent with it and an empty work folder"
        ))),
    }
}

/// Whether the id is the agent's, and free to be used.
fn its_own(state: &State, id: AgentId, identity: &AgentIdentity) -> Result<AgentId, Rejection> {
    let known = &state.agents[&id];
    // A registry of an earlier version knows no keys: the first that comes is its own.
    if known.key != identity.key && known.key != AgentKey::default() && !planted::is(Bug::KeyNotChecked) {
        return Err(Rejection::Final(format!("{id} is another agent: the key does not fit")));
    }
    is_free(state, id, identity)
}

/// Whether nobody else speaks for the agent right now.
fn is_free(state: &State, id: AgentId, identity: &AgentIdentity) -> Result<AgentId, Rejection> {
    let known = &state.agents[&id];
    match known.presence {
        Presence::Connected(_) if known.run != identity.run && !planted::is(Bug::RunTakesOver) => {
            Err(Rejection::Later(format!(
                "{id} is connected from elsewhere: a copy of this agent's work folder is in use, or its last process is not \
             noticed as gone yet"
            )))
        }
        _ => Ok(id),
    }
}

/// What a peer is told that belongs to another cluster.
pub(super) fn of_another_cluster(state: &State, who: &str, cluster: &str) -> String {
    format!(
        "{who} belongs to {cluster}, and this is {}: lead it to its own master, or have it join here anew, with an empty \
         work folder or without its old id",
        state.cluster
    )
}

fn admit(
    state: &mut State,
    now: Now,
    session: SessionId,
    id: AgentId,
    identity: AgentIdentity,
    info: AgentInfo,
    out: &mut Vec<Effect>,
) {
    state.last_agent = state.last_agent.max(id.0);
    let timer = now + state.config.agent_timeout;
    let mut agent = Agent::new(Arc::new(info), identity.key, Presence::Connected(session), now, timer);
    agent.run = identity.run;
    agent.certified =
        matches!(state.sessions.get(session), Some(known) if matches!(known.principal.kind, Kind::Agent(_)));
    let mut registering = Registering::default();
    let mut before = None;
    state.drop_orphans(id);
    if let Some(known) = state.agents.remove(&id) {
        state.timers.cancel(known.timer, Timer::Agent(id));
        before = Some(known.record());
        agent.certified |= known.certified;
        state.forget_key(id, known.key);
        registering.unnamed = known.tasks.clone();
        for task in &known.tasks {
            for run in state.queue_of(*task) {
                if !matches!(run.value.stands, Stands::Ended(..)) {
                    registering.unnamed_queued.insert(run.first, run.count, ());
                }
            }
        }
        agent.restarted = known.restarted || known.run != identity.run;
        agent.tasks = known.tasks;
        agent.questions = known.questions;
        agent.reserved = known.reserved;
        agent.volumes = known.volumes.unconfirmed();
    }
    state.tally.agent_moves(if before.is_some() { AgentMove::Returned } else { AgentMove::Joined });
    agent.registering = Some(Box::new(registering));
    state.allocator.set_agent(id, &agent.info);
    state.allocator.set_revocable(id, MilliCpu::ZERO);
    state.allocator.reserve(id, &agent.reserved);
    state.allocator.set_agent_active(id, planted::is(Bug::OfferedTooEarly));
    enrol::end(state, id, out);
    let record = agent.record();
    if before.as_ref() != Some(&record) && !planted::is(Bug::AgentNotRecorded) {
        out.push(Effect::Remember(Change::AgentRecorded(id, record)));
    }
    out.push(Effect::Announce(Announcement::AgentUp(id)));
    state.timers.set(timer, Timer::Agent(id));
    if !agent.certified {
        state.agents_by_key.insert(identity.key, id);
    }
    state.agents.insert(id, Box::new(agent));
    volumes::settle(state, id);
    state.sessions.introduce(session, Peer::Agent(id));
}
