//! Connections: who is at the other end of each, and whom it speaks for.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

use super::effect::{AgentOrder, Effect, FrameworkEvent, Rejection};
use super::refusal::Refusal;
use super::state::State;
use super::{agents, frameworks};
use crate::access::{Principal, TokenId, Verb};
use crate::id::{AgentId, FrameworkId, SessionId};
use crate::time::Now;

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) principal: Principal,
    /// Whom it speaks for, once it has introduced itself.
    pub(super) speaks_for: Option<Peer>,
}

/// Who speaks on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Agent(AgentId),
    Framework(FrameworkId),
}

/// Every connection that was announced and has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    all: BTreeMap<SessionId, Session>,
    /// Those of each token.
    by_token: BTreeMap<TokenId, BTreeSet<SessionId>>,
}

impl Sessions {
    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.all.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Who is there, when nothing was said yet.
    pub(super) fn stranger(&self, id: SessionId) -> Result<&Principal, Refusal> {
        match self.all.get(&id) {
            None => Err(Refusal::NotConnected(id)),
            Some(Session { speaks_for: Some(_), .. }) => Err(Refusal::IntroducedTwice(id)),
            Some(Session { principal, speaks_for: None }) => Ok(principal),
        }
    }

    /// Who is at the other end.
    pub(super) fn principal(&self, id: SessionId) -> Result<&Principal, Refusal> {
        self.all.get(&id).map(|session| &session.principal).ok_or(Refusal::NotConnected(id))
    }

    /// From now on it speaks for that one.
    pub(super) fn introduce(&mut self, id: SessionId, peer: Peer) {
        self.all.get_mut(&id).expect("the caller has seen the session").speaks_for = Some(peer);
    }

    /// Nothing that is said on it counts any more.
    pub(super) fn forget(&mut self, id: SessionId) {
        let Some(token) = self.all.remove(&id).and_then(|session| session.principal.token) else { return };
        if let Some(others) = self.by_token.get_mut(&token) {
            others.remove(&id);
            if others.is_empty() {
                self.by_token.remove(&token);
            }
        }
    }

    /// Those that came with this token.
    pub(super) fn of_token(&self, token: TokenId) -> Vec<SessionId> {
        self.by_token.get(&token).into_iter().flatten().copied().collect()
    }
}

impl State {
    /// The agent that speaks on a session, if who is there may say such a thing.
    pub(super) fn agent_of(&self, session: SessionId, verb: Verb) -> Result<AgentId, Refusal> {
        match self.sessions.get(session) {
            Some(Session { principal, speaks_for: Some(Peer::Agent(id)) }) => {
                principal.check(verb)?;
                Ok(*id)
            }
            _ => Err(Refusal::NotAnAgent(session)),
        }
    }

    /// The framework that speaks on a session, if who is there may say such a thing.
    pub(super) fn framework_of(&self, session: SessionId, verb: Verb) -> Result<FrameworkId, Refusal> {
        match self.sessions.get(session) {
            Some(Session { principal, speaks_for: Some(Peer::Framework(id)) }) => {
                principal.check(verb)?;
                Ok(*id)
            }
            _ => Err(Refusal::NotAFramework(session)),
        }
    }

    /// The framework that speaks on a session.
    pub(super) fn speaks_for(&self, session: SessionId) -> Option<FrameworkId> {
        match self.sessions.get(session)?.speaks_for {
            Some(Peer::Framework(id)) => Some(id),
            _ => None,
        }
    }
}

/// A connection begins. Its token may have been revoked since the shell looked at it.
pub(super) fn connect(state: &mut State, id: SessionId, principal: Principal) -> Result<(), Refusal> {
    if state.sessions.get(id).is_some() {
        return Err(Refusal::IntroducedTwice(id));
    }
    if let Some(token) = principal.token {
        state.tokens.valid(token)?;
        state.sessions.by_token.entry(token).or_default().insert(id);
    }
    state.sessions.all.insert(id, Session { principal, speaks_for: None });
    Ok(())
}

/// A connection has ended.
pub(super) fn disconnect(state: &mut State, now: Now, id: SessionId, out: &mut Vec<Effect>) {
    match state.sessions.get(id).and_then(|session| session.speaks_for) {
        Some(Peer::Agent(agent)) => agents::disconnect(state, now, agent, out),
        Some(Peer::Framework(framework)) => frameworks::disconnect(state, now, framework, out),
        // It never introduced itself, or was closed by us.
        None => state.sessions.forget(id),
    }
}

/// Ends every session of a token, with that as the last word.
pub(super) fn end_all_of(state: &mut State, now: Now, token: TokenId, why: &str, out: &mut Vec<Effect>) {
    for session in state.sessions.of_token(token) {
        match state.sessions.get(session).and_then(|session| session.speaks_for) {
            Some(Peer::Agent(_)) => {
                let why = Rejection::Final(why.to_string());
                out.push(Effect::ToAgent(session, AgentOrder::Refused(why)));
            }
            Some(Peer::Framework(_)) => out.push(Effect::ToFramework(session, FrameworkEvent::Error(why.to_string()))),
            None => {}
        }
        out.push(Effect::Close(session));
        disconnect(state, now, session, out);
    }
}
