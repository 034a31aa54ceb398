//! What a task may touch, and how it shares.

use haggle_core::{Endpoint, Folder, FolderSource, Grants, HttpHost, MilliCpu, Sharing};

use super::{Malformed, required};
use crate::v1;

impl From<Sharing> for v1::Sharing {
    fn from(sharing: Sharing) -> Self {
        Self { weight_milli_cpus: sharing.weight.map(MilliCpu::get), burst_milli_cpus: sharing.burst.get() }
    }
}

impl From<v1::Sharing> for Sharing {
    fn from(wire: v1::Sharing) -> Self {
        Self { weight: wire.weight_milli_cpus.map(MilliCpu::new), burst: MilliCpu::new(wire.burst_milli_cpus) }
    }
}

impl From<Grants> for v1::Grants {
    fn from(grants: Grants) -> Self {
        let endpoint = |Endpoint { host, port }| v1::Endpoint { host, port: port.into() };
        let http = |HttpHost { host, port }| v1::HttpHost { host, port: port.map(u32::from) };
        Self {
            folders: grants.folders.into_iter().map(v1::Folder::from).collect(),
            net: grants.net.into_iter().map(endpoint).collect(),
            http: grants.http.into_iter().map(http).collect(),
            anonymous: grants.anonymous,
        }
    }
}

impl TryFrom<v1::Grants> for Grants {
    type Error = Malformed;

    fn try_from(wire: v1::Grants) -> Result<Self, Malformed> {
        let endpoint = |v1::Endpoint { host, port: number }| Ok(Endpoint { host, port: port(number)? });
        let http = |v1::HttpHost { host, port: number }| Ok(HttpHost { host, port: number.map(port).transpose()? });
        Ok(Self {
            folders: wire.folders.into_iter().map(Folder::try_from).collect::<Result<_, _>>()?,
            net: wire.net.into_iter().map(endpoint).collect::<Result<_, Malformed>>()?,
            http: wire.http.into_iter().map(http).collect::<Result<_, Malformed>>()?,
            anonymous: wire.anonymous,
        })
    }
}

fn port(wire: u32) -> Result<u16, Malformed> {
    u16::try_from(wire).map_err(|_| Malformed::Invalid {
        field: "port of a grant",
        got: wire.to_string(),
        wanted: "a number up to 65535",
    })
}

impl From<Folder> for v1::Folder {
    fn from(folder: Folder) -> Self {
        let source = match folder.source {
            FolderSource::Scratch(path) => v1::folder::Source::Scratch(path),
            FolderSource::Host(path) => v1::folder::Source::Host(path),
            FolderSource::Volume { volume, writable } => {
                v1::folder::Source::Volume(v1::MountedVolume { volume: Some(volume.into()), writable })
            }
        };
        Self { guest_path: folder.guest_path, source: Some(source) }
    }
}

impl TryFrom<v1::Folder> for Folder {
    type Error = Malformed;

    fn try_from(wire: v1::Folder) -> Result<Self, Malformed> {
        let source = match required(wire.source, "source of a folder")? {
            v1::folder::Source::Scratch(path) => FolderSource::Scratch(path),
            v1::folder::Source::Host(path) => FolderSource::Host(path),
            v1::folder::Source::Volume(v1::MountedVolume { volume, writable }) => {
                FolderSource::Volume { volume: required(volume, "volume of a folder")?.into(), writable }
            }
        };
        Ok(Self { guest_path: wire.guest_path, source })
    }
}
