//! Artifacts from where people have them: OCI registries, S3 and web servers.
//!
//! A [`Source`] says where, [`Sources`] fetches it. Every connection is by one client, which asks the list of [`Hosts`]
//! first, whoever it was that named the host: the source, a redirect, or a registry that says where its tokens are. No
//! address of this machine or of its provider's services is reached by a name, nothing is waited for without an end, and
//! nothing is larger than was said. Logins are read where docker, AWS's tools and curl keep them, and go to the host that
//! they are for and to nobody else.

#![warn(missing_docs)]

mod client;
mod connect;
mod error;
mod hosts;
mod logins;
mod oci;
mod pace;
mod proxy;
mod s3;
mod source;
mod tls;
mod web;

use std::path::PathBuf;

use bytes::Bytes;
use haggle_core::Digest;
use sha2::{Digest as _, Sha256};

pub use error::{Blame, SourceError};
pub use hosts::{HostRule, Hosts, NotARule};
pub use oci::{Contents, Pushed};
pub use pace::Pace;
pub use proxy::Proxies;
pub use source::{NotASource, OciRef, Reference, Source};
pub use tls::BadAuthorities;

use crate::client::Http;
use crate::connect::Connector;
use crate::logins::Logins;
use crate::oci::Layer;
use crate::pace::Paced;

/// What decides whom is spoken to, and how.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whom.
    pub hosts: Hosts,
    /// Authorities that servers' certificates may be signed by beside those that Mozilla trusts; PEM.
    pub authorities: Option<PathBuf>,
    /// By whom connections are made for us. A proxy is the operator's: nobody whom [`Self::hosts`] does not allow is asked of it.
    pub proxies: Proxies,
    /// How slow they may be.
    pub pace: Pace,
    /// Where logins are, as in a user's folder: `.docker/config.json`, `.aws` and `.netrc`. `None`: in the folder of this
    /// process's user, and where the variables of those tools say.
    pub home: Option<PathBuf>,
}

/// Fetches from sources. Clones share nothing but what they were made with.
#[derive(Clone, Debug)]
pub struct Sources {
    http: Http,
    logins: Logins,
}

impl Sources {
    /// Reads the authorities. Logins are read anew for each fetch.
    ///
    /// # Errors
    /// When the file of authorities cannot be read.
    pub fn new(settings: Settings) -> Result<Self, BadAuthorities> {
        let Settings { hosts, authorities, proxies, pace, home } = settings;
        let tls = tls::config(authorities.as_deref())?;
        let logins = home.as_deref().map_or_else(Logins::of_environment, Logins::below);
        Ok(Self { http: Http::new(Connector { hosts, proxies, tls }, pace), logins })
    }

    /// Finds what a source names, as far as that can be known without its content.
    ///
    /// # Errors
    /// When its host is not allowed or does not answer, or there is nothing that could run.
    pub async fn find(&self, source: &Source) -> Result<Found, SourceError> {
        Ok(match source {
            Source::Oci(reference) => {
                let (layer, pinned) = oci::find(&self.http, &self.logins, reference).await?;
                let (digest, size) = (Some(layer.digest), Some(layer.size));
                Found { pinned, digest, size, place: Place::Layer(Box::new(layer)) }
            }
            Source::S3 { .. } | Source::Web(_) => {
                let place = Place::Named(source.clone());
                Found { pinned: source.to_string(), digest: None, size: None, place }
            }
        })
    }

    /// Begins to fetch it. No more than `most` bytes come.
    ///
    /// # Errors
    /// When its host is not allowed or does not answer, there is nothing, or it is larger.
    pub async fn open(&self, found: Found, most: u64) -> Result<Incoming, SourceError> {
        if let Some(size) = found.size.filter(|size| *size > most) {
            return Err(SourceError::TooLarge { size: Some(size), most });
        }
        let (body, host) = match found.place {
            Place::Layer(layer) => layer.open(&self.http).await?,
            Place::Named(Source::S3 { bucket, key }) => s3::open(&self.http, &self.logins, &bucket, &key).await?,
            Place::Named(Source::Web(url)) => web::open(&self.http, &self.logins, &url).await?,
            Place::Named(Source::Oci(_)) => unreachable!("a reference is found as a layer"),
        };
        let size = found.size.or(body.size());
        if let Some(size) = size.filter(|size| *size > most) {
            return Err(SourceError::TooLarge { size: Some(size), most });
        }
        Ok(Incoming { body, host, size, got: 0, most })
    }

    /// Puts a WebAssembly module or component into a registry, as others do: by the artifact format of the CNCF.
    ///
    /// # Errors
    /// When the reference is a digest, or the registry is not allowed, does not answer or does not take it.
    pub async fn push(&self, to: &OciRef, wasm: Bytes, contents: &Contents) -> Result<Pushed, SourceError> {
        oci::push(&self.http, &self.logins, to, wasm, contents).await
    }
}

/// What a source names.
#[derive(Debug)]
pub struct Found {
    /// The source, so that it names the same again as far as its kind allows: of a tag, what the tag points to.
    pub pinned: String,
    /// Its content's digest, where the source says that.
    pub digest: Option<Digest>,
    /// Its size in bytes, likewise.
    pub size: Option<u64>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Layer(Box<Layer>),
    Named(Source),
}

/// What comes from a source.
#[derive(Debug)]
pub struct Incoming {
    body: Paced,
    host: String,
    size: Option<u64>,
    got: u64,
    most: u64,
}

impl Incoming {
    /// How many bytes will come, where the server says that.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether what came is what the source named.
    ///
    /// # Errors
    /// When it has another digest.
    pub fn check(&self, wanted: Digest, all: &[u8]) -> Result<(), SourceError> {
        let got = Digest(Sha256::digest(all).into());
        if got == wanted { Ok(()) } else { Err(SourceError::WrongDigest { host: self.host.clone(), wanted, got }) }
    }

    /// The next bytes; `None` once all have come.
    ///
    /// # Errors
    /// When it is broken off, too slow, or other than was said.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let Some(bytes) = self.body.next(&self.host).await? else {
            return match self.size.filter(|size| *size != self.got) {
                Some(size) => Err(SourceError::Short { host: self.host.clone(), size, got: self.got }),
                None => Ok(None),
            };
        };
        self.got += bytes.len() as u64;
        if self.got > self.most {
            return Err(SourceError::TooLarge { size: None, most: self.most });
        }
        if let Some(size) = self.size.filter(|size| self.got > *size) {
            return Err(SourceError::Short { host: self.host.clone(), size, got: self.got });
        }
        Ok(Some(bytes))
    }
}
