//! The agent's state machine: dispatch.

mod command;
mod effect;

pub use command::Command;
pub use effect::Effect;
