//! What a task may touch beside its own memory: nothing, unless it is named here.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::VolumeId;
use crate::invalid::InvalidSpec;

/// Folders of one task: each is a descriptor of the guest from its start.
pub const FOLDERS_MAX: usize = 64;

/// Hosts of one task, for connections and for HTTP each.
pub const HOSTS_MAX: usize = 64;

/// Where the guest finds its scratch folder, and where its inputs are copied that it may change.
pub const SCRATCH: &str = "/scratch";

/// What is granted to a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Folders that it finds open at its start, beside its inputs and its scratch folder.
    pub folders: Vec<Folder>,
    /// Where it may connect to over TCP and send to over UDP.
    pub net: Vec<Endpoint>,
    /// Whom it may send HTTP requests to.
    pub http: Vec<HttpHost>,
    /// Whether its environment is what its framework named and nothing else: it is told neither its id nor the name of
    /// its agent.
    pub anonymous: bool,
}

/// A folder in the guest's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// The name under which the guest finds it: `/`, `.`, or a path, absolute or relative, without `.` and `..`.
    pub guest_path: String,
    /// What it is.
    pub source: FolderSource,
}

/// What a guest finds behind a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FolderSource {
    /// A folder below its own scratch folder, by its relative path. It may write there.
    Scratch(String),
    /// A folder of the agent's machine, by its absolute path, to read only. The agent's operator must allow it.
    Host(String),
    /// A volume that it was offered.
    Volume {
        /// Which one.
        volume: VolumeId,
        /// Whether the guest may change what is in it. Nobody may while it is shared.
        writable: bool,
    },
}

/// One port of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// A name, or an address as it is written (IPv6 without brackets).
    pub host: String,
    /// The port, which is not 0.
    pub port: u16,
}

/// A host that answers HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHost {
    /// A name, or an address as it is written (IPv6 without brackets).
    pub host: String,
    /// The one port; `None` is 80 and 443.
    pub port: Option<u16>,
}

/// A text that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not {wanted}")]
pub struct NotAHost {
    wanted: &'static str,
    got: String,
}

impl Endpoint {
    const WANTED: &'static str = "a host and a port, like db.example:5432 or [::1]:80";
}

impl FromStr for Endpoint {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        match split(text) {
            Some((host, Some(port))) => Ok(Self { host: host.into(), port }),
            _ => Err(NotAHost { wanted: Self::WANTED, got: text.into() }),
        }
    }
}

impl FromStr for HttpHost {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let (host, port) = split(text).ok_or_else(|| NotAHost {
            wanted: "a host, like api.example, or a host and a port, like api.example:8080",
            got: text.into(),
        })?;
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(f, &self.host, Some(self.port))
    }
}

impl fmt::Display for HttpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(f, &self.host, self.port)
    }
}

fn display(f: &mut fmt::Formatter<'_>, host: &str, port: Option<u16>) -> fmt::Result {
    match (host.contains(':'), port) {
        (true, Some(port)) => write!(f, "[{host}]:{port}"),
        (true, None) => write!(f, "[{host}]"),
        (false, Some(port)) => write!(f, "{host}:{port}"),
        (false, None) => f.write_str(host),
    }
}

/// The host, without brackets, and the port, if there is one; `None` when the text is neither.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<core::net::Ipv6Addr>().ok()?;
            (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_digits = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        Some(port) => Some(Some(port).filter(is_digits)?.parse().ok().filter(|&port| port != 0)?),
        None => None,
    };
    is_host(host).then_some((host, port))
}

/// Letters, digits, hyphens, underscores and dots, or an IPv6 address.
fn is_host(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain);
    is_name || host.parse::<core::net::Ipv6Addr>().is_ok()
}

impl Grants {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a guest that has them is given a network at all.
    pub fn reach_out(&self) -> bool {
        !(self.net.is_empty() && self.http.is_empty())
    }

    /// The volumes that it mounts, and whether it may write them.
    pub fn volumes(&self) -> impl Iterator<Item = (VolumeId, bool)> + Clone {
        self.folders.iter().filter_map(|folder| match folder.source {
            FolderSource::Volume { volume, writable } => Some((volume, writable)),
            FolderSource::Scratch(_) | FolderSource::Host(_) => None,
        })
    }

