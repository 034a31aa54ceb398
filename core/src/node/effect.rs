//! What an agent has to do after a decision.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::TaskId;
use crate::queue::{AllocationSpec, QueueUpdate, QueuedTasks};
use crate::stop::Stop;
use crate::task::{TaskSpec, TaskStatus};

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Fetch what the task needs and launch it in the executor.
    Run(Arc<TaskSpec>),
    /// Have the executor end it, or give up fetching for it. An `Ended` or `GivenUp` follows. The executor keeps why.
    Stop(TaskId, Stop),
    /// Hold an executor ready for an allocation. Nothing follows but when there is none: then it is given up.
    Open(Arc<AllocationSpec>),
    /// Fetch what these need and put them into the allocation's queue in the executor. News follow.
    Enqueue {
        /// Which allocation.
        allocation: TaskId,
        /// In this order.
        tasks: Vec<QueuedTasks>,
        /// Whether none follow. The executor keeps that.
        last: bool,
    },
    /// Have the executor end one task in an allocation's queue, or give up fetching for it.
    StopQueued {
        /// Which allocation.
        allocation: TaskId,
        /// The task.
        task: TaskId,
    },
    /// Have the executor end every task in an allocation's queue, or give up fetching for them. The executor keeps why.
    StopQueue(TaskId, Stop),
    /// Send to the master.
    Send(Vec<TaskStatus>),
    /// Send to the master, after what is sent before it.
    SendQueue(Vec<Arc<QueueUpdate>>),
    /// The first so many ends that the executor told of an allocation's queue are acknowledged.
    Settled {
        /// Which allocation.
        allocation: TaskId,
        /// How many more.
        ends: u64,
    },
    /// Nothing of this task is needed any more, but for its log.
    Forget(TaskId),
    /// The drain is over: every task has ended and every end was acknowledged, or waiting for it has no point.
    Drained,
}
