//! What a master is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use haggle_core::{Bytes, cluster};
use haggle_tls::OwnerTokens;

use crate::registry::EtcdConfig;

/// Everything a master needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one. Only loopback is served until transport security exists.
    pub listen: SocketAddr,
    /// Where the registry and the artifacts are kept. `None`: the registry in memory and the artifacts in a
    /// temporary folder; both are gone when the master stops.
    pub state: Option<PathBuf>,
    /// The other masters of the cluster, if there are any. The registry is in etcd then, and `state` holds artifacts.
    pub several: Option<Several>,
    /// The rules of the cluster.
    pub cluster: cluster::Config,
    /// How much the artifact store takes.
    pub artifacts: ArtifactLimits,
    /// Where the token of the user that runs the master is left for that user's other programs, by the master's port.
    /// `None`: nowhere; see [`crate::Master::owner_token`].
    pub owner_tokens: Option<OwnerTokens>,
    /// Where each decision that changes something or was refused is written down. `None`: nowhere.
    pub audit: Option<PathBuf>,
}

impl Config {
    /// A master that keeps nothing after its end, with every default.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            state: None,
            several: None,
            cluster: cluster::Config::default(),
            artifacts: ArtifactLimits::default(),
            owner_tokens: None,
            audit: None,
        }
    }
}

/// How a master takes part in a cluster of several.
#[derive(Clone, Debug)]
pub struct Several {
    /// Where they agree on who leads, and what the one that leads remembers.
    pub etcd: EtcdConfig,
    /// The URL under which agents, frameworks and the other masters reach this one. `None`: where it listens.
    pub advertise: Option<String>,
}

/// The bounds of the artifact store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// All artifacts together.
    pub total: Bytes,
    /// One artifact.
    pub single: Bytes,
}

impl Default for ArtifactLimits {
    /// 16 GiB together: what a developer's disk can spare. 2 GiB each: above any module and most input files.
    fn default() -> Self {
        Self { total: Bytes::from_mib(16 << 10), single: Bytes::from_mib(2 << 10) }
    }
}
