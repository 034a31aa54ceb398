//! `haggle.v1`, the wire contract, and the one place where wire types become core types.
//!
//! What comes in is checked here, once: behind [`convert`] nothing is left to parse. What goes out on a session waits in an
//! [`outbox`].

use std::time::Duration;

mod codec;
pub mod convert;
pub mod outbox;
pub mod weight;

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

/// The largest message to an agent: what came from a framework, and a pass for each artifact that it names, of which one task
/// has a thousand at most.
pub const ORDERS_MAX: usize = MESSAGE_MAX + (128 << 10);

/// The most bytes of an artifact in one chunk.
pub const ARTIFACT_CHUNK: usize = 1 << 20;

/// As many are sent in one: they are still in the processor's cache when they are passed on, and the memory that they were in
/// serves for the next.
pub const ARTIFACT_PIECE: usize = 256 << 10;

/// The most bytes of a task's output in one chunk.
pub const LOG_CHUNK: usize = 64 << 10;

/// The master's port where no other is given, as in Mesos.
pub const DEFAULT_PORT: u16 = 5050;

/// How a peer of several masters finds out that the one it speaks to is silent: when nothing was heard on the connection
/// for `every`, it asks for a sign of life, and waits for that for `within`.
///
/// The two together are longer than a lease of the masters, so that another one leads by then. Whoever carries the
/// connection answers, not who decides: even while thousands of agents come back at once it answers within a tenth of a
/// second. An agent's heartbeats make most of these questions needless.
pub const SIGN_OF_LIFE_OF_SEVERAL: SignOfLife =
    SignOfLife { every: Duration::from_millis(1_500), within: Duration::from_secs(2) };

/// The same for a peer of one master, and for connections without heartbeats. A router between them may have forgotten the
/// connection, and then nobody tells; this is longer than the pause of a machine that is very busy.
pub const SIGN_OF_LIFE: SignOfLife = SignOfLife { every: Duration::from_secs(3), within: Duration::from_secs(5) };

/// When a silent connection is asked whether anybody is there, and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignOfLife {
    /// The silence before it is asked for.
    pub every: Duration,
    /// How long it may take.
    pub within: Duration,
}

/// The metadata of a status with which a master that does not lead answers: the URL of the one that does, where it is
/// known. The status is `UNAVAILABLE`.
pub const LEADER: &str = "haggle-leader";

/// The metadata of a `RESOURCE_EXHAUSTED` that tells a limit: its name, as `haggle master` takes it.
pub const LIMIT: &str = "haggle-limit";

/// The metadata of a download by which an agent shows that a task of its names the artifact: a pass that came with the launch.
pub const PASS: &str = "haggle-pass-bin";
