//! What a master can be told.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::access::{Principal, TokenId, TokenRecord, is_role};
use crate::agent::AgentInfo;
use crate::demand::Want;
use crate::group::Group;
use crate::id::{
    AgentId, AgentKey, Digest, FrameworkId, InverseOfferId, MaintenanceId, Member, OfferId, RequestId, SessionId,
    TaskId, UpdateId, VolumeId,
};
use crate::life::HeldLife;
use crate::offer::OfferOperation;
use crate::placed::{Placed, PlacedOperation};
use crate::placement::Placement;
use crate::quantity::{Bytes, MilliCpu};
use crate::queue::{AllocationSpec, HeldQueue, QueueUpdate, QueuedTasks};
use crate::quota::Quota;
use crate::reservation::Operation;
use crate::resources::Resources;
use crate::task::{TaskSpec, TaskState, TaskStatus};
use crate::trace::TaskTrace;
use crate::upkeep::Maintenance;

/// One thing to decide. Commands of agents and frameworks carry the session they came in on, so that a peer
/// that was replaced cannot speak for its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A connection of an agent or a framework began: who is at its other end. Comes before all that is said on it.
    Connected(SessionId, Principal),
    /// An agent says something.
    Agent(SessionId, AgentCommand),
    /// A framework says something.
    Framework(SessionId, FrameworkCall),
    /// Somebody wants something that is not said on a session. With a request id, it is carried out once, and the same
    /// verdict is given whenever the same principal asks for it again.
    Operator(Principal, Option<RequestId>, OperatorCommand),
    /// The connection of an agent or a framework ended.
    Disconnected(SessionId),
    /// Time has passed: whatever is due at `now` happens. See [`super::Cluster::next_deadline`].
    Tick,
    /// The wall clock says so many milliseconds since 1970: tokens that have expired let nobody in any more, and whoever
    /// came with one is cut off. See [`super::Cluster::wall_clock_is_due`].
    WallClock(u64),
}

/// From an operator, or from a machine that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// End a task.
    KillTask(TaskId),
    /// An agent will never come back: its tasks are `GONE_BY_OPERATOR`. Should it come back all the same, it is
    /// told to end them.
    AgentGone(AgentId),
    /// Ends an agent's identity, connected or not: its tasks are `GONE_BY_OPERATOR`, and its certificate is void.
    RemoveAgent(AgentId),
    /// An agent takes no new tasks from now on. Those that it has go on.
    Deactivate(AgentId),
    /// An agent takes no new tasks from now on, and those that it has end.
    Drain {
        /// Which agent.
        agent: AgentId,
        /// How long its tasks may still run before they are killed. At most [`crate::Drain::GRACE_MAX`].
        grace: Duration,
        /// Whether it is removed for good once nothing runs there any more.
        mark_gone: bool,
    },
    /// An agent that was deactivated or drained takes tasks again.
    Reactivate(AgentId),
    /// Agents will not be there for a while. Answered by [`super::Effect::Scheduled`].
    Schedule {
        /// Which, and when.
        maintenance: Maintenance,
        /// What the wall clock says now: milliseconds since 1970.
        wall_ms: u64,
    },
    /// A maintenance window ends now, or does not come.
    CancelMaintenance(MaintenanceId),
    /// A token exists from now on. Of the same id and from the same principal it takes the place of the one before: who
    /// asked has not heard the first answer.
    CreateToken(TokenId, TokenRecord),
    /// A token lets nobody in any more, and whoever came with it is cut off.
    RevokeToken(TokenId),
    /// What a role weighs against its siblings from now on; `None`: what the configuration says.
    SetWeight {
        /// Its path.
        role: String,
        /// How much.
        weight: Option<NonZeroU32>,
    },
    /// Something of what no task holds on an agent is reserved from now on, or not any more.
    Reserve(AgentId, Operation),
    /// Of disk on an agent that is reserved for a role a volume becomes. Answered by [`super::Effect::VolumeCreated`].
    CreateVolume {
        /// Where.
        agent: AgentId,
        /// For which role.
        role: String,
        /// What people call it.
        name: String,
        /// How much may be in it.
        size: Bytes,
    },
    /// A volume that no task uses is removed with all that is in it; or a folder of an agent's of which nobody knows any more.
    DestroyVolume(VolumeId),
    /// Whether any number of tasks may read a volume at once, and none write it. No task may use it now.
    ShareVolume {
        /// Which one.
        volume: VolumeId,
        /// Whether they may.
        shared: bool,
    },
    /// What a role is promised and may have from now on; `None`: nothing, and whatever there is.
    SetQuota {
        /// Its path.
        role: String,
        /// How much.
        quota: Option<Quota>,
        /// Whether it holds though more is promised than there is, or the role has more than it may.
        force: bool,
    },
    /// Which agents the offers to a role are made of from now on; `None`: as in the role above.
    SetPlacement {
        /// Its path.
        role: String,
        /// How they are chosen.
        placement: Option<Placement>,
    },
    /// The least that makes an offer to a role from now on; `None`: as in the role above.
    SetMinAllocatable {
        /// Its path.
        role: String,
        /// All of this. Without ports.
        least: Option<Resources>,
    },
    /// Who comes by a token knows the masters by this authority from now on.
    FollowAuthority(Digest),
    /// A machine joins by its token: an id is kept for it. Answered by [`super::Effect::Enrolled`].
    Enrol {
        /// The SHA-256 of its public key. The same key has the same id, so that a lost answer costs nothing.
        key: Digest,
    },
}

