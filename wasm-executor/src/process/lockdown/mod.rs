//! The second wall: what a process that runs guests gives up before it does, should a guest break out of the first.
//!
//! Everything here is for good, and for the calling thread and those it starts: a process locks itself down while it
//! has one thread.

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod files;
#[cfg(any(target_os = "macos", test))]
mod seatbelt;
#[cfg(target_os = "linux")]
mod syscalls;

use std::path::PathBuf;

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

    /// This system has nothing that a process could do to itself without privileges, or none that is used yet.
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
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
        // Apple's systems name no maximum, and take no number beyond their OPEN_MAX.
        let current =
            if cfg!(target_vendor = "apple") { Some(maximum.unwrap_or(u64::MAX).min(10_240)) } else { maximum };
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, maximum }) {
            tracing::warn!(%error, "the number of open files cannot be raised");
        }
    }
}
