//! Machines that join: ids that are kept for whoever holds the certificate.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{Change, Effect};
use super::refusal::Refusal;
use super::state::State;
use super::timers::Timer;
use super::tokens;
use crate::access::{Denied, Enrolment, Principal, TokenId, Verb};
use crate::id::{AgentId, Digest};
use crate::time::Now;

/// How long an id is kept for an agent that has never registered. It does so within seconds, unless it was lost.
const NEVER_CAME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an id is kept for an agent that was given up or left. For so long it may renew its certificate.
const AWAY_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Ids of agents that are not known otherwise. Together with those that are, they are bounded by the number of agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Enrolled {
    all: BTreeMap<AgentId, Enrolment>,
    by_key: BTreeMap<(TokenId, Digest), AgentId>,
}

impl Enrolled {
    pub(super) fn contains(&self, id: AgentId) -> bool {
        self.all.contains_key(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = AgentId> {
        self.all.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// A machine joins by its token. One use and one id, remembered in one batch: whoever comes again with the same key has
/// the same id, and whoever comes with another key needs another use.
pub(super) fn enrol(
    state: &mut State,
    now: Now,
    who: &Principal,
    key: Digest,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let token = who.token.ok_or_else(|| Denied { who: who.clone(), verb: Verb::Enroll })?;
    state.tokens.valid(token)?;
    let id = match state.enrolled.by_key.get(&(token, key)) {
        Some(&id) => id,
        None => {
            let known = state.agents.len() + state.enrolled.len();
            if known >= state.config.agents {
                return Err(Refusal::TooManyAgents(known));
            }
            tokens::count_use(state, token, out)?;
            state.last_agent += 1;
            let id = AgentId(state.last_agent);
            keep(state, id, Enrolment { until: now + NEVER_CAME, by: Some((token, key)) }, out);
            id
        }
    };
    out.push(Effect::Enrolled(state.member(id)));
    Ok(())
}

/// Keeps an id for an agent that is not there any more and may come back with its certificate.
pub(super) fn keep_for_later(state: &mut State, now: Now, id: AgentId, out: &mut Vec<Effect>) {
    keep(state, id, Enrolment { until: now + AWAY_MAX, by: None }, out);
}

/// As the registry remembers it.
pub(super) fn recover(state: &mut State, id: AgentId, enrolment: Enrolment) {
    state.last_agent = state.last_agent.max(id.0);
    state.timers.set(enrolment.until, Timer::Enrolment(id));
    if let Some(by) = enrolment.by {
        state.enrolled.by_key.insert(by, id);
    }
    state.enrolled.all.insert(id, enrolment);
}

/// The id is kept no longer: its agent has registered, its time is over, or it is removed.
pub(super) fn end(state: &mut State, id: AgentId, out: &mut Vec<Effect>) {
    let Some(enrolment) = state.enrolled.all.remove(&id) else { return };
    if let Some(by) = enrolment.by {
        state.enrolled.by_key.remove(&by);
    }
    state.timers.cancel(enrolment.until, Timer::Enrolment(id));
    out.push(Effect::Remember(Change::EnrolmentEnded(id)));
}

fn keep(state: &mut State, id: AgentId, enrolment: Enrolment, out: &mut Vec<Effect>) {
    out.push(Effect::Remember(Change::AgentEnrolled(id, enrolment.clone())));
    recover(state, id, enrolment);
}
