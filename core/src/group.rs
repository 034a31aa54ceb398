//! Tasks that are launched all or none, and live and die together, on one agent or on several.

use serde::{Deserialize, Serialize};

use crate::id::{FrameworkId, TaskId};

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
