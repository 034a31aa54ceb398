//! The real state machines of master and agent in a world that fails: one thread, one seed, its own time.
//!
//! [`run`] plays one seed. `README.md` says what is simulated, what is checked, and how to read a seed that fails.

mod agent;
mod checks;
mod clock;
mod faults;
mod finish;
mod framework;
mod master;
mod net;
mod oracle;
mod plan;
mod program;
mod reserve;
mod rng;
mod store;
mod volumes;
mod wants;
mod words;
mod world;

pub use finish::{Report, run};