    pub(crate) fn check(&self, has_scratch: bool) -> Result<(), InvalidSpec> {
        let few = |what, has, max| if has > max { Err(InvalidSpec::TooMany { what, has, max }) } else { Ok(()) };
        few("folders", self.folders.len(), FOLDERS_MAX)?;
        few("hosts to connect to", self.net.len(), HOSTS_MAX)?;
        few("hosts to send requests to", self.http.len(), HOSTS_MAX)?;
        let hosts = self.net.iter().map(|endpoint| (&endpoint.host, Some(endpoint.port)));
        for (host, port) in hosts.chain(self.http.iter().map(|http| (&http.host, http.port))) {
            if !is_host(host) || port == Some(0) {
                return Err(InvalidSpec::Host(host.clone()));
            }
        }
        let (mut names, mut volumes) = (BTreeSet::new(), BTreeSet::new());
        for Folder { guest_path, source } in &self.folders {
            let is_whole = matches!(guest_path.as_str(), "/" | ".");
            let is_path = is_inside(guest_path.strip_prefix('/').unwrap_or(guest_path));
            if !(is_whole || is_path) || !names.insert(guest_path) {
                return Err(InvalidSpec::FolderPath(guest_path.clone()));
            }
            match source {
                FolderSource::Scratch(_) if !has_scratch => return Err(InvalidSpec::NoScratch(guest_path.clone())),
                FolderSource::Scratch(path) if !is_inside(path) => return Err(InvalidSpec::FolderPath(path.clone())),
                FolderSource::Host(path) if !is_on_a_machine(path) => {
                    return Err(InvalidSpec::HostFolder(path.clone()));
                }
                FolderSource::Volume { volume, .. } if !volumes.insert(*volume) => {
                    return Err(InvalidSpec::VolumeTwice(*volume));
                }
                FolderSource::Scratch(_) | FolderSource::Host(_) | FolderSource::Volume { .. } => {}
            }
        }
        Ok(())
    }
}

/// Whether a path is whole on some system: `/srv/data`, or `C:\data` or `C:/data` on Windows, without detours.
pub fn is_on_a_machine(path: &str) -> bool {
    let drive = |path: &str| {
        path.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && path.as_bytes().get(1) == Some(&b':')
    };
    if drive(path) {
        let rest = path[2..].replace('\\', "/");
        return rest.strip_prefix('/').is_some_and(|rest| rest.is_empty() || is_inside(rest));
    }
    path.strip_prefix('/').is_some_and(|rest| rest.is_empty() || is_inside(rest))
}

/// Whether a relative path stays below where it starts.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.split('/').any(|part| matches!(part, "" | "." | "..") || part.contains(['\0', '\\']))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_folder_of_a_machine_is_named_in_full_as_its_system_does_it() {
        for whole in ["/", "/srv/data", r"C:\", "C:/", r"d:\srv\data", "d:/srv/data"] {
            assert!(is_on_a_machine(whole), "{whole:?}");
        }
        for part in [
            "",
            "srv",
            "/srv/../etc",
            "/srv//data",
            "/a\\b",
            "C:",
            "C:srv",
            r"C:\a\..\b",
            r"\\?\C:\a",
            r"\\server\a",
            "1:/a",
        ] {
            assert!(!is_on_a_machine(part), "{part:?}");
        }
    }

    #[test]
    fn hosts_are_read_as_they_are_written() {
        for text in ["db.example:5432", "10.0.0.1:80", "[::1]:80"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).as_deref(), Ok(text));
        }
        for text in ["api.example", "api.example:8080", "[::1]"] {
            assert_eq!(text.parse::<HttpHost>().map(|host| host.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in ["", ":80", "a b:80", "host:", "host:0", "host:65536", "host:+1", "::1:80", "[::1", "[x]:1", "*:80"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
        assert_eq!(
            "db.example".parse::<Endpoint>().unwrap_err().to_string(),
            r#""db.example" is not a host and a port, like db.example:5432 or [::1]:80"#
        );
    }
}
