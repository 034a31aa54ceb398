//! The v1 HTTP API of Apache Mesos, in words: what its messages look like, and what they mean here.
//!
//! ```text
//! bytes ── json, protobuf, record ──► wire ── meaning ──► commands and events of the core
//! ```
//!
//! Nothing here knows of sockets. What a message means is decided by the core; here is only what it is called.

mod ids;
mod json;
#[macro_use]
mod message;
mod format;
pub mod meaning;
pub mod record;
mod shell;
pub mod wire;

pub use format::{Format, Unreadable};
pub use ids::{Ids, NotAnId, is_task_id, task_number};
