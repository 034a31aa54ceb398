//! How a guest's end becomes the ending of its task: one reason, one line, both numbers.

use std::time::Duration;

use haggle_core::{Bytes, Ending, Exceeded, Fuel, Reason, TaskState, Usage, VolumeId};
use wasmtime::{GcHeapOutOfMemory, ThrownException, Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::memory::EXCEPTIONS_MAX;
use crate::module::ModuleError;
use crate::wasi::{DiskRefusal, OutputExceeded, RESOURCES_MAX};

/// Frames of a trap's backtrace that are told; the rest is on the guest author's machine.
const FRAMES_TOLD: usize = 6;

/// Characters of one line. Symbol names may be longer than anybody reads.
const LINE_MAX: usize = 400;

/// How a guest ended, before its usage is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    state: TaskState,
    reason: Option<Reason>,
    message: String,
    exit_code: Option<i32>,
    exceeded: Option<Exceeded>,
}

/// What was refused to a guest while it ran. Being refused is no end in itself: a guest may live on and
/// succeed. If it then fails, this is why.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refused {
    pub(crate) memory: Option<Exceeded>,
    pub(crate) disk: Option<DiskRefusal>,
    /// The first volume that had no room.
    pub(crate) volume: Option<(VolumeId, DiskRefusal)>,
}

/// A task that cannot be set up as it asks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("{what} contains a NUL character, which no guest can be given")]
    Nul { what: &'static str },
    #[error("has a fuel limit, but its module is in the form that counts no fuel")]
    Unmetered,
    #[error("cannot open folder {path:?} for the task: {source}")]
    Folder { path: String, source: std::io::Error },
    #[error("cannot copy input {path:?}: {source}")]
    Copy { path: String, source: std::io::Error },
    #[error("cannot open {volume} for the task: {source}")]
    Volume { volume: VolumeId, source: std::io::Error },
    #[error("folder {path:?} in the scratch folder is a file: an input lies there")]
    NotAFolder { path: String },
    #[error("the disk is full")]
    Disk(DiskRefusal),
    #[error("wants to reach {host}, but this agent gives its tasks no network (`haggle agent --allow-network` does)")]
    NoNetwork { host: String },
    #[error("cannot make a scratch folder: {0}")]
    Scratch(std::io::Error),
}

impl Outcome {
    fn failed(reason: Reason, message: String) -> Self {
        Self { state: TaskState::Failed, reason: Some(reason), message, exit_code: None, exceeded: None }
    }

    fn limited(reason: Reason, message: String, exceeded: Exceeded) -> Self {
        Self { exceeded: Some(exceeded), ..Self::failed(reason, message) }
    }

    /// The guest returned or called exit.
    pub(crate) fn exited(code: i32, refused: &Refused) -> Self {
        if code == 0 {
            return Self {
                state: TaskState::Finished,
                reason: None,
                message: String::new(),
                exit_code: Some(0),
                exceeded: None,
            };
        }
        let outcome =
            Self::of_refusal(refused).unwrap_or_else(|| Self::failed(Reason::Exit, format!("exited with code {code}")));
        Self { exit_code: Some(code), ..outcome }
    }

    /// The call into the guest came back with an error.
    pub(crate) fn of_error(error: &wasmtime::Error, refused: &Refused, fuel: Option<Fuel>) -> Self {
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::exited(exit.0, refused);
        }
        if let Some(&OutputExceeded(exceeded)) = error.downcast_ref::<OutputExceeded>() {
            return Self::output(exceeded);
        }
        let trap = error.downcast_ref::<Trap>();
        if let (Some(Trap::OutOfFuel), Some(limit)) = (trap, fuel) {
            let exceeded = Exceeded { limit: limit.get(), used: limit.get() };
            return Self::limited(Reason::FuelExhausted, format!("used up {limit}, all it was given"), exceeded);
        }
        if let Some(outcome) = Self::of_refusal(refused) {
            return outcome;
        }
        if error.is::<GcHeapOutOfMemory<()>>() {
            return Self::exceptions();
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref() {
            return Self::resources();
        }
        if let Some(full) = error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>() {
            return Self::broken(&format!("no room for another instance: {full}"));
        }
        Self::failed(Reason::Trap, trap_message(error, trap))
    }

    fn of_refusal(refused: &Refused) -> Option<Self> {
        let of_disk = || refused.disk.map(Self::disk);
        let of_volume = || refused.volume.map(|(volume, refusal)| Self::volume(volume, refusal));
        refused.memory.map(Self::memory).or_else(of_disk).or_else(of_volume)
    }

    /// The guest, or what the host holds for it, does not fit its memory.
    pub(crate) fn memory(exceeded: Exceeded) -> Self {
        let (used, limit) = amounts(exceeded);
        let message = format!("wants {used} memory, is limited to {limit}");
        Self::limited(Reason::MemoryLimit, message, exceeded)
    }

    /// The guest keeps more of the exceptions that it threw than it may, and threw another one.
    fn exceptions() -> Self {
        let limit = EXCEPTIONS_MAX;
        let message = format!("keeps more than {} of exceptions that it threw", Bytes::new(limit));
        Self::limited(Reason::MemoryLimit, message, Exceeded { limit, used: limit + 1 })
    }

    /// The guest took more things of the host at once than it may, by a call that cannot refuse.
    fn resources() -> Self {
        let limit = RESOURCES_MAX as u64;
        let message = format!("wants more than {limit} open files, streams and the like at once");
        Self::limited(Reason::MemoryLimit, message, Exceeded { limit, used: limit + 1 })
    }

