//! What an operator sees: copies, so that nobody holds on to the state.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::access::PrincipalId;
use crate::agent::AgentInfo;
use crate::allocator::{Ahead, Hindrance};
use crate::cluster::command::FrameworkInfo;
use crate::group::Group;
use crate::id::{AgentId, Digest, FrameworkId, MaintenanceId, OfferId, TaskId, VolumeId};
use crate::placement::Placement;
use crate::quantity::{Bytes, MilliCpu};
use crate::quota::Quota;
use crate::reservation::Reserved;
use crate::resources::{Resources, Share};
use crate::task::TaskStatus;
use crate::time::Now;
use crate::upkeep::{Cause, Maintenance, Unavailability};
use crate::volume::Volume;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// Its name in the cluster.
    pub id: AgentId,
    /// What it is and has.
    pub info: AgentInfo,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it says itself that it takes no more tasks, and will leave.
    pub draining: bool,
    /// Whether an operator or a maintenance window wants it to take none.
    pub withdrawal: Option<WithdrawalView>,
    /// When it will not be there, or is not now.
    pub unavailability: Option<Unavailability>,
    /// What it measures to be unused of the processor time that its tasks hold: beside what it has.
    pub revocable: MilliCpu,
    /// Held by tasks.
    pub used: Resources,
    /// Promised in open offers.
    pub offered: Resources,
    /// What of it is reserved.
    pub reserved: Vec<ReservationView>,
    /// How many volumes it holds, or is to hold.
    pub volumes: usize,
    /// Their room. It is neither used nor offered.
    pub kept: Bytes,
    /// Tasks on it that have not ended, those in the queues of allocations among them.
    pub tasks: usize,
}

/// A part of an agent that is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationView {
    /// For whom, and how much.
    pub reserved: Reserved,
    /// What of it tasks hold.
    pub used: Resources,
    /// What of it open offers promise.
    pub offered: Resources,
    /// What of it is the room of volumes.
    pub kept: Resources,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeView {
    /// Its id.
    pub id: VolumeId,
    /// The agent that holds it, or is to.
    pub agent: AgentId,
    /// What is known of it. Nothing of a folder that its agent came back with and that the registry does not know.
    pub known: Option<Volume>,
    /// Whether it is there.
    pub standing: VolumeStanding,
    /// A task that uses it, the first of them.
    pub user: Option<TaskId>,
    /// How many tasks use it.
    pub users: usize,
    /// How many open offers promise it.
    pub offers: usize,
}

/// Whether a volume is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeStanding {
    /// Its agent is about to make its folder.
    Making,
    /// It can be used.
    Ready,
    /// Its agent has come back without it.
    Missing,
    /// Its agent is not connected.
    Away,
    /// Its agent has a folder of that name, of which the registry knows nothing.
    Unknown,
}

/// An agent that takes no tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithdrawalView {
    /// How far it is withdrawn.
    pub phase: PhaseView,
    /// For how long it has been so.
    pub age: Duration,
    /// On whose account.
    pub cause: Cause,
}

/// How far an agent is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseView {
    /// Its tasks go on.
    Deactivated,
    /// Its tasks end.
    Draining {
        /// When those that still run are killed.
        kill_in: Duration,
        /// Whether it is removed for good afterwards.
        mark_gone: bool,
    },
    /// Nothing runs there any more.
    Drained,
}

/// A maintenance window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceView {
    /// Its name.
    pub id: MaintenanceId,
    /// Of which agents, when, and how long tasks may still run once it has begun.
    pub maintenance: Maintenance,
    /// Whether it has begun.
    pub has_begun: bool,
    /// How often a framework was asked to be off one of the agents and has not answered.
    pub unanswered: usize,
    /// How often one will be off in time.
    pub accepted: usize,
    /// How often one will not.
    pub declined: usize,
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
    /// Its tasks that have not ended, those in the queues of allocations among them.
    pub tasks: usize,
}

