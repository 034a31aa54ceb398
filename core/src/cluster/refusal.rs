//! Why a command was not carried out.

use crate::id::{FrameworkId, SessionId, TaskId};
use crate::task::TaskState;

/// Nothing was changed and nothing is to be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The session never registered, was replaced, or was closed.
    #[error("{0} is not that of a registered agent: it never registered, or another connection took its place")]
    NotAnAgent(SessionId),
    /// The session never subscribed, was replaced, or was closed.
    #[error("{0} is not that of a subscribed framework: it never subscribed, or another connection took its place")]
    NotAFramework(SessionId),
    /// A session speaks for one peer, from its first command to its end.
    #[error("{0} has introduced itself already: a second time needs a connection of its own")]
    IntroducedTwice(SessionId),
    /// A framework speaks for its own tasks only.
    #[error("{task} is not of {framework}")]
    NotItsTask {
        /// The task.
        task: TaskId,
        /// Who spoke of it.
        framework: FrameworkId,
    },
    /// An operator named a task that is not there.
    #[error("{0} is not known: it was never launched, or ended long ago")]
    TaskUnknown(TaskId),
    /// An operator wants the end of what has ended.
    #[error("{0} has ended already: it is {1}")]
    TaskEnded(TaskId, TaskState),
}
