//! Which agents hold certificates of which authority, as far as this master has seen.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use haggle_core::AgentId;
use haggle_tls::Fingerprint;

/// Agents whose certificates were seen since the master began. An agent that was not is taken for one that may hold any:
/// whoever waits for it waits too long rather than too short. A cache; guards no decision.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<AgentId, Fingerprint>>);

impl Held {
    /// The latest certificate of this agent is of that authority.
    pub(crate) fn note(&self, agent: AgentId, authority: Fingerprint) {
        self.locked().insert(agent, authority);
    }

    /// Of whom the latest certificate of this agent is.
    pub(crate) fn of(&self, agent: AgentId) -> Option<Fingerprint> {
        self.locked().get(&agent).copied()
    }

    /// How many were seen.
    pub(crate) fn len(&self) -> usize {
        self.locked().len()
    }

    /// Forgets those that are not known to the cluster any more.
    pub(crate) fn keep(&self, is_known: impl Fn(AgentId) -> bool) {
        self.locked().retain(|agent, _| is_known(*agent));
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<AgentId, Fingerprint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
