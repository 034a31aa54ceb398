//! Runs WebAssembly tasks under quotas on CPU, memory, time, disk and output.
//!
//! Messages in ([`Executor::launch`], [`Executor::kill`]), messages out ([`Event`]): an executor knows nothing
//! of masters, agents and networks. Guests run on its own worker threads, never on a caller's runtime, so a
//! spinning guest delays nobody's heartbeat. What it runs was compiled before, by a [`Compiler`], in a process of its
//! own.
//!
//! # What is counted
//!
//! | quota | what counts | what the guest sees | how the task ends |
//! |---|---|---|---|
//! | `cpus` | CPU time of the thread that runs the guest, and of those that work for it: timers, connections, taking turns | it pauses | goes on |
//! | `mem` | linear memories, tables, instances, stdin, arguments and environment beyond 4 KiB, output that is not taken, connections | `memory.grow` gives -1 | `MEMORY_LIMIT` if it then traps or fails |
//! | `disk` | lengths of the files in its scratch folder, and the number of their names | `ENOSPC` | `DISK_LIMIT` if it then traps or fails |
//! | fuel | executed operators, by the table in `fuel.rs` | it is stopped | `FUEL_EXHAUSTED` |
//! | time | wall-clock time since its start, asleep or not | it is stopped | `TIME_LIMIT` |
//! | output | bytes written to stdout and stderr | it is stopped, or the rest is dropped | `OUTPUT_LIMIT`, or goes on |
#![warn(missing_docs)]

#[doc(hidden)]
pub mod bare;
mod charge;
mod clock;
mod compile;
mod config;
mod engine;
mod event;
mod executor;
mod fuel;
mod grants;
pub mod inputs;
mod instances;
mod memory;
mod meters;
mod module;
mod names;
mod outcome;
mod pace;
pub mod process;
mod run;
mod scheduler;
mod scratch;
mod site;
mod volume;
mod wasi;
#[cfg(windows)]
mod windows;

pub use compile::{
    COMPILE_COMMAND, CompileLimits, Compiler, CompilerConfig, IntakeError, TooDear, Wanted, admit, compile_child,
    compile_here, rewrite,
};
pub use config::{Config, StartError};
pub use event::{Event, HostFolder, Launch, Listener, Meter, MountedVolume, Stream};
pub use executor::{Executor, Stats};
pub use fuel::WASMTIME;
pub use haggle_inspect as inspect;
pub use module::{Exhausted, ModuleError};
pub use scheduler::Starter;
