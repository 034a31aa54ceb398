//! What an executor is started with, and why it may refuse to start.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::Meter;

/// What an executor is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Threads that run guests: one for each CPU that is offered to tasks, rounded up. At least one is started.
    pub workers: usize,
    /// Where scratch folders and input files of running tasks are laid out. Emptied at the start.
    pub scratch_dir: PathBuf,
    /// Tasks that run at once; more wait for their turn. Costs address space only, until it is used;
    /// at most 14,000, since that is where the mappings of a process end.
    pub max_tasks: usize,
    /// The usual form of modules. The engine for the other one is made when its first task comes, and holds 2,000
    /// tasks at most.
    pub meter: Meter,
    /// Whether tasks are given the network that their grants name. Where it is false, a task with such a grant is
    /// refused; one without has no network either way.
    pub allow_network: bool,
    /// Whether its tasks run on processor time that others hold and do not use: the threads that run them give way to whatever else
    /// wants to run on the machine.
    pub idle_only: bool,
}

/// Why an executor or a compiler did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder cannot be made or read.
    #[error("cannot use {folder} as {purpose}: {source}")]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What it was to be used for.
        purpose: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A folder of compiled modules that somebody else could have written to must not be trusted.
    #[error("will not load compiled modules from {folder}: it belongs to user {owner}, this is user {user}")]
    ForeignCache {
        /// Which folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who is asking.
        user: u32,
    },
    /// The engine cannot be set up on this machine.
    #[error("cannot set up the WebAssembly engine for {max_tasks} tasks: {reason}")]
    Engine {
        /// As configured.
        max_tasks: usize,
        /// What wasmtime said.
        reason: String,
    },
    /// The compiler cannot be set up on this machine.
    #[error("cannot set up the compiler: {reason}")]
    Compiler {
        /// What wasmtime said.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}