    fn disk(refusal: DiskRefusal) -> Self {
        match refusal {
            DiskRefusal::Bytes(exceeded) => {
                let (used, limit) = amounts(exceeded);
                Self::limited(Reason::DiskLimit, format!("wants {used} disk, is limited to {limit}"), exceeded)
            }
            DiskRefusal::Entries(exceeded) => {
                let Exceeded { used, limit } = exceeded;
                let message = format!("wants {used} files and folders, is limited to {limit} by its disk");
                Self::limited(Reason::DiskLimit, message, exceeded)
            }
        }
    }

    fn volume(volume: VolumeId, refusal: DiskRefusal) -> Self {
        match refusal {
            DiskRefusal::Bytes(exceeded) => {
                let (used, limit) = amounts(exceeded);
                Self::limited(Reason::DiskLimit, format!("wants {used} in {volume}, which has {limit}"), exceeded)
            }
            DiskRefusal::Entries(exceeded) => {
                let Exceeded { used, limit } = exceeded;
                let message = format!("wants {used} files and folders in {volume}, which has room for {limit}");
                Self::limited(Reason::DiskLimit, message, exceeded)
            }
        }
    }

    fn output(exceeded: Exceeded) -> Self {
        let (used, limit) = amounts(exceeded);
        Self::limited(Reason::OutputLimit, format!("wants to write {used} of output, is limited to {limit}"), exceeded)
    }

    /// The guest ran for longer than it may.
    pub(crate) fn time(limit: Duration, ran: Duration) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let message = format!("ran for {:.3} s, is limited to {:.3} s", ran.as_secs_f64(), limit.as_secs_f64());
        Self::limited(Reason::TimeLimit, message, Exceeded { limit: millis(limit), used: millis(ran) })
    }

    /// Its end was asked for.
    pub(crate) fn killed() -> Self {
        Self {
            state: TaskState::Killed,
            reason: Some(Reason::KillRequested),
            message: "killed on request".to_owned(),
            exit_code: None,
            exceeded: None,
        }
    }

    /// The module cannot be run by anybody.
    pub(crate) fn of_module(error: &ModuleError) -> Self {
        Self::failed(error.reason(), line(&error.to_string()))
    }

    /// The task asks for something that cannot be laid out.
    pub(crate) fn of_setup(error: &SetupError) -> Self {
        let reason = match error {
            SetupError::Disk(refusal) => return Self::disk(*refusal),
            SetupError::Folder { .. } | SetupError::Copy { .. } | SetupError::Volume { .. } => {
                Reason::ArtifactUnavailable
            }
            SetupError::Scratch(_) => Reason::ExecutorTerminated,
            SetupError::Nul { .. }
            | SetupError::Unmetered
            | SetupError::NotAFolder { .. }
            | SetupError::NoNetwork { .. } => Reason::TaskInvalid,
        };
        Self::failed(reason, line(&error.to_string()))
    }

    /// The host is at fault, not the guest.
    pub(crate) fn broken(what: &str) -> Self {
        Self::failed(Reason::ExecutorTerminated, line(what))
    }

    /// The whole ending.
    pub(crate) fn ending(self, usage: Usage) -> Ending {
        Ending {
            state: self.state,
            reason: self.reason,
            message: self.message,
            exit_code: self.exit_code,
            exceeded: self.exceeded,
            usage,
        }
    }
}

/// Wanted and granted bytes as people read them, and exactly where they would read alike.
fn amounts(exceeded: Exceeded) -> (String, String) {
    let rounded = |bytes: u64| Bytes::new(bytes).to_string();
    let (used, limit) = (rounded(exceeded.used), rounded(exceeded.limit));
    if used.replace(".0 ", " ") != limit.replace(".0 ", " ") {
        return (used, limit);
    }
    let limit = if limit.contains('.') { format!("{} B", exceeded.limit) } else { limit };
    (format!("{} B", exceeded.used), limit)
}

/// `wasm trap: integer divide by zero in divide < main < _start`, or what the host said no to.
fn trap_message(error: &wasmtime::Error, trap: Option<&Trap>) -> String {
    let what = match trap {
        Some(trap) => trap.to_string(),
        None if error.is::<ThrownException>() => "threw an exception that nothing catches".to_owned(),
        None => error.root_cause().to_string(),
    };
    let frames: Vec<String> = error
        .downcast_ref::<WasmBacktrace>()
        .map(|backtrace| backtrace.frames().iter().take(FRAMES_TOLD).map(frame_name).collect())
        .unwrap_or_default();
    if frames.is_empty() { line(&what) } else { line(&format!("{what} in {}", frames.join(" < "))) }
}

fn frame_name(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => demangle(name),
        None => format!("function {}", frame.func_index()),
    }
}

/// Rust's own names for what linkers call `_ZN4core9panicking5panic17h0123456789abcdefE`.
fn demangle(name: &str) -> String {
    let plain = rustc_demangle::demangle(name);
    format!("{plain:#}")
}

fn line(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE_MAX + 1).collect();
    match flat.char_indices().nth(LINE_MAX) {
        Some((at, _)) => format!("{}…", &flat[..at]),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_round_to_the_same_are_told_exactly() {
        let limit = 64 << 20;

        assert_eq!(amounts(Exceeded { limit, used: limit + 1 }), ("67108865 B".to_owned(), "64 MiB".to_owned()));
        assert_eq!(amounts(Exceeded { limit: 10_200, used: 10_201 }), ("10201 B".to_owned(), "10200 B".to_owned()));
        assert_eq!(amounts(Exceeded { limit, used: limit + (1 << 20) }), ("65 MiB".to_owned(), "64 MiB".to_owned()));
    }
}
