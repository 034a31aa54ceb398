//! Why a command was not carried out.

use alloc::string::String;
use core::time::Duration;

use crate::access::{Denied, InvalidToken, Over, Principal, TokenId};
use crate::allocator::QuotaRefusal;
use crate::cluster::command::InvalidFramework;
use crate::demand::InvalidDemand;
use crate::id::{AgentId, FrameworkId, MaintenanceId, SessionId, TaskId, VolumeId};
use crate::offer::OfferOperation;
use crate::quantity::Bytes;
use crate::quota::InvalidQuota;
use crate::reservation::InvalidReservation;
use crate::task::TaskState;
use crate::upkeep::{Drain, InvalidMaintenance, Phase};
use crate::volume::InvalidVolume;

/// Nothing was changed and nothing is to be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Who asks may not do this to anything.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A framework may not subscribe in this role.
    #[error("{0} may not subscribe in the role {1:?}: its roles are {roles}", roles = .0.roles().join(", "))]
    RoleDenied(Principal, String),
    /// A framework cannot be this.
    #[error(transparent)]
    FrameworkInvalid(#[from] InvalidFramework),
    /// A framework speaks of a role that it is not in.
    #[error("{0} is not in the role {1:?}: it is in {2}")]
    NotInRole(FrameworkId, String, String),
    /// A principal has as many frameworks as one may have.
    #[error(
        "{who} is at its limit frameworks={most}: it has {has}, and needs another one to end, or the master a higher --limit"
    )]
    TooManyFrameworks {
        /// Whose they are.
        who: Principal,
        /// How many it may have.
        most: usize,
        /// How many it has.
        has: usize,
    },
    /// A principal's frameworks are in as many roles as they may be.
    #[error(
        "{who} is at its limit roles={most}: it has {has}, and for {role:?} needs its frameworks in another one to end, or the \
         master a higher --limit"
    )]
    TooManyRoles {
        /// Whose they are.
        who: Principal,
        /// In how many they may be.
        most: usize,
        /// In how many they are.
        has: usize,
        /// The one that is too many.
        role: String,
    },
    /// Nobody said who is at the other end.
    #[error("{0} was never announced, or was closed")]
    NotConnected(SessionId),
    /// The session never registered, was replaced, or was closed.
    #[error("{0} is not that of a registered agent: it never registered, or another connection took its place")]
    NotAnAgent(SessionId),
    /// The session never subscribed, was replaced, or was closed.
    #[error("{0} is not that of a subscribed framework: it never subscribed, or another connection took its place")]
    NotAFramework(SessionId),
    /// A session speaks for one peer, from its first command to its end.
    #[error("{0} has introduced itself already: a second time needs a connection of its own")]
    IntroducedTwice(SessionId),
    /// The tasks that an agent holds come while it registers.
    #[error("{0} has registered with all of its tasks already: what it holds is told when it registers")]
    RegisteredAlready(SessionId),
    /// An agent names more tasks than any may hold.
    #[error("{0} names more tasks than the {1} that an agent may hold")]
    TooManyHeld(AgentId, usize),
    /// News come once it is known what an agent holds.
    #[error("{0} is still registering: updates come after the last of the tasks that it holds")]
    StillRegistering(SessionId),
    /// An operator named a task that is not there.
    #[error("{0} is not known: it was never launched, or ended long ago")]
    TaskUnknown(TaskId),
    /// An operator wants the end of what has ended.
    #[error("{0} has ended already: it is {1}")]
    TaskEnded(TaskId, TaskState),
    /// An operator named an agent that is not there.
    #[error("{0} is not known: it never joined, left, or was declared gone before")]
    AgentUnknown(AgentId),
    /// An agent that is there is not gone.
    #[error("{0} is connected: stop it, or have it drain, before it is declared gone")]
    AgentConnected(AgentId),
    /// An operator wants an agent withdrawn that is.
    #[error("{0} takes no tasks already: it is {1}")]
    Withdrawn(AgentId, Phase),
    /// An operator wants an agent back that is not away.
    #[error("{0} takes tasks already: it is neither deactivated nor drained")]
    NotWithdrawn(AgentId),
    /// A drain is not undone half-way.
    #[error(
        "{0} is DRAINING, and can be reactivated once it is DRAINED: nothing may run there any more, or it must come back first"
    )]
    StillDraining(AgentId),
    /// A maintenance window wants the agent off.
    #[error("{0} is in the window {1}, at whose end it takes tasks again: to have it back before, cancel that")]
    InMaintenance(AgentId, MaintenanceId),
    /// Tasks cannot be given so much time.
    #[error("a grace of {0:?} is too long: tasks are given at most {max:?} (deactivate the agent to wait for longer)", max = Drain::GRACE_MAX)]
    GraceTooLong(Duration),
    /// There can be no such maintenance window.
    #[error(transparent)]
    MaintenanceInvalid(#[from] InvalidMaintenance),
    /// An agent is in one maintenance window at a time.
    #[error("{0} is in the window {1} for some of that time: windows of one agent do not overlap")]
    MaintenanceOverlaps(AgentId, MaintenanceId),
    /// There is no such maintenance window.
    #[error("{0} is not known: it never was, has ended, or was cancelled")]
    MaintenanceUnknown(MaintenanceId),
    /// There are too many maintenance windows.
    #[error("{0} maintenance windows are known, more are not taken: cancel those that nobody needs")]
    TooManyMaintenances(usize),
    /// There are too many agents in maintenance windows.
    #[error("maintenance windows are of at most {0} agents together, counting each as often as it is named")]
    TooManyInMaintenance(usize),
    /// There can be no such token.
    #[error(transparent)]
    TokenInvalid(#[from] InvalidToken),
    /// Somebody else's token has the id.
    #[error("{0} exists already")]
    TokenExists(TokenId),
    /// There are too many.
    #[error("{0} tokens are known, more are not taken: revoke those that nobody needs")]
    TooManyTokens(usize),
    /// There is no such token.
    #[error("{0} is not known: it was never made, or ended long ago")]
    TokenUnknown(TokenId),
    /// The token of who asks lets nobody in any more.
    #[error("{0} {1}")]
    TokenOver(TokenId, Over),
    /// A framework wants what nobody can want.
    #[error(transparent)]
    DemandInvalid(#[from] InvalidDemand),
    /// No role can have this quota.
    #[error(transparent)]
    QuotaInvalid(#[from] InvalidQuota),
    /// Nothing can be reserved like this.
    #[error(transparent)]
    ReservationInvalid(#[from] InvalidReservation),
    /// A framework was offered something for another role than it wants to reserve it for.
    #[error(
        "what is reserved for {0:?} is not a matter of what was offered for {1:?}: that takes this role, or one below"
    )]
    NotItsRole(String, String),
    /// Nobody knows what tasks hold on an agent that is away.
    #[error("{0} is away: what is reserved there can be changed once it is back")]
    AgentAway(AgentId),
    /// There is not so much, or it is in use.
    #[error(
        "of what can be had on {agent}, there is {has}, and {wanted} is wanted: what tasks hold, or what the agent's own flags reserve, stays as it is"
    )]
    NotToBeHad {
        /// Where.
        agent: AgentId,
        /// How much.
        wanted: String,
        /// How much there is.
        has: String,
    },
    /// What is reserved for a role counts towards its limit.
    #[error("the role {0:?} may have at most {1}, and {2} more is to be reserved: raise its limit first")]
    ReservedAboveLimit(String, String, String),
    /// An agent is in too many pieces.
    #[error("{0} has {1} reservations, more are not taken: end some that nobody needs")]
    TooManyReservations(AgentId, usize),
    /// There can be no such volume.
    #[error(transparent)]
    VolumeInvalid(#[from] InvalidVolume),
    /// A volume needs disk of one reservation.
    #[error(
        "a volume for {role:?} needs {wanted} of the disk that is reserved for it on {agent}, in one piece that no task holds, and there is {has}: reserve more disk for that role first"
    )]
    NoReservedDisk {
        /// Where.
        agent: AgentId,
        /// For which role.
        role: String,
        /// How much.
        wanted: Bytes,
        /// How much there is.
        has: Bytes,
    },
    /// People would take one for the other.
    #[error("{0} of the role {1:?} is called {2:?} already: give this one another name")]
    VolumeNamed(VolumeId, String, String),
    /// An agent has too many.
    #[error("{0} has {1} volumes, more are not taken: destroy some that nobody needs")]
    TooManyVolumes(AgentId, usize),
    /// There is no such volume.
    #[error("{0} is not known: it was never made, or was destroyed, or its agent is gone")]
    VolumeUnknown(VolumeId),
    /// What a task uses stays as it is.
    #[error("{0} is used by {1}: that is to end first")]
    VolumeInUse(VolumeId, TaskId),
    /// Folders are made and removed where they are.
    #[error(
        "{0} is not connected, or has not named all of its tasks yet: volumes are made, shared and destroyed while their agent is there"
    )]
    VolumesAway(AgentId),
    /// A framework wants something done on an agent of which it has nothing in hand.
    #[error("none of the offers that were named is of {0}")]
    NoOfferOf(AgentId),
    /// A framework speaks of a volume that it does not have in hand.
    #[error("{0} is not in the offers that were accepted")]
    VolumeNotOffered(VolumeId),
    /// Volumes hold the disk of a reservation.
    #[error(
        "of what can be had on {agent}, there is {has}, and {wanted} is wanted: of the disk, volumes hold more: {volumes}"
    )]
    HeldByVolumes {
        /// Where.
        agent: AgentId,
        /// How much.
        wanted: String,
        /// How much there is.
        has: String,
        /// Which.
        volumes: String,
    },
    /// A role has as many parts of agents as its frameworks may reserve.
    #[error(
        "{1} parts of agents are reserved for {0:?} and the roles below it, more are not taken: unreserve some that nobody needs, or have an \
         operator reserve"
    )]
    TooManyReservationsOfRole(String, usize),
    /// An accept is to do too much at once.
    #[error("an accept wants {0} operations done, at most {max} are taken", max = OfferOperation::MAX)]
    TooManyOperations(usize),
    /// The quota cannot hold as things are.
    #[error(transparent)]
    QuotaRefused(#[from] QuotaRefusal),
    /// Something is remembered of too many roles.
    #[error(
        "something is decided of {0} roles, more are not taken: remove weights, quotas and rules of offers that nobody needs"
    )]
    TooManyRoleRecords(usize),
    /// There are too many agents.
    #[error("{0} agents are known, more are not taken")]
    TooManyAgents(usize),
}
