//! The last that is known of a task, as its record keeps it: without what the record says anyhow, and what only ends say has a place
//! of its own. There are a hundred thousand such records, and most are of tasks that run.

use alloc::boxed::Box;
use alloc::string::String;

use super::state::Task;
use crate::group::Group;
use crate::id::{TaskId, UpdateId};
use crate::task::{Exceeded, Reason, Source, TaskState, TaskStatus, Usage};

/// See [`TaskStatus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) update: UpdateId,
    pub(super) state: TaskState,
    pub(super) reason: Option<Reason>,
    pub(super) source: Source,
    end: Option<Box<End>>,
}

/// What ends say, and hardly anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct End {
    message: String,
    exit_code: Option<i32>,
    exceeded: Option<Exceeded>,
    usage: Option<Usage>,
}

impl From<TaskStatus> for Told {
    /// Of a task that is known, on the agent where that is.
    fn from(status: TaskStatus) -> Self {
        let TaskStatus {
            task: _,
            update,
            state,
            reason,
            source,
            message,
            agent: _,
            exit_code,
            exceeded,
            usage,
            prepared: _,
        } = status;
        let end = End { message, exit_code, exceeded, usage };
        let end = (end != End::default()).then(|| Box::new(end));
        Self { update, state, reason, source, end }
    }
}

impl Told {
    /// What its agent or a master said of it in words.
    pub(super) fn message(&self) -> &str {
        self.end.as_deref().map_or("", |end| &end.message)
    }
}

impl Task {
    /// Which group it is in.
    pub(super) fn group(&self) -> Option<Group> {
        self.group.as_deref().copied()
    }

    /// The last that is known of it.
    pub(super) fn told(&self, id: TaskId) -> TaskStatus {
        let Told { update, state, reason, source, end } = &self.status;
        let End { message, exit_code, exceeded, usage } = end.as_deref().cloned().unwrap_or_default();
        TaskStatus {
            message,
            reason: *reason,
            agent: Some(self.agent),
            exit_code,
            exceeded,
            usage,
            ..TaskStatus::new(id, *update, *state, *source)
        }
    }
}
