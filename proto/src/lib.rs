//! `haggle.v1`, the wire contract, and the one place where wire types become core types.
//!
//! What comes in is checked here, once: behind [`convert`] nothing is left to parse.

pub mod convert;

/// The generated messages, clients and servers of `haggle.v1`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("haggle.v1");
}

/// The largest message that either side takes. A launch carries a task's arguments and standard input, so this
/// bounds them too; artifacts travel in chunks below it.
pub const MESSAGE_MAX: usize = 16 << 20;

/// The most bytes of an artifact in one chunk.
pub const ARTIFACT_CHUNK: usize = 1 << 20;

/// The most bytes of a task's output in one chunk.
pub const LOG_CHUNK: usize = 64 << 10;

/// The master's port where no other is given, as in Mesos.
pub const DEFAULT_PORT: u16 = 5050;

/// The metadata of a status with which a master that does not lead answers: the URL of the one that does, where it is
/// known. The status is `UNAVAILABLE`.
pub const LEADER: &str = "haggle-leader";
