//! What an executor is told and what it tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use haggle_core::{Bytes as Quota, Ending, TaskId, TaskSpec, VolumeId};
use serde::{Deserialize, Serialize};

/// What ends a guest's slices of processor time, and with it what is known of its work. A module is compiled for one
/// of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Meter {
    /// The guest counts what it executes: budgets are exact, usage is known, and a slice ends after so many
    /// instructions. Costs about 40 % beside code that counts nothing.
    #[default]
    Fuel,
    /// The guest looks whether its time is over: a slice ends after so much time, and no fuel is counted. Costs about
    /// 30 %. A task with a fuel budget cannot be run like this.
    Epochs,
}

/// A task to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// What was asked for.
    #[serde(with = "crate::process::shared")]
    pub spec: Arc<TaskSpec>,
    /// The compiled form of `spec.module`. It is machine code, which nothing can check: it has to be what a
    /// [`Compiler`](crate::Compiler) of this user gave for this digest and `meter`.
    pub module: PathBuf,
    /// Which form of the module runs.
    pub meter: Meter,
    /// What the guest may read: its inputs, as [`inputs::lay_out`](crate::inputs::lay_out) puts them, and the folders
    /// of this machine that `spec.grants` names and an operator allows.
    pub folders: Vec<HostFolder>,
    /// Volumes that it mounts.
    pub volumes: Vec<MountedVolume>,
    /// A folder that is copied into the guest's scratch folder before it starts, and counts there.
    pub copies: Option<PathBuf>,
    /// Added to the environment that the spec asks for.
    pub env: Vec<(String, String)>,
}

/// A folder of this machine in a guest's view. The guest may read it, and all that is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFolder {
    /// The name under which the guest finds it.
    pub guest_path: String,
    /// Where it is.
    pub host: PathBuf,
}

/// A volume in a guest's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedVolume {
    /// Which one.
    pub id: VolumeId,
    /// The name under which the guest finds it.
    pub guest_path: String,
    /// Where it is. Nothing but tasks changes what is in it, and one at a time.
    pub host: PathBuf,
    /// Whether the guest may change what is in it.
    pub writable: bool,
    /// How much may be in it.
    pub size: Quota,
}

/// One of a task's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Who hears what happens: a function, or what collects events and sends on several at once.
///
/// Called from the executor's threads. It must not block: while it runs, a worker runs no guest.
pub trait Listener: Send + Sync + 'static {
    /// This happened. One task's events come in order.
    fn hear(&self, event: Event);

    /// The executor does something else now, and the next event may be milliseconds away: what was heard is to be
    /// passed on. For how long it waits if it can wait for more: then this is called again.
    fn pause(&self) -> Option<Duration> {
        None
    }
}

impl Listener for Arc<dyn Listener> {
    fn hear(&self, event: Event) {
        (**self).hear(event);
    }

    fn pause(&self) -> Option<Duration> {
        (**self).pause()
    }
}

impl<F: Fn(Event) + Send + Sync + 'static> Listener for F {
    fn hear(&self, event: Event) {
        self(event);
    }
}

/// What happened to a task. For one task: at most one `Started`, then its `Output` in the order in which it
/// was written, then exactly one `Ended`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its module is loaded, and the guest begins.
    Started {
        /// Which task.
        task: TaskId,
    },
    /// It wrote something. Comes while the task runs, some milliseconds late at most.
    Output {
        /// Which task.
        task: TaskId,
        /// Where to.
        stream: Stream,
        /// What; never empty. As long as it or a part of it is held, it counts as the task's memory, and a task that
        /// has written much waits. Who keeps it copies it.
        bytes: Bytes,
    },
    /// It is over, and everything it held is released.
    Ended {
        /// Which task.
        task: TaskId,
        /// How.
        ending: Ending,
    },
}
