//! What is known of a connection by itself.

use std::net::SocketAddr;

use haggle_core::AgentId;

/// Who is at the other end of a connection, as whoever accepted it found out. It is in the extensions of every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// From where.
    pub(crate) address: Option<SocketAddr>,
    /// Which agent, by a certificate that was verified. `None` for everybody else.
    pub(crate) agent: Option<AgentId>,
}
