//! What a master has to do after a decision.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::access::{Enrolment, PrincipalId, TokenId, TokenRecord};
use crate::agent::AgentInfo;
use crate::allocator::Withheld;
use crate::cluster::command::FrameworkInfo;
use crate::id::{
    AgentId, AgentKey, ClusterId, Epoch, FrameworkId, InverseOfferId, MaintenanceId, Member, OfferId, SessionId,
    TaskId, UpdateId, VolumeId,
};
use crate::offer::{Offer, OfferOperation};
use crate::quantity::Bytes;
use crate::queue::{AllocationSpec, QueueNews, QueueUpdate, QueuedTasks};
use crate::quota::RoleRecord;
use crate::reservation::Reserved;
use crate::task::{Reason, TaskSpec, TaskStatus};
use crate::time::Now;
use crate::upkeep::{InverseOffer, Maintenance, Withdrawal};
use crate::volume::Volume;

/// One thing to do, in the order given. Within a batch of commands every [`Effect::Remember`] is made durable,
/// in one transaction, before anything else is let out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write to the registry.
    Remember(Change),
    /// Send to a framework.
    ToFramework(SessionId, FrameworkEvent),
    /// Send to an agent.
    ToAgent(SessionId, AgentOrder),
    /// End a connection, after what was sent on it before.
    Close(SessionId),
    /// Tell whoever watches.
    Announce(Announcement),
    /// Tell the same people of tasks in the queue of an allocation: many at once.
    AnnounceQueued(QueueNews),
    /// Answers the command that had this effect: the agent that joins has this id.
    Enrolled(Member<AgentId>),
    /// Answers the command that had this effect: the maintenance window has this id.
    Scheduled(MaintenanceId),
    /// Answers the command that had this effect: the volume has this id.
    VolumeCreated(VolumeId),
}

/// What a framework hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameworkEvent {
    /// It is known under this id from now on.
    Subscribed {
        /// Its name.
        member: Member<FrameworkId>,
        /// Which master took it in.
        epoch: Epoch,
        /// The highest number of its calls that this master has heard; 0 when there was none. Calls above it were lost
        /// with the last session.
        last_call: u64,
    },
    /// It may take these.
    Offers(Vec<Offer>),
    /// These are no longer to be had.
    Rescinded(Vec<OfferId>),
    /// These agents will not be there: it is to be off them in time, or to say that it will not be.
    InverseOffers(Vec<InverseOffer>),
    /// These need no answer any more.
    InverseRescinded(Vec<InverseOfferId>),
    /// News of a task. To be acknowledged unless its update id is [`UpdateId::UNACKNOWLEDGED`].
    Update(TaskStatus),
    /// Something that it wanted done in an accept was not done.
    OperationDropped {
        /// What.
        operation: OfferOperation,
        /// What speaks against it.
        why: String,
    },
    /// News of the tasks in an allocation. To be acknowledged as an update of the allocation.
    Queue(Arc<QueueUpdate>),
    /// An agent is gone on which the framework had tasks or offers; the tasks are told of one by one.
    AgentLost(AgentId),
    /// The last word on this session.
    Error(String),
}

/// What an agent hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOrder {
    /// It is known under this id from now on. It then sends every update that is not acknowledged again.
    Registered {
        /// Its name.
        member: Member<AgentId>,
        /// Which master took it in. An agent that has seen a later one hangs up.
        epoch: Epoch,
    },
    /// It cannot join. The last word on this session.
    Refused(Rejection),
    /// Run this.
    Launch(Arc<TaskSpec>),
    /// Hold these resources for a queue of tasks.
    Open(Arc<AllocationSpec>),
    /// Put tasks into the queue of an allocation.
    Enqueue {
        /// Which one.
        allocation: TaskId,
        /// In this order.
        tasks: Vec<QueuedTasks>,
        /// Whether none follow: it ends once all in it have.
        last: bool,
    },
    /// End this. An agent that does not know it answers with an update nonetheless.
    Kill(TaskId),
    /// End this as [`Self::Kill`] does, and say why.
    End {
        /// Which task.
        task: TaskId,
        /// What its end is told with.
        reason: Reason,
        /// One line for people.
        why: String,
    },
    /// End every task, for the agent is drained.
    StopAll,
    /// The framework has taken note of this update.
    Acknowledge(TaskId, UpdateId),
    /// The framework is back: send it every update that is not acknowledged again.
    Resend(FrameworkId),
    /// The framework is gone: end its tasks. Their updates are acknowledged by the master.
    RemoveFramework(FrameworkId),
    /// Make the folder of a volume, if it is not there, and say what is held then.
    CreateVolume {
        /// Which one.
        volume: VolumeId,
        /// Whose it is.
        role: String,
        /// How much may be in it.
        size: Bytes,
    },
    /// Remove the folder of a volume with all that is in it, and say what is held then.
    DestroyVolume(VolumeId),
}

