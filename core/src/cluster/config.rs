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
    /// How long an agent may be silent or away before its tasks count as unreachable. With more than 2,500 agents it is longer: see
    /// [`heartbeat_every`](super::heartbeat_every).
    pub agent_timeout: Duration,
    /// How long the agents of the last master have to find a new one.
    pub reregister_timeout: Duration,
    /// How long an agent may be unreachable before it counts as gone, and its tasks with it.
    pub agent_gone_after: Duration,
    /// The weights of roles against each other; a role that is not here has 1.
    pub weights: BTreeMap<String, NonZeroU32>,
    /// Ended tasks that are remembered, so that questions about them have answers.
    pub history: usize,
    /// Tasks of one framework that run, or whose end it has not acknowledged. More are dropped at once.
    pub tasks_per_framework: usize,
    /// Ends of one framework's tasks that it has not acknowledged. With more of them, its launches are dropped.
    pub unacknowledged_per_framework: usize,
    /// Tasks in the queue of one allocation that have not ended. More are dropped at once.
    pub queued_per_allocation: usize,
    /// Parts of agents that are reserved for one role and those below it, when its frameworks want one more. Operators reserve
    /// beyond that.
    pub reservations_per_role: usize,
    /// Agents that changed and are looked at in one allocation. Where more did at once, the next ones go on with them.
    pub agents_at_once: usize,
    /// Agents that are known. More are asked to come later.
    pub agents: usize,
    /// Unreachable agents whose tasks may still come back. With more than these, those that went first are given up.
    pub unreachable_agents: usize,
    /// Frameworks that are known. More are turned away.
    pub frameworks: usize,
    /// Frameworks of one principal that are known. More are turned away. The owner's are not bounded.
    pub frameworks_per_principal: usize,
    /// Roles in which the frameworks of one principal are. A further one is turned away. The owner's are not bounded.
    pub roles_per_principal: usize,
    /// Tasks of one principal's frameworks together that run, or whose end they have not acknowledged. More are dropped at
    /// once. The owner's are not bounded.
    pub tasks_per_principal: usize,
    /// Tasks that one agent holds: as much as it names in a registration, wanted or not. More are not taken in.
    pub tasks_per_agent: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Mesos has none, and one slow scheduler then starves a cluster. A scheduler that works answers within
            // milliseconds; this leaves room for a long pause.
            offer_timeout: Duration::from_secs(5),
            // Four heartbeats. Mesos needs 75 s, Nomad 20 s, Kubernetes 40 to 50 s.
            agent_timeout: Duration::from_secs(10),
            // An agent tries each 5 s at the latest; this leaves room for a storm of them. Mesos gives 10 min.
            reregister_timeout: Duration::from_secs(60),
            // A machine that is repaired comes back within a day.
            agent_gone_after: Duration::from_secs(24 * 60 * 60),
            weights: BTreeMap::new(),
            // A few megabytes.
            history: 10_000,
            // A few hundred megabytes, should a framework come to this.
            tasks_per_framework: 1_000_000,
            // Ten seconds of a cluster that ends 10,000 tasks a second.
            unacknowledged_per_framework: 100_000,
            // A second of the fastest agent that we have measured: a queue is refilled before it is empty.
            queued_per_allocation: 100_000,
            // A part of each agent of a large cluster: a few megabytes.
            reservations_per_role: 10_000,
            // About half a millisecond of a master, with all that their offers cost until they are sent.
            agents_at_once: 128,
            // More than the largest cluster that we have measured. Their sum of resources stays exact.
            agents: 100_000,
            // A rack, or a data centre of our size.
            unreachable_agents: 1_000,
            // Each takes a few kilobytes, and has its place in the ranking.
            frameworks: 10_000,
            // A tenth of all of them.
            frameworks_per_principal: 1_000,
            // A role for each team of a large company. Each has its place in the ranking.
            roles_per_principal: 100,
            // What one framework may have: having many frameworks brings nobody more.
            tasks_per_principal: 1_000_000,
            // Twenty times what one machine has been seen to hold. An agent that names more makes them up.
            tasks_per_agent: 2_000_000,
        }
    }
}
