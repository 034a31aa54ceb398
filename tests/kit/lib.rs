//! What the end-to-end tests and the benchmark share: the real binaries, processes that do not outlive whoever
//! started them, and guests.
//!
//! The binaries are those beside the running test, unless `HAGGLE_TEST_BIN` names their folder; the example tasks
//! are those in `target/wasm`, unless `HAGGLE_TEST_WASM` names theirs. `cargo xtask test` builds both.

mod cluster;
mod collector;
mod crowd;
mod daemon;
pub mod guests;
mod home;
mod machine;
mod place;
mod proxy;
mod ran;
pub mod record;
mod simulated;
mod tokens;
mod wait;
mod wine;

pub use cluster::{AgentFlags, Cluster};
pub use collector::{Collector, Span};
pub use crowd::Crowd;
pub use daemon::Daemon;
pub use home::{Home, loopback};
pub use machine::{Machine, Master};
pub use place::{binary, free_port, system, wasm, windows_binary};
pub use proxy::Proxy;
pub use ran::Ran;
pub use simulated::{Simulated, registration, small_machine};
pub use tokens::{TokenService, certificate};
pub use wait::{PATIENCE, first_running, until};
pub use wine::command;
