//! Why a task is told to end: whoever ends it keeps that, and tells its end with it.

use alloc::boxed::Box;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::task::{Ending, Reason, TaskState};

/// An order to end, as an agent gives it and an executor keeps it over restarts of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// What the end is told with.
    pub reason: Reason,
    /// One line for people, where whoever asked said one.
    pub message: Option<Box<str>>,
}

impl Stop {
    /// The task's framework or an operator wants it to end.
    pub const REQUESTED: Self = Self { reason: Reason::KillRequested, message: None };

    /// The same for another reason, with a line for people.
    pub fn because(reason: Reason, why: String) -> Self {
        Self { reason, message: Some(why.into_boxed_str()) }
    }

    /// The state in which a task ends that was ended for this. As in Mesos, what is preempted is gone: nobody wanted its end, and
    /// it may be worth another try.
    pub fn state(&self) -> TaskState {
        if self.reason == Reason::Preempted { TaskState::Gone } else { TaskState::Killed }
    }

    /// The end of a task in the queue of an allocation that was to end. One that ended by itself has ended as it did.
    pub fn explain(&self, ending: Ending) -> Ending {
        match ending.state {
            TaskState::Killed => Ending { state: self.state(), reason: Some(self.reason), ..ending },
            _ => ending,
        }
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self { reason, message: None }
    }
}
