//! The life of a task, as one table.

use crate::task::TaskState;

/// What can happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskEvent {
    /// Its agent or executor says that it is in this state.
    Reported(TaskState),
    /// Its framework or an operator asked for its end.
    KillRequested,
    /// Its agent has been silent for too long.
    AgentSilent,
    /// The process that it was sent to came back without it.
    AgentForgot,
    /// Another process of its agent came without it. It may have run there.
    AgentRestarted,
    /// Its agent left for good.
    AgentLeft,
    /// Its agent was unreachable for so long that it counts as gone.
    AgentGone,
    /// An operator declared its agent gone.
    AgentGoneByOperator,
}

impl TaskState {
    /// The state after `event`, or `None` when the event comes too late, comes twice, or cannot be: then nothing
    /// changes. A terminal state is never left.
    pub const fn next(self, event: TaskEvent) -> Option<Self> {
        use TaskEvent::{
            AgentForgot, AgentGone, AgentGoneByOperator, AgentLeft, AgentRestarted, AgentSilent, KillRequested,
            Reported,
        };
        use TaskState::{
            Dropped, Error, Failed, Finished, Gone, GoneByOperator, Killed, Killing, Lost, Running, Staging, Starting,
            Unknown, Unreachable,
        };
        Some(match (self, event) {
            (Unreachable | Unknown, Reported(Staging)) => Staging,
            (Staging | Unreachable | Unknown, Reported(Starting)) => Starting,
            (Staging | Starting | Unreachable | Unknown, Reported(Running)) => Running,
            (Staging | Starting | Running | Unreachable | Unknown, Reported(Killing)) => Killing,
            // The task may win the race against its kill, and an unreachable one ends as well as any other: what
            // counts is what happened, not what was asked or feared.
            (
                Staging | Starting | Running | Killing | Unreachable | Unknown,
                Reported(ended @ (Finished | Failed | Killed | Lost | Error | Dropped | Gone)),
            ) => ended,
            (Staging | Starting | Running, KillRequested) => Killing,
            (Staging | Starting | Running | Killing, AgentSilent) => Unreachable,
            // It never arrived, so it never ran.
            (Staging, AgentForgot) => Dropped,
            (Starting | Running | Killing | Unreachable | Unknown, AgentForgot) => Gone,
            (Staging | Starting | Running | Killing | Unreachable | Unknown, AgentRestarted | AgentGone) => Gone,
            (Staging | Starting | Running | Killing | Unreachable | Unknown, AgentGoneByOperator) => GoneByOperator,
            (Staging | Starting | Running | Killing | Unreachable | Unknown, AgentLeft) => Lost,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