/// Who an agent says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Its id from an earlier registration, if it has one.
    pub member: Option<Member<AgentId>>,
    /// Proves that the id is its own.
    pub key: AgentKey,
    /// Drawn at random at every start of the agent's process: tells an agent that comes back on another connection
    /// from a copy of it.
    pub run: u64,
}

/// From an agent. The first command of a session is `Register`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "they are decided as they come, and none is kept")]
pub enum AgentCommand {
    /// Joins, or comes back.
    Register {
        /// Who it is.
        identity: AgentIdentity,
        /// What it is and has.
        info: AgentInfo,
        /// Of the tasks that it holds, which have not ended or whose end is not acknowledged, the first.
        tasks: Vec<HeldTask>,
        /// Whether these are all. Else [`Self::Holds`] follow, and nothing else before the last of them.
        complete: bool,
    },
    /// More of the tasks that it holds.
    Holds {
        /// In no certain order.
        tasks: Vec<HeldTask>,
        /// Whether these are the last.
        complete: bool,
    },
    /// Of the allocations among these tasks, what is in their queues.
    HoldsQueues {
        /// In no certain order. One whose queue is empty is named, too.
        queues: Vec<HeldQueue>,
        /// Whether these are the last of all.
        complete: bool,
    },
    /// It lives. Every other command says so as well.
    Heartbeat,
    /// News of tasks, in the order in which they happened.
    Updates(Vec<TaskStatus>),
    /// News of the tasks in allocations, in the order in which they happened.
    QueueUpdates(Vec<Arc<QueueUpdate>>),
    /// The volumes whose folders it holds, all of them: once it has registered, and whenever that has changed.
    Volumes(Vec<VolumeId>),
    /// So much of the processor time that its tasks hold do they leave unused, as it measures: that may be offered as revocable.
    /// Takes the place of what it said before, in this session.
    Unused(MilliCpu),
    /// It takes no more tasks and will leave.
    Drain,
    /// It leaves for good: it holds no task any more.
    Leave,
}

/// A task as an agent that comes back tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTask {
    /// Its name.
    pub id: TaskId,
    /// Its label.
    pub name: String,
    /// What it holds.
    pub resources: Resources,
    /// Which role it counts towards. Empty when its agent does not know: then the first of its framework's.
    pub role: String,
    /// The volumes that it mounts.
    pub volumes: Vec<VolumeId>,
    /// What it runs; `None`: an allocation, or its agent does not know.
    pub module: Option<Digest>,
    /// Where it stands.
    pub state: TaskState,
    /// Its latest update. The one that told of its end, when it has ended.
    pub update: UpdateId,
    /// Which group it is in.
    pub group: Option<Group>,
    /// The span that it is, as the master that launched it said.
    pub trace: Option<Box<TaskTrace>>,
    /// When what became of it; `None` when an earlier agent received it.
    pub life: Option<HeldLife>,
}

