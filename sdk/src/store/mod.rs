//! What a framework must not forget, so that it can be followed by another process: kept in a store of its choice.

#[cfg(feature = "etcd")]
mod etcd;
mod file;
mod hold;
mod line;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use haggle_core::{AgentId, FrameworkId, Member};

#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
pub use file::FileStore;
pub use hold::Hold;

/// What a framework must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Its name, once it has subscribed.
    pub member: Option<Member<FrameworkId>>,
    /// The highest number that it gave to a task; 0 before the first. No number is given twice.
    pub last_number: u64,
    /// Its launches whose end it has not heard, by number.
    pub launched: BTreeMap<u64, Launched>,
    /// Whatever else it wants to find again.
    pub note: String,
}

/// A task that was launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Where.
    pub agent: AgentId,
    /// The task's label.
    pub name: String,
}

/// One thing that changes what is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The framework has subscribed for the first time.
    Joined(Member<FrameworkId>),
    /// A task is about to be launched.
    Launched {
        /// Its number.
        number: u64,
        /// Where, and under which label.
        launched: Launched,
    },
    /// The end of a task was heard.
    Ended {
        /// Its number.
        number: u64,
    },
    /// The note is another one now.
    Noted(String),
}

impl Memory {
    /// Takes note of an entry.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Joined(member) => self.member = Some(*member),
            Entry::Launched { number, launched } => {
                self.last_number = self.last_number.max(*number);
                self.launched.insert(*number, launched.clone());
            }
            Entry::Ended { number } => {
                self.launched.remove(number);
            }
            Entry::Noted(note) => self.note.clone_from(note),
        }
    }
}

/// Where a framework's memory is kept. Only one process holds a store at a time.
pub trait Store: Send + 'static {
    /// What is remembered.
    ///
    /// # Errors
    /// When it cannot be read.
    fn load(&mut self) -> impl Future<Output = Result<Memory, StoreError>> + Send;

    /// Adds entries: all of them or none. They outlive a loss of power once this returns.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn append(&mut self, entries: Vec<Entry>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets everything: the framework has left for good. Nothing is added after that; a store that can be lost is given
    /// back.
    ///
    /// # Errors
    /// When that cannot be done.
    fn clear(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether this instance still holds the store. A store that its process holds until it ends has nothing to tell.
    fn hold(&self) -> Hold {
        Hold::for_life()
    }
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another living process has it.
    #[error("{store} is held by another instance of this framework")]
    Held {
        /// The store.
        store: String,
    },
    /// This instance was silent for too long: it must not go on, and can start again as the one that waits.
    #[error(
        "this instance was silent for so long that it has lost {store}: another instance of this framework may have \
         taken over, and this one changes nothing any more"
    )]
    Lost {
        /// The store.
        store: String,
    },
    /// An earlier write failed, or was given up. The next instance finds out what the store holds.
    #[error("an earlier write to {store} failed, and what is there is not known any more")]
    InDoubt {
        /// The store.
        store: String,
    },
    /// More was added at once than the store takes.
    #[error(
        "{bytes} bytes are too many to add to {store} at once, which takes {most}: launch fewer tasks at once, or note less"
    )]
    TooLarge {
        /// The store.
        store: String,
        /// What was to be added.
        bytes: usize,
        /// What can be.
        most: usize,
    },
    /// The file system.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is none of a store.
    #[error("{} is damaged in line {line}: {text:?}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is there.
        text: String,
    },
    /// A store of another kind.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}
