//! What an operator sees: copies, so that nobody holds on to the state.

use alloc::string::String;

use crate::access::PrincipalId;
use crate::agent::AgentInfo;
use crate::cluster::command::FrameworkInfo;
use crate::id::{AgentId, FrameworkId, OfferId, TaskId};
use crate::resources::{Resources, Share};
use crate::task::TaskStatus;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// Its name in the cluster.
    pub id: AgentId,
    /// What it is and has.
    pub info: AgentInfo,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it takes no more tasks.
    pub draining: bool,
    /// Held by tasks.
    pub used: Resources,
    /// Promised in open offers.
    pub offered: Resources,
    /// Tasks on it that have not ended.
    pub tasks: usize,
}

/// A framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameworkView {
    /// Its name in the cluster.
    pub id: FrameworkId,
    /// What it is.
    pub info: FrameworkInfo,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it wants no offers.
    pub suppressed: bool,
    /// Held by its tasks.
    pub used: Resources,
    /// Promised to it in open offers.
    pub offered: Resources,
    /// Its tasks that have not ended.
    pub tasks: usize,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// Its weight against other roles.
    pub weight: u32,
    /// Its frameworks.
    pub frameworks: usize,
    /// Held by its tasks or promised to its frameworks.
    pub allocated: Resources,
    /// The dominant share of `allocated`, not divided by the weight.
    pub share: Share,
}

/// An open offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferView {
    /// Its name.
    pub id: OfferId,
    /// To whom.
    pub framework: FrameworkId,
    /// Where.
    pub agent: AgentId,
    /// How much.
    pub resources: Resources,
}

/// A task that has not ended, or one of the last that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its name in the cluster.
    pub id: TaskId,
    /// Its label.
    pub name: String,
    /// The role it counts towards.
    pub role: String,
    /// Where it runs or ran.
    pub agent: AgentId,
    /// What it holds or held.
    pub resources: Resources,
    /// The last that was said of it.
    pub status: TaskStatus,
}

/// What a principal that has frameworks has of what the cluster counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalView {
    /// Who.
    pub id: PrincipalId,
    /// Its frameworks, connected or to come back.
    pub frameworks: usize,
    /// The roles that these are in.
    pub roles: usize,
    /// Tasks that run, or whose end is not acknowledged.
    pub tasks: usize,
    /// Tasks that were dropped since it had too many, as long as it has frameworks.
    pub dropped: u64,
}

/// How much a master holds in mind. Each of these has a bound in [`Config`](super::Config) or beside its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections of agents and frameworks.
    pub sessions: usize,
    /// Known agents, unreachable ones among them.
    pub agents: usize,
    /// Known frameworks.
    pub frameworks: usize,
    /// Open offers.
    pub offers: usize,
    /// Tasks that run, or whose end is not acknowledged.
    pub tasks: usize,
    /// Tasks whose end is acknowledged.
    pub ended: usize,
    /// Tasks that agents run though they should not, and were told to end.
    pub orphans: usize,
    /// Updates that the master repeats until they are acknowledged.
    pub kept_updates: usize,
    /// Questions about unknown tasks that wait for agents.
    pub questions: usize,
    /// Kills of unknown tasks that wait for agents.
    pub kills: usize,
    /// Deadlines.
    pub timers: usize,
    /// Tokens, used-up and revoked ones among them.
    pub tokens: usize,
    /// Ids that are kept for agents that are not there.
    pub enrolled: usize,
}