/// A command of a framework with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameworkCall {
    /// 1, 2, 3, … over all sessions of the framework: a call whose number is not above those before is a repeat, and
    /// is passed over. 0 is a call without a number, which is always carried out.
    pub number: u64,
    /// What it wants.
    pub command: FrameworkCommand,
}

impl From<FrameworkCommand> for FrameworkCall {
    fn from(command: FrameworkCommand) -> Self {
        Self { number: 0, command }
    }
}

/// An update of which a framework has taken note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Of which task.
    pub task: TaskId,
    /// Which of the task's updates, and with it those before.
    pub update: UpdateId,
    /// Where the task was, as the update said.
    pub agent: Option<AgentId>,
}

impl From<&TaskStatus> for Acknowledgement {
    fn from(status: &TaskStatus) -> Self {
        Self { task: status.task, update: status.update, agent: status.agent }
    }
}

impl From<&QueueUpdate> for Acknowledgement {
    fn from(update: &QueueUpdate) -> Self {
        Self { task: update.allocation, update: update.update, agent: update.agent }
    }
}

/// A task of which a framework wants to know where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which task.
    pub task: TaskId,
    /// Where the framework launched it. With it, a task that is not known there is `GONE`; without, `UNKNOWN`.
    pub agent: Option<AgentId>,
}

/// From a framework. The first command of a session is `Subscribe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameworkCommand {
    /// Joins, or comes back as the framework `member`, whose older session, if there is one, is closed.
    Subscribe {
        /// Its id from an earlier subscription, if it has one.
        member: Option<Member<FrameworkId>>,
        /// What it is.
        info: FrameworkInfo,
    },
    /// Takes something of offers of one agent for one role; what is left over is declined with the filter `refuse`.
    Accept {
        /// All of one agent, and for one role.
        offers: Vec<OfferId>,
        /// What to do with what is offered, in this order, before anything is launched. One that cannot be done is dropped, and the
        /// framework is told. At most [`OfferOperation::MAX`].
        operations: Vec<OfferOperation>,
        /// What to launch there. Their ids are of this framework and new.
        tasks: Vec<Arc<TaskSpec>>,
        /// For how long the rest of this agent need not be offered again.
        refuse: Duration,
    },
    /// Launches a group of tasks on offers of one or of several agents, for one role, with operations before: all of it, or nothing when something
    /// speaks against one part. What is left over is declined with the filter `refuse`. From then on the tasks live and die together: when one comes to any end but
    /// `FINISHED`, or its agent is silent for too long, the others are ended, with [`Reason::TaskGroup`](crate::Reason).
    LaunchGroup {
        /// For one role.
        offers: Vec<OfferId>,
        /// What to do with what is offered, in this order, before anything is launched. At most [`OfferOperation::MAX`].
        operations: Vec<PlacedOperation>,
        /// [`Group::SIZE_MAX`] at most. Their ids are of this framework and new.
        tasks: Vec<Placed>,
        /// For how long the rest of these agents need not be offered again.
        refuse: Duration,
    },
    /// Opens an allocation on offers of one agent; what is left over is declined with the filter `refuse`. Its id is of
    /// this framework and new.
    Open {
        /// All of one agent.
        offers: Vec<OfferId>,
        /// What it holds.
        allocation: Arc<AllocationSpec>,
        /// For how long the rest of this agent need not be offered again.
        refuse: Duration,
    },
    /// Puts tasks into the queue of an allocation. Their ids are of this framework and new.
    Enqueue {
        /// Which one.
        allocation: TaskId,
        /// In this order.
        tasks: Vec<QueuedTasks>,
        /// Whether none follow: it ends, `FINISHED`, once all in it have.
        last: bool,
    },
    /// Takes nothing.
    Decline {
        /// Which offers.
        offers: Vec<OfferId>,
        /// For how long the same need not be offered again.
        refuse: Duration,
    },
    /// Will be off these agents in time.
    AcceptInverse(Vec<InverseOfferId>),
    /// Will not be off these agents in time.
    DeclineInverse {
        /// Which inverse offers.
        offers: Vec<InverseOfferId>,
        /// After that it is asked again, if it still holds something there.
        refuse: Duration,
    },
    /// Wants offers again, of whatever there is: forgets all filters, the suppression, and what it said it wants.
    Revive {
        /// For which of its roles; `None`: for each.
        role: Option<String>,
    },
    /// Says what it wants: it is offered what fits that, and no more. Takes the place of what it said before, and forgets
    /// all filters and the suppression.
    Demand {
        /// For which of its roles; `None`: for each, as much in each.
        role: Option<String>,
        /// Nothing: it wants no offers.
        wants: Vec<Want>,
    },
    /// Wants no offers until it revives.
    Suppress {
        /// For which of its roles; `None`: for any.
        role: Option<String>,
    },
    /// Is something else from now on: other roles, another name or failover timeout. Offers for roles that it leaves are
    /// rescinded; tasks count where they were launched.
    Update(FrameworkInfo),
    /// Wants a task ended.
    Kill(TaskId),
    /// Has taken note of updates.
    Acknowledge(Vec<Acknowledgement>),
    /// Asks where tasks stand; an empty list asks for all of its tasks.
    Reconcile(Vec<Question>),
    /// Leaves for good; its tasks are killed.
    Teardown,
}

