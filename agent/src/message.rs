//! What the driver hears, and what it lets others see: all that it, the link and the executors know of each other.

use std::path::PathBuf;

use haggle_core::cluster::AgentOrder;
use haggle_core::{AgentId, Bytes, Digest, Ending, FrameworkId, QueueEnd, TaskId, Usage};
use haggle_executor::inputs::LaidOut;
use haggle_executor::{Meter, ModuleError};
use haggle_proto::outbox::Outbox;
use haggle_proto::v1;
use tokio::sync::oneshot;

use crate::fetch::FetchError;
use crate::folders::NoFolders;
use crate::registration::Registration;
use crate::runner::NeverRan;

/// What the driver hears.
#[derive(Debug)]
pub(crate) enum Message {
    /// A session with a master is open. It begins with the registration.
    Connected(Outbox<v1::AgentReport>, oneshot::Sender<Registration>),
    /// It is over.
    Disconnected,
    /// There will be no other: the agent is not let in, or does not believe who answers.
    TurnedAway(String),
    /// The master wants something.
    Order(AgentOrder),
    /// The master asks for output.
    ReadLog(v1::ReadLogOrder),
    /// The master asks what a task has used so far.
    ReadUsage(v1::ReadUsageOrder),
    /// An executor answers that, by the number of the question.
    Usage(u64, Option<Usage>),
    /// A heartbeat leaves: what was counted may go along.
    Heartbeat,
    /// The executor started a task.
    Started(TaskId),
    /// The executor saw a task end.
    Ended(TaskId, Ending),
    /// Something is fetched or compiled before a task can start.
    Preparing(TaskId),
    /// A fetch is over.
    Fetched(Digest, Result<Bytes, FetchError>),
    /// A compilation is over that this framework asked for.
    Compiled(FrameworkId, Digest, Meter, Result<PathBuf, ModuleError>),
    /// The inputs of a task are laid out, or cannot be.
    LaidOut(TaskId, Result<LaidOut, NoFolders>),
    /// Tasks in the queue of an allocation began, or ended.
    QueueNews { allocation: TaskId, started: Vec<u64>, ended: Vec<QueueEnd> },
    /// A task came to its end before the executor had it.
    NeverRan(NeverRan),
    /// An executor is no more, and its tasks with it; why.
    ExecutorGone(Key, String),
    /// An executor has had no task for a while.
    ExecutorIdle(Key),
    /// Take no more tasks, end those that are there, leave.
    Drain,
    /// End now, and every task.
    Stop,
    /// End now, and leave the tasks to the next agent.
    Leave,
    /// The drain may take no longer.
    EndDrain,
}

/// Which executor: the n-th of its framework.
pub(crate) type Key = (FrameworkId, u64);

/// How far the agent has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The master has not taken it in yet.
    Joining,
    /// It is a part of the cluster.
    Registered(AgentId),
    /// It has said farewell.
    Left,
    /// It was told to end.
    Stopped,
    /// The master does not want it.
    Refused(String),
    /// It does not come in.
    TurnedAway(String),
    /// Its id is void.
    Gone(String),
    /// Its id is void for now, or its certificate, too.
    Ended(String),
    /// It cannot write down its id.
    Unwritable(String),
}

impl Progress {
    /// Whether nothing follows.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Joining | Self::Registered(_))
    }
}
