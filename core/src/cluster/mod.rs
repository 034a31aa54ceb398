//! The master's state machine: dispatch.

mod command;
mod effect;
mod view;

pub use command::{AgentCommand, Command, FrameworkCommand, FrameworkInfo, HeldTask};
pub use effect::{AgentOrder, Announcement, Change, Effect, FrameworkEvent, Recovered};
pub use view::{AgentView, FrameworkView, OfferView, RoleView, TaskView};