/// A framework as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameworkInfo {
    /// For people; need not be unique.
    pub name: String,
    /// Its roles: each offer is made for one of them, and what is launched on it counts towards that. At least one, each once,
    /// [`Self::ROLES_MAX`] at most; no `/` at either end, no spaces.
    pub roles: Vec<String>,
    /// How long its tasks live on after its connection is lost.
    pub failover_timeout: Duration,
}

impl FrameworkInfo {
    /// Mesos has 0 here, and everybody has been bitten by it once.
    pub const DEFAULT_FAILOVER_TIMEOUT: Duration = Duration::from_secs(60);
    /// The role of a framework that names none.
    pub const DEFAULT_ROLE: &str = "default";
    /// Roles of one framework: in each it has a place of its own among those that wait.
    pub const ROLES_MAX: usize = 64;
}

/// Why nobody can subscribe like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFramework {
    /// The name is of no use to people.
    #[error("framework name {0:?} is empty, longer than 128 bytes, or not printable")]
    Name(String),
    /// The role is no path of names.
    #[error("role {0:?} is no role: names joined by /, none empty, . or .., no spaces, at most 128 bytes")]
    Role(String),
    /// A role is named twice.
    #[error("role {0:?} is named twice")]
    RoleTwice(String),
    /// There are none, or too many.
    #[error("a framework is in {0} roles, and needs at least one and may have {max}", max = FrameworkInfo::ROLES_MAX)]
    Roles(usize),
}

impl FrameworkInfo {
    /// Names are for tables; this is wider than any terminal.
    const NAME_MAX: usize = 128;

    /// Whether it could subscribe.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidFramework> {
        let fits = |text: &str| !text.is_empty() && text.len() <= Self::NAME_MAX;
        if !fits(&self.name) || self.name.contains(char::is_control) {
            return Err(InvalidFramework::Name(self.name.clone()));
        }
        if self.roles.is_empty() || self.roles.len() > Self::ROLES_MAX {
            return Err(InvalidFramework::Roles(self.roles.len()));
        }
        if let Some(role) = self.roles.iter().find(|role| !is_role(role)) {
            return Err(InvalidFramework::Role(role.clone()));
        }
        let mut seen = BTreeSet::new();
        self.roles
            .iter()
            .find(|role| !seen.insert(*role))
            .map_or(Ok(()), |role| Err(InvalidFramework::RoleTwice(role.clone())))
    }
}
