//! Why a master does not start, or ends by itself.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use haggle_etcd::EtcdError;
use haggle_sources::BadAuthorities;

use crate::registry::RegistryError;
use crate::security::SecurityError;

/// Why a master cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot prove who it is.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The authorities of servers that artifacts are fetched from cannot be used.
    #[error(transparent)]
    Authorities(#[from] BadAuthorities),
    /// Something was said of TLS, which it does not speak.
    #[error(
        "{flag} {what}, and this master speaks plain text: add --tls, listen elsewhere than on loopback, or leave it out"
    )]
    OnlyInTls {
        /// What was said.
        flag: &'static str,
        /// What it is for.
        what: &'static str,
    },
    /// Somebody else listens there.
    #[error("cannot listen on {0}: the port is in use; choose another, or stop who has it")]
    PortInUse(SocketAddr),
    /// It cannot listen there for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What was said of etcd makes no sense.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// Another master keeps its artifacts there.
    #[error("{} belongs to another running master; stop that one, or use another folder", .0.display())]
    StateInUse(PathBuf),
    /// The folder of the artifacts cannot be used.
    #[error("cannot keep artifacts in {}: {source}", folder.display())]
    Artifacts {
        /// Which folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The audit cannot be written.
    #[error("cannot write the audit {}: {source}", file.display())]
    Audit {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It has just been founded, and cannot let anybody in.
    #[error("cannot make the first tokens: {0}")]
    FirstTokens(String),
    /// Traces cannot be told to anybody.
    #[error(transparent)]
    Traces(#[from] haggle_otlp::StartError),
    /// The machine has no thread left.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Why a running master ended by itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// What is decided cannot be remembered any more.
    #[error("{0}")]
    Registry(String),
    /// Another master leads, or may.
    #[error("this master no longer leads")]
    Deposed,
    /// A bug ended the driver.
    #[error("the driver ended unexpectedly; this is a bug, its message is in the log")]
    Driver,
    /// The socket cannot be served any more.
    #[error("cannot serve any more: {0}")]
    Server(String),
}
