//! Why something is not launched, and what its framework is told then.

use alloc::string::String;
use alloc::sync::Arc;

use crate::access::PrincipalId;
use crate::group::Group;
use crate::id::{AgentId, FrameworkId, OfferId, TaskId, VolumeId};
use crate::invalid::InvalidSpec;
use crate::queue::{InvalidAllocation, InvalidQueued};
use crate::resources::Shortage;
use crate::task::{Reason, TaskState};

/// What is wrong with the offers of an accept: nothing can be launched on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadOffers {
    #[error("no offer to launch on was named")]
    None,
    #[error("{0} is gone: it was answered, rescinded or expired")]
    Gone(OfferId),
    #[error("{0} was not made to {1}")]
    NotIts(OfferId, FrameworkId),
    #[error("{0} is named twice")]
    Twice(OfferId),
    #[error("{0} is of {1} and {2} of {3}: offers can be combined when they are of one agent")]
    Mixed(OfferId, AgentId, OfferId, AgentId),
    #[error("{0} is for {1:?} and {2} for {3:?}: offers can be combined when they are for one role")]
    MixedRoles(OfferId, Arc<str>, OfferId, Arc<str>),
}

/// Why one task was not launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotLaunched {
    #[error(transparent)]
    Offers(#[from] BadOffers),
    #[error("{0} does not fit {1}: {2}")]
    TooBig(TaskId, String, Shortage),
    #[error("{0} mounts {1}, which is not in {2}: it is another role's, in use, or on another agent")]
    NoVolume(TaskId, VolumeId, String),
    #[error("{0} is to write {1}, which is shared: any number of tasks read it, and none writes it")]
    VolumeShared(TaskId, VolumeId),
    #[error("{0} is one too many: {1} has {2} tasks that run or whose end it has not acknowledged")]
    TooMany(TaskId, FrameworkId, usize),
    #[error(
        "{task} is one too many: {name:?} is at its limit tasks={most}: it has {has} that run or whose end it has not acknowledged",
        name = principal.name
    )]
    TooManyOfPrincipal { task: TaskId, principal: Arc<PrincipalId>, most: usize, has: usize },
    #[error("{0} is not launched while {1} has {2} ends to acknowledge")]
    Unacknowledged(TaskId, FrameworkId, usize),
    #[error("{0} is not of {1}")]
    NotIts(TaskId, FrameworkId),
    #[error("{0} was used before, and is {1}: task ids are used once")]
    Reused(TaskId, TaskState),
    #[error("{0} cannot run anywhere: {1}")]
    Invalid(TaskId, InvalidSpec),
    #[error("{0} cannot be opened anywhere: {1}")]
    InvalidAllocation(TaskId, InvalidAllocation),
    #[error("{0} cannot be in {1}: {2}")]
    InvalidQueued(TaskId, TaskId, InvalidQueued),
    #[error("{0} cannot be in {1}: {2}")]
    NoAllocation(TaskId, TaskId, &'static str),
    #[error("{0} is to run on {1}, and none of the offers that were named is of it")]
    NoOffer(TaskId, AgentId),
    #[error("{0} is in its group twice")]
    Twice(TaskId),
    #[error("{0} is in a group of {1} tasks, and there may be {max}", max = Group::SIZE_MAX)]
    GroupTooLarge(TaskId, usize),
    /// Something is wrong with another task of its group.
    #[error("{0} is not launched, as its group is all or none: {1}")]
    Group(TaskId, String),
    #[error("{task} and what came with it are too many: {allocation} has {has} in its queue, and there may be {most}")]
    QueueFull { task: TaskId, allocation: TaskId, has: usize, most: usize },
}

/// Who has as many tasks as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limited {
    Framework,
    Principal,
}

impl NotLaunched {
    /// Who is at a limit, when that is why.
    pub(super) fn limits(&self) -> Option<Limited> {
        match self {
            Self::TooMany(..) | Self::Unacknowledged(..) => Some(Limited::Framework),
            Self::TooManyOfPrincipal { .. } => Some(Limited::Principal),
            Self::Offers(_)
            | Self::TooBig(..)
            | Self::NoVolume(..)
            | Self::VolumeShared(..)
            | Self::NotIts(..)
            | Self::Reused(..)
            | Self::Invalid(..)
            | Self::InvalidAllocation(..)
            | Self::InvalidQueued(..)
            | Self::NoAllocation(..)
            | Self::NoOffer(..)
            | Self::Twice(..)
            | Self::GroupTooLarge(..)
            | Self::Group(..)
            | Self::QueueFull { .. } => None,
        }
    }

    /// A spec that is wrong stays wrong; everything else may work on another offer.
    pub(super) fn verdict(&self) -> (TaskState, Reason) {
        match self {
            Self::Offers(_) | Self::TooBig(..) | Self::NoVolume(..) | Self::NoAllocation(..) | Self::NoOffer(..) => {
                (TaskState::Dropped, Reason::InvalidOffers)
            }
            Self::Group(..) => (TaskState::Dropped, Reason::TaskGroup),
            Self::TooMany(..) | Self::TooManyOfPrincipal { .. } | Self::Unacknowledged(..) | Self::QueueFull { .. } => {
                (TaskState::Dropped, Reason::FrameworkLimit)
            }
            Self::VolumeShared(..)
            | Self::NotIts(..)
            | Self::Reused(..)
            | Self::Twice(..)
            | Self::GroupTooLarge(..)
            | Self::Invalid(..)
            | Self::InvalidAllocation(..)
            | Self::InvalidQueued(..) => (TaskState::Error, Reason::TaskInvalid),
        }
    }
}
