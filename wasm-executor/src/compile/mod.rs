//! From an untrusted module to machine code: judged, compiled in a child process under limits, kept on disk.
//!
//! A compilation cannot be interrupted and may want any amount of time and memory, so it has a process of its own,
//! which the system ends at the limit. An executor never compiles: it loads what a [`Compiler`] hands out.

mod cache;
mod child;
mod compiler;
mod config;
mod effort;
mod here;
mod intake;
mod job;
mod limits;
mod priority;
mod queue;
mod rewrite;
mod snapshot;

pub use child::{COMPILE_COMMAND, compile_child};
pub use compiler::{Compiler, Wanted};
pub use config::{CompileLimits, CompilerConfig};
pub use effort::TooDear;
pub use here::compile_here;
pub use intake::{IntakeError, admit};
pub(crate) use rewrite::EDITION;
pub use rewrite::rewrite;