/// Why an agent cannot join, and what it is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It may try again later.
    Later(String),
    /// Its id is void: its tasks are told as gone, so it is to end them. It may join under a new id.
    Gone(String),
    /// It belongs to another cluster, whose epochs say nothing about this one's; somebody must act.
    OtherCluster(String),
    /// It cannot join as it is; somebody must act.
    Final(String),
}

impl Rejection {
    /// What is wrong, for people.
    pub fn why(&self) -> &str {
        match self {
            Self::Later(why) | Self::Gone(why) | Self::OtherCluster(why) | Self::Final(why) => why,
        }
    }
}

/// What the registry remembers of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    /// What it is and has.
    pub info: AgentInfo,
    /// What it proves its id with.
    pub key: AgentKey,
    /// Since when it counts as unreachable, by the cluster's time.
    pub unreachable_since: Option<Now>,
    /// Whether it proves its id with a certificate. Then the id stays its own when it is given up.
    pub certified: bool,
    /// What of it is reserved beside its own configuration.
    pub reserved: Vec<Reserved>,
    /// The volumes that it is to hold.
    pub volumes: Vec<Volume>,
    /// The highest number ever given to a volume there, or 0.
    pub last_volume: u64,
}

/// What the registry remembers of a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameworkRecord {
    /// What it is.
    pub info: FrameworkInfo,
    /// The principal that subscribed it first: only the same one can come back as it.
    pub principal: PrincipalId,
}

/// A change of what the registry remembers. Nothing about offers or tasks is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An agent was admitted, came back with other properties, can no longer be reached, or its reservations or volumes are
    /// others.
    AgentRecorded(AgentId, AgentRecord),
    /// An agent is gone for good.
    AgentRemoved(AgentId),
    /// A framework subscribed, or came back with other properties.
    FrameworkSubscribed(FrameworkId, FrameworkRecord),
    /// A framework is gone for good.
    FrameworkRemoved(FrameworkId),
    /// An agent's id is kept for whoever holds its certificate. The highest id ever given is at least that.
    AgentEnrolled(AgentId, Enrolment),
    /// That is over: it has registered, or never came.
    EnrolmentEnded(AgentId),
    /// A token was made, was used, or was revoked.
    TokenRecorded(TokenId, TokenRecord),
    /// A token is forgotten.
    TokenRemoved(TokenId),
    /// An operator has decided something of a role. A record that says nothing is forgotten.
    RoleRecorded(String, RoleRecord),
    /// An agent takes no tasks, or has come further in its drain.
    AgentWithdrawn(AgentId, Withdrawal),
    /// An agent takes tasks again, or nobody can come back under its id.
    AgentReactivated(AgentId),
    /// A maintenance window was made, or is of fewer agents. The highest number ever given is at least that.
    MaintenanceRecorded(MaintenanceId, Maintenance),
    /// A maintenance window is over, or was cancelled.
    MaintenanceEnded(MaintenanceId),
}

/// What the registry remembered when a master starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Which cluster this is.
    pub cluster: ClusterId,
    /// Which of the cluster's masters this is. Above those of all before it.
    pub epoch: Epoch,
    /// The agents that were admitted and not removed.
    pub agents: Vec<(AgentId, AgentRecord)>,
    /// The frameworks that subscribed and were not removed.
    pub frameworks: Vec<(FrameworkId, FrameworkRecord)>,
    /// Agents' ids that are kept for whoever holds their certificates.
    pub enrolled: Vec<(AgentId, Enrolment)>,
    /// What operators have decided of roles.
    pub roles: Vec<(String, RoleRecord)>,
    /// Agents that take no tasks.
    pub withdrawn: Vec<(AgentId, Withdrawal)>,
    /// The maintenance windows that are under way or to come.
    pub maintenance: Vec<(MaintenanceId, Maintenance)>,
    /// The tokens that are remembered, used-up and revoked ones among them.
    pub tokens: Vec<(TokenId, TokenRecord)>,
    /// The highest agent number ever given, or 0.
    pub last_agent: u64,
    /// The highest framework number ever given, or 0.
    pub last_framework: u64,
    /// The highest number ever given to a maintenance window, or 0.
    pub last_maintenance: u64,
}

/// What `haggle watch` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// An agent joined or came back.
    AgentUp(AgentId),
    /// An agent's connection was lost; it may come back.
    AgentDown(AgentId),
    /// An agent is gone.
    AgentRemoved(AgentId),
    /// An agent takes no tasks from now on, or has come further in its drain.
    AgentWithdrawn(AgentId, Withheld),
    /// An agent takes tasks again.
    AgentReactivated(AgentId),
    /// A framework joined or came back.
    FrameworkUp(FrameworkId),
    /// A framework has other properties than before.
    FrameworkUpdated(FrameworkId),
    /// A framework's connection was lost; it may come back.
    FrameworkDown(FrameworkId),
    /// A framework is gone.
    FrameworkRemoved(FrameworkId),
    /// A task is in a new state.
    Task(TaskStatus),
    /// So often a task in the queue of an allocation was in a new state, and that was not told: it came faster than it was read. Lists
    /// show where they stand.
    LeftOut(u64),
}
