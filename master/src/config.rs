//! What a master is told when it starts.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use haggle_core::{Bytes, cluster};
use haggle_etcd::EtcdConfig;
use haggle_otlp::Collector;
use haggle_tls::OwnerTokens;
use rustls::pki_types::ServerName;

use crate::limits::{Limits, Places};

/// Everything a master needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one. On loopback in plain text unless `tls` says otherwise, elsewhere in TLS.
    pub listen: SocketAddr,
    /// Under which names and addresses others reach it, the best one first. Empty: where it listens.
    pub advertise: Vec<Advertised>,
    /// How it proves itself.
    pub tls: Tls,
    /// Where the registry and the artifacts are kept. `None`: the registry in memory and the artifacts in a
    /// temporary folder; both are gone when the master stops.
    pub state: Option<PathBuf>,
    /// Without a state folder, where artifacts are kept until somebody else removes that. `None`: in a temporary folder of the
    /// master's own.
    pub transient: Option<PathBuf>,
    /// The other masters of the cluster, if there are any. The registry is in etcd then, and `state` holds artifacts.
    pub several: Option<Several>,
    /// The rules of the cluster.
    pub cluster: cluster::Config,
    /// How much one principal may have and do. Those of the cluster's rules are taken from here too.
    pub limits: Limits,
    /// How many of each kind may be connected.
    pub places: Places,
    /// How much the artifact store takes.
    pub artifacts: ArtifactLimits,
    /// From where artifacts are fetched for whoever asks. By default from nowhere.
    pub sources: haggle_sources::Settings,
    /// Where the token of the user that runs the master is left for that user's other programs, by where the master listens.
    /// `None`: nowhere; see [`crate::Master::owner_token`].
    pub owner_tokens: Option<OwnerTokens>,
    /// Where each decision that changes something or was refused is written down. `None`: nowhere.
    pub audit: Option<PathBuf>,
    /// Who is told the traces of tasks. `None`: nobody, and nothing is recorded.
    pub traces: Option<Collector>,
}

impl Config {
    /// A master that keeps nothing after its end, with every default.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            advertise: Vec::new(),
            tls: Tls::default(),
            state: None,
            transient: None,
            several: None,
            cluster: cluster::Config::default(),
            limits: Limits::default(),
            places: Places::default(),
            artifacts: ArtifactLimits::default(),
            sources: haggle_sources::Settings::default(),
            owner_tokens: None,
            audit: None,
            traces: None,
        }
    }
}

/// How a master takes part in a cluster of several.
#[derive(Clone, Debug)]
pub struct Several {
    /// Where they agree on who leads, and what the one that leads remembers.
    pub etcd: EtcdConfig,
    /// Where the key is with which the authority of their certificates is sealed there. `None`: `pki/seal.key` in the state
    /// folder. In plain text there is none.
    pub seal_key: Option<PathBuf>,
}

/// A name or an address under which others reach a master: `HOST` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// A name or an address; one of version 6 without brackets.
    pub host: String,
    /// `None`: the one that it listens on.
    pub port: Option<u16>,
}

impl Advertised {
    /// As a URL and a token say it.
    pub(crate) fn address(&self, listening: u16) -> String {
        let port = self.port.unwrap_or(listening);
        if self.host.contains(':') { format!("[{}]:{port}", self.host) } else { format!("{}:{port}", self.host) }
    }
}

impl FromStr for Advertised {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let wrong = || NotAHost(text.to_owned());
        // Brackets set an address of version 6 apart from a port, and may be left out without one.
        let (host, port) = if text.parse::<Ipv6Addr>().is_ok() {
            (text, None)
        } else if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) })
        } else {
            text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        };
        let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)).transpose()?;
        // With a name that no certificate can hold, no agent would ever connect.
        ServerName::try_from(host).map_err(|_| wrong())?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// A text that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host or a host and a port, like master.example, 10.0.0.1:5050 or [fe80::1]:5050")]
pub struct NotAHost(String);

/// How a master proves itself, and by what agents may.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Also on loopback, where plain text is the default.
    pub always: bool,
    /// A certificate that an operator brings and renews. `None`: one of the cluster's own authority, which renews itself.
    pub certificate: Option<CertificateFiles>,
    /// Further authorities whose certificates agents may have, PEM.
    pub client_authorities: Option<PathBuf>,
}

impl Tls {
    /// Whether it is spoken on loopback too.
    pub(crate) fn is_wanted(&self) -> bool {
        self.always || self.certificate.is_some()
    }
}

/// Where a certificate is. The files are read again each minute.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The chain, from the certificate to its authority, which clients are told to believe; PEM.
    pub chain: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_without() {
        for (text, address) in [
            ("master.example", "master.example:5050"),
            ("master.example:443", "master.example:443"),
            ("10.0.0.1", "10.0.0.1:5050"),
            ("fe80::1", "[fe80::1]:5050"),
            ("[fe80::1]", "[fe80::1]:5050"),
            ("[fe80::1]:443", "[fe80::1]:443"),
        ] {
            assert_eq!(text.parse::<Advertised>().unwrap().address(5050), address);
        }
        for wrong in
            ["", ":5050", "a b", "a:b", "a:0", "a:70000", "[fe80::1", "[a]:1", "[::1]x", "http://a:1", "fe80::1:x"]
        {
            assert!(wrong.parse::<Advertised>().is_err(), "{wrong}");
        }
    }
}
