//! What an agent can be told.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{AgentId, FrameworkId, TaskId, UpdateId};
use crate::queue::{AllocationSpec, HeldRun, QueueEnd, QueuedTasks};
use crate::stop::Stop;
use crate::task::{Ending, Reason, TaskSpec, TaskSummary};

/// One thing to decide: from the master, from the executor, or from the driver itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The master took this agent in. Everything unacknowledged is sent again.
    Registered(AgentId),
    /// The connection to the master is lost. Tasks go on; updates are kept.
    Disconnected,
    /// From the master: run this.
    Launch(Arc<TaskSpec>),
    /// From the master: hold these resources for a queue of tasks.
    Open(Arc<AllocationSpec>),
    /// From the master: put tasks into the queue of an allocation.
    Enqueue {
        /// Which one.
        allocation: TaskId,
        /// In this order.
        tasks: Vec<QueuedTasks>,
        /// Whether none follow.
        last: bool,
    },
    /// From the master: end this.
    Kill(TaskId),
    /// From the master: end this, and say why.
    End {
        /// Which task.
        task: TaskId,
        /// What its end is told with.
        reason: Reason,
        /// One line for people.
        why: String,
    },
    /// From the master: the agent is drained. End everything.
    StopAll,
    /// From the master: the framework has taken note of this update.
    Acknowledge(TaskId, UpdateId),
    /// From the master: send this framework's unacknowledged updates again.
    Resend(FrameworkId),
    /// From the master: this framework is gone.
    RemoveFramework(FrameworkId),
    /// Something that the task needs is not here: it is fetched or compiled before the task can start.
    Preparing(TaskId),
    /// Everything has come that was fetched for the task.
    Fetched(TaskId),
    /// The module has been compiled that the task waited for.
    Compiled(TaskId),
    /// The agent gives a task up: something that it needs cannot be had, or its executor is gone.
    GivenUp {
        /// Which task.
        task: TaskId,
        /// A typed reason.
        reason: Reason,
        /// One line for people.
        message: String,
    },
    /// From the driver, before anything else: an executor of an earlier agent holds this task.
    Recover {
        /// What was launched.
        task: TaskSummary,
        /// Whether it started.
        started: bool,
        /// Why it was told to end, if it was.
        stopped: Option<Stop>,
        /// How it ended, if it did.
        ending: Option<Ending>,
        /// How many agents its executor had before this one.
        incarnation: u32,
    },
    /// From the driver, after the allocation itself: what is in its queue.
    RecoverQueue(RecoveredQueue),
    /// Tasks in an allocation's queue started, or ended: as the executor says, or the agent, which gives them up.
    QueueNews {
        /// Which allocation.
        allocation: TaskId,
        /// Those that have begun and not ended.
        started: Vec<u64>,
        /// Those that have ended, in the order in which they did.
        ended: Vec<QueueEnd>,
    },
    /// The executor started it.
    Started(TaskId),
    /// The executor saw it end.
    Ended(TaskId, Ending),
    /// Take no more tasks and end those that are there.
    Drain,
    /// Time has passed: whatever is due at `now` happens.
    Tick,
}

/// An allocation's queue as an executor of an earlier agent has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredQueue {
    /// What was opened.
    pub spec: AllocationSpec,
    /// Whether its framework has said that no more tasks follow.
    pub last: bool,
    /// Tasks in it that have not ended.
    pub runs: Vec<HeldRun>,
    /// Those that have, in the order in which they did.
    pub ended: Vec<QueueEnd>,
}

impl RecoveredQueue {
    /// Whether a task in it has not ended.
    pub fn lives(&self, task: TaskId) -> bool {
        let within = |first: u64, count| task.number.checked_sub(first).is_some_and(|at| at < count);
        task.framework == self.spec.id.framework && self.runs.iter().any(|run| within(run.first, run.count))
    }

    /// Whether a task in it has ended.
    pub fn has_ended(&self, task: TaskId) -> bool {
        let within = |first: u64, count| task.number.checked_sub(first).is_some_and(|at| at < count);
        task.framework == self.spec.id.framework && self.ended.iter().any(|end| within(end.first, end.count))
    }
}
