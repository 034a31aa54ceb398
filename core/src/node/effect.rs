//! What an agent has to do after a decision.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::TaskId;
use crate::task::{TaskSpec, TaskStatus};

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Fetch what the task needs and launch it in the executor.
    Run(Arc<TaskSpec>),
    /// Have the executor end it, or give up fetching for it. An `Ended` or `GivenUp` follows.
    Stop(TaskId),
    /// Send to the master.
    Send(Vec<TaskStatus>),
    /// Nothing of this task is needed any more, but for its log.
    Forget(TaskId),
    /// The drain is over: every task has ended and every end was acknowledged, or waiting for it has no point.
    Drained,
}
