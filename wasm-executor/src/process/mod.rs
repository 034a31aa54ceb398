//! An executor in a process of its own: started by an agent, spoken to over a local socket, and able to outlive it.
//!
//! The child calls [`serve`]; the agent makes it of a [`Blank`], or calls [`adopt`] for a child that an earlier agent has left.
//! The executor is its agent's memory: it keeps a record of each task until it is told to forget it, so that an
//! agent which comes back learns what became of every one.

mod child;
mod folder;
pub(crate) mod lockdown;
mod parent;
mod queue;
mod records;
#[cfg(unix)]
pub(crate) mod signals;
mod socket;
pub(crate) mod system;
mod tail;
mod watch;
mod wire;
mod writer;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use child::{ServeError, serve};
pub use folder::Folder;
pub use lockdown::{Kept, Lockdown, open_files_max, raise_open_files};
pub use parent::{Blank, Connection, Process, StartFailure, adopt};
pub use queue::TASK_VARIABLE;
#[cfg(unix)]
pub use signals::{ignores_hangup, reset_signals};
pub use socket::{Reader, Socket};
pub use wire::{HeldBatch, Incoming, Order, Report, WireError};
pub use writer::Writer;

use crate::config::Config;

/// The first argument of a program that is to become an executor.
pub const COMMAND: &str = "executor";

/// What an executor's process is told at its start, on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// What the executor is started with. Every path is absolute.
    pub executor: Config,
    /// What is left to it beside its own folder.
    pub lockdown: Lockdown,
    /// How long it runs on when its agent is gone, and waits for another.
    pub recovery_timeout: Duration,
    /// How long it holds no task before it says that it is idle.
    pub idle_after: Duration,
}

/// A value that many share, as itself.
pub(crate) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, to)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// Bytes in one piece: by default, serde takes each for a value of its own.
mod blob {
    use std::fmt;

    use bytes::Bytes;
    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        struct Blob;
        impl Visitor<'_> for Blob {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(bytes))
            }
        }
        from.deserialize_bytes(Blob)
    }
}