/// A role: one that has frameworks, a role above one that has, or one of which an operator has decided something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleView {
    /// Its path.
    pub name: String,
    /// Its weight against its siblings.
    pub weight: u32,
    /// The frameworks in it, without those in roles below it.
    pub frameworks: usize,
    /// Those of them, and of the roles below it, that would take something that they are not offered.
    pub waiting: usize,
    /// Held by tasks of it and of the roles below it.
    pub used: Resources,
    /// Promised to its frameworks, and to those of the roles below it, in open offers.
    pub offered: Resources,
    /// What agents keep for it and for the roles below it, used or not.
    pub reserved: Resources,
    /// The dominant share of what is used and offered, not divided by the weight.
    pub share: Share,
    /// What share it would have if every sibling took all it may: by the weights of those that have frameworks.
    pub fair_share: Share,
    /// What it is promised, and may have at most.
    pub quota: Option<Quota>,
    /// Which agents its offers are made of, as in the nearest role above where nothing is said of it.
    pub placement: Placement,
    /// The least that makes an offer to it, likewise; `None` is that of the cluster.
    pub min_allocatable: Option<Resources>,
}

/// An open offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferView {
    /// Its name.
    pub id: OfferId,
    /// To whom.
    pub framework: FrameworkId,
    /// For which of its roles.
    pub role: String,
    /// Where.
    pub agent: AgentId,
    /// How much.
    pub resources: Resources,
    /// What of that is reserved, and for whom.
    pub reserved: Vec<Reserved>,
    /// The volumes in it.
    pub volumes: Vec<Volume>,
    /// For how long it has been open.
    pub age: Duration,
}

/// Why a framework has not what it wants, as the allocator's own rules see it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Which framework.
    pub framework: FrameworkId,
    /// Its name, for people.
    pub name: String,
    /// The role that this is about.
    pub role: String,
    /// All of its roles that whoever asks may see.
    pub roles: Vec<String>,
    /// For how long it has wanted something that it is not offered. `None`: it wants nothing, or has an offer for all it wants.
    pub waits_for: Option<Duration>,
    /// Its open offers.
    pub offers: usize,
    /// Where it stands among those that would take something: 1 is next. `None` when it is offered nothing.
    pub rank: Option<usize>,
    /// How many stand there.
    pub ranked: usize,
    /// The first of those that are served before it, while it waits: a few, of those that whoever asks may see.
    pub ahead: Vec<AheadView>,
    /// What is in its way, what concerns most agents first. Empty when it waits for nothing.
    pub hindrances: Vec<Hindrance>,
}

/// One that is served before a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AheadView {
    /// Its name, for people.
    pub name: String,
    /// Who it is, and by how much it is ahead.
    pub ahead: Ahead,
}

/// A task that has not ended, or one of the last that ended: by itself, in a queue, or the allocation that has one.
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
    /// The module that it runs; `None`: it is an allocation, or an agent of an earlier version came back with it.
    pub module: Option<Digest>,
    /// What it holds or held.
    pub resources: Resources,
    /// Which group it is in.
    pub group: Option<Group>,
    /// Whether it is an allocation: no task that anybody wrote, but room that is held for those in its queue.
    pub is_allocation: bool,
    /// The last that was said of it.
    pub status: TaskStatus,
}

/// When what became of a task, in this order, as far as this master heard of it. `None` is what did not happen, what has not come yet,
/// what only an earlier master heard of, and in a queue whatever comes before it is sent and between that and its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Its framework was asked for it, where that says how long it waited there.
    pub submitted: Option<Now>,
    /// The offer was made that it was launched on; of several, the last. Never before it was submitted.
    pub offered: Option<Now>,
    /// Its framework accepted the offer for it, and it was sent to the agent.
    pub sent: Option<Now>,
    /// Its module and inputs had been fetched.
    pub fetched: Option<Now>,
    /// Its module had been compiled.
    pub compiled: Option<Now>,
    /// It began to run.
    pub started: Option<Now>,
    /// Its agent told its end.
    pub ended: Option<Now>,
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
    /// Tasks in the queues of allocations, and of those that have ended the ones whose end is not acknowledged.
    pub queued: usize,
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
    /// Maintenance windows that are under way or to come.
    pub maintenance: usize,
    /// Answers of frameworks to inverse offers, and those that are waited for.
    pub inverse_offers: usize,
    /// Deadlines.
    pub timers: usize,
    /// Tokens, used-up and revoked ones among them.
    pub tokens: usize,
    /// Ids that are kept for agents that are not there.
    pub enrolled: usize,
}
