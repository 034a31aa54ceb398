//! The second wall: what a process that runs guests gives up before it does, should a guest break out of the first.
//!
//! Everything here is for good, and for the calling thread and those it starts: a process locks itself down while it
//! has one thread.

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod files;
#[cfg(windows)]
pub(crate) mod job;
#[cfg(windows)]
mod mitigations;
#[cfg(any(target_os = "macos", test))]
mod seatbelt;
#[cfg(target_os = "linux")]
mod syscalls;
#[cfg(windows)]
mod token;

use std::path::PathBuf;

use haggle_core::Bytes;
use serde::{Deserialize, Serialize};

/// What is left to a process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lockdown {
    /// Files and folders that it may read. What is not there is left out.
    pub read: Vec<PathBuf>,
    /// Folders in which it may do anything but make devices.
    pub write: Vec<PathBuf>,
    /// Whether it may connect to others.
    pub network: bool,
    /// Memory that it may hold, all that is mapped included. Kept on Windows; elsewhere tasks have their limits one by one.
    pub memory: Option<Bytes>,
}

/// Something that could not be given up, and why.
#[derive(Debug, thiserror::Error)]
#[error("{what} could not be given up: {why}")]
pub struct Kept {
    what: &'static str,
    why: String,
}

impl Lockdown {
    /// Gives up everything else: other files, other programs, other processes, the network, and whatever the system
    /// lets a user do that no guest has a use for. Returns what it could not give up, on this system or this kernel.
    #[cfg(target_os = "linux")]
    pub fn apply(&self) -> Vec<Kept> {
        let mut kept = Vec::new();
        let mut give_up = |what, done: Result<(), String>| kept.extend(done.err().map(|why| Kept { what, why }));
        give_up("core dumps, locked memory, queues and priorities", capabilities::no_resources());
        give_up("privileges of programs", capabilities::no_new_privileges());
        give_up("capabilities", capabilities::drop_all());
        give_up("other files", files::confine(self));
        give_up("system calls", syscalls::filter(self.network));
        kept
    }

    /// As on Linux, by what macOS has for it.
    #[cfg(target_os = "macos")]
    pub fn apply(&self) -> Vec<Kept> {
        let mut kept = Vec::new();
        let mut give_up = |what, done: Result<(), String>| kept.extend(done.err().map(|why| Kept { what, why }));
        give_up("core dumps and locked memory", seatbelt::no_resources());
        give_up("other files, other programs and the network", seatbelt::confine(self));
        kept
    }

    /// Gives up other programs, memory beyond its part, privileges, writing to other files, and what of the system no guest
    /// has a use for. Returns what this system did not take from it. What no process can give up
    /// here, like reading its user's files, is in docs/SANDBOX.md.
    #[cfg(windows)]
    pub fn apply(&self) -> Vec<Kept> {
        let mut kept = Vec::new();
        let mut give_up = |what, done: Result<(), String>| kept.extend(done.err().map(|why| Kept { what, why }));
        let limits = job::Limits { memory: self.memory, cpu: None, alone: true };
        give_up("other programs and memory beyond its part", job::enter(&limits));
        give_up("privileges", token::drop_privileges());
        give_up("parts of the system", mitigations::apply());
        give_up("writing to other files", token::lower(&self.write));
        kept
    }

    /// This system has nothing that a process could do to itself without privileges, or none that is used yet.
    #[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
    pub fn apply(&self) -> Vec<Kept> {
        let why = format!("nothing is known of it on {}", std::env::consts::OS);
        vec![Kept { what: "other files, other programs and the network", why }]
    }
}

/// Raises the number of files that this process may have open to what the system allows.
pub fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: open_files_max(), maximum }) {
            tracing::warn!(%error, "the number of open files cannot be raised");
        }
    }
}

/// How many files this process may have open once it has asked for more; `None` where the system names no number.
pub fn open_files_max() -> Option<u64> {
    #[cfg(unix)]
    {
        let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        // Apple's systems name no maximum, and take no number beyond their OPEN_MAX.
        if cfg!(target_vendor = "apple") { Some(maximum.unwrap_or(u64::MAX).min(10_240)) } else { maximum }
    }
    #[cfg(not(unix))]
    None
}
