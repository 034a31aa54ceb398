//! What an agent can be told.

use alloc::string::String;
use alloc::sync::Arc;

use crate::id::{AgentId, FrameworkId, TaskId, UpdateId};
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
    /// From the master: end this.
    Kill(TaskId),
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
        /// How it ended, if it did.
        ending: Option<Ending>,
        /// How many agents its executor had before this one.
        incarnation: u32,
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
