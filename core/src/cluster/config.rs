//! What an operator can set.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::num::NonZeroU32;
use core::time::Duration;

/// The settings of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a framework may think about an offer.
    pub offer_timeout: Duration,
    /// How long an agent may be silent or away before its tasks count as unreachable.
    pub agent_timeout: Duration,
    /// The weights of roles against each other; a role that is not here has 1.
    pub weights: BTreeMap<String, NonZeroU32>,
    /// Ended tasks that are remembered, so that questions about them have answers.
    pub history: usize,
    /// Tasks of one framework that run, or whose end it has not acknowledged. More are dropped at once.
    pub tasks_per_framework: usize,
    /// Unreachable agents whose tasks may still come back. With more than these, the tasks of those that went
    /// first are given up.
    pub unreachable_agents: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Mesos has none, and one slow scheduler then starves a cluster. A scheduler that works answers within
            // milliseconds; this leaves room for a long pause.
            offer_timeout: Duration::from_secs(5),
            // Mesos's five missed pings of 15 s.
            agent_timeout: Duration::from_secs(75),
            weights: BTreeMap::new(),
            // A few megabytes.
            history: 10_000,
            // A few hundred megabytes, should a framework come to this and never acknowledge.
            tasks_per_framework: 1_000_000,
            // A rack, or a data centre of our size.
            unreachable_agents: 1_000,
        }
    }
}
