//! What an agent takes of its machine, looked at from outside while it runs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Often enough to see what a guest holds, seldom enough not to be in the way.
const EVERY: Duration = Duration::from_millis(100);

/// A thread that looks.
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Watched>,
}

/// What was seen. Memory is looked up where the system tells, else it is 0.
#[derive(Default)]
pub(super) struct Watched {
    /// Bytes that the agent held before there were tasks.
    pub(super) memory_before: u64,
    /// Most bytes that the agent held together with its executors.
    pub(super) memory: u64,
    /// Most bytes that its compilers held.
    pub(super) compilers: u64,
    /// Most bytes in scratch folders.
    pub(super) disk: u64,
    pub(super) looks: usize,
}

impl Watch {
    /// Looks at the process of an agent and all that come from it, and at its folder.
    pub(super) fn start(agent: u32, work_dir: PathBuf) -> Self {
        let (stop, stopped) = channel();
        let mut watched = Watched { memory_before: resident(agent), ..Watched::default() };
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let (memory, compilers) = family(agent);
                watched.memory = watched.memory.max(memory);
                watched.compilers = watched.compilers.max(compilers);
                watched.disk = watched.disk.max(scratch(&work_dir, false));
                watched.looks += 1;
            }
            watched
        });
        Self { stop, thread }
    }

    pub(super) fn stop(self) -> Watched {
        // It looks until it hears of it, or until nobody is there to tell.
        drop(self.stop);
        self.thread.join().expect("looking does not panic")
    }
}

/// Bytes of the agent with its executors, and of its compilers.
fn family(agent: u32) -> (u64, u64) {
    let parents = parents();
    let (mut memory, mut compilers) = (0, 0);
    for &process in parents.keys() {
        let mut lineage = std::iter::successors(Some(process), |process| parents.get(process).copied());
        if !lineage.any(|ancestor| ancestor == agent) {
            continue;
        }
        if is_compiler(process) {
            compilers += resident(process);
        } else {
            memory += resident(process);
        }
    }
    (memory, compilers)
}

/// Every process and the one it came from.
fn parents() -> HashMap<u32, u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let id = process.file_name().to_str()?.parse().ok()?;
            Some((id, number(id, "PPid:")?.try_into().ok()?))
        })
        .collect()
}

/// `haggle compile …` is the agent's own, and has a limit of its own.
fn is_compiler(process: u32) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).nth(1) == Some(b"compile")
}

fn resident(process: u32) -> u64 {
    number(process, "VmRSS:").unwrap_or(0) * 1024
}

/// A number that Linux tells of a process.
fn number(process: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Bytes of the files in folders named `scratch`, wherever an agent has them. Folders come and go meanwhile.
fn scratch(folder: &Path, is_scratch: bool) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => scratch(&entry.path(), is_scratch || entry.file_name() == "scratch"),
            Ok(meta) if is_scratch => meta.len(),
            _ => 0,
        })
        .sum()
}
