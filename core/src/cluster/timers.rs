//! What happens when nothing happens.

use alloc::collections::BTreeSet;

use crate::id::{AgentId, FrameworkId, OfferId};
use crate::time::Now;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An offer expires.
    Offer(OfferId),
    /// An agent may have been silent or away for too long.
    Agent(AgentId),
    /// A framework has been away for too long.
    Framework(FrameworkId),
    /// Updates that the master keeps for a framework are sent again.
    Resend(FrameworkId),
    /// An id is kept no longer for an agent that is not there.
    Enrolment(AgentId),
    /// What still runs on an agent that drains is killed, or its ends are waited for no longer.
    Drain(AgentId),
    /// A framework that declined an inverse offer of an agent is asked again.
    Inverse(AgentId, FrameworkId),
}

/// Every deadline but those of filters, which are the allocator's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timers(BTreeSet<(Now, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Now, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, at: Now, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<Now> {
        self.0.first().map(|&(at, _)| at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next one that is due at `now`, which is no longer set then.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
