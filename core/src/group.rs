//! Tasks that are launched all or none, and live and die together, on one agent or on several.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, FrameworkId, TaskId};
use crate::offer::OfferOperation;
use crate::task::TaskSpec;

/// The group that a task is in. Its agent keeps this with the task, so that a master that has never heard of the group
/// learns of it from the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// The number of its first task: task numbers are used once, and so no group is another's successor.
    pub first: u64,
    /// How many tasks were launched in it.
    pub size: u32,
}

impl Group {
    /// Tasks in one group. They are launched by one call, which is one message.
    pub const SIZE_MAX: usize = 512;

    /// Its name: that of its first task.
    pub const fn id(self, framework: FrameworkId) -> TaskId {
        TaskId { framework, number: self.first }
    }
}

/// A task of a group, and where it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Of which an offer is named in the same call.
    pub agent: AgentId,
    /// What is to run there.
    pub task: Arc<TaskSpec>,
}

/// What is to be done to what is offered of an agent before a group is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedOperation {
    /// Of which an offer is named in the same call.
    pub agent: AgentId,
    /// What is to be done there.
    pub operation: OfferOperation,
}
