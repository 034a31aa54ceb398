//! From a reference to the one layer that is a module.

use haggle_core::Digest;
use http::HeaderValue;
use http::header::ACCEPT;
use sha2::{Digest as _, Sha256};

use super::manifest::{ACCEPTED, Manifest};
use super::registry::{HINT, Registry};
use crate::client::{Ask, Http};
use crate::error::SourceError;
use crate::logins::Logins;
use crate::pace::Paced;
use crate::source::{OciRef, Reference};

/// As the distribution specification has it.
const MANIFEST_MAX: usize = 4 << 20;

/// One layer of an artifact.
#[derive(Debug)]
pub(crate) struct Layer {
    registry: Registry,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Finds the layer, and says how to ask for the same again: by the digest of the manifest.
pub(crate) async fn find(http: &Http, logins: &Logins, of: &OciRef) -> Result<(Layer, String), SourceError> {
    let mut registry = Registry::new(http, logins, of, "pull")?;
    let wanted = match &of.reference {
        Reference::Tag(tag) => tag.clone(),
        Reference::Digest(digest) => digest.to_string(),
    };
    let no_module = |why: String| SourceError::NoModule { what: of.to_string(), why };
    let garbled = |what: String| SourceError::Garbled { host: of.registry.clone(), what };
    let (pinned, mut manifest) = fetch(http, &mut registry, of, &wanted).await?;
    if !manifest.manifests.is_empty() {
        let one = manifest.one_of_several().map_err(no_module)?.digest().map_err(garbled)?;
        (_, manifest) = fetch(http, &mut registry, of, &one.to_string()).await?;
    }
    let layer = manifest.layer().map_err(no_module)?;
    let (digest, size) = (layer.digest().map_err(garbled)?, layer.size);
    let pinned = OciRef { reference: Reference::Digest(pinned), ..of.clone() };
    Ok((Layer { registry, digest, size }, pinned.to_string()))
}

/// A manifest and its digest, which is checked where it was asked for.
async fn fetch(
    http: &Http,
    registry: &mut Registry,
    of: &OciRef,
    wanted: &str,
) -> Result<(Digest, Manifest), SourceError> {
    let ask = Ask::get(registry.url(&format!("manifests/{wanted}"))).with(ACCEPT, HeaderValue::from_static(ACCEPTED));
    let what = format!("{}:{wanted}", of.repository).replace(":sha256:", "@sha256:");
    let answer = registry.ask(http, ask).await?.content(&what, HINT).await?;
    let host = answer.host.clone();
    let said = answer.body.all(&host, MANIFEST_MAX).await?;
    let got = Digest(Sha256::digest(&said).into());
    if let Some(wanted) = wanted.parse().ok().filter(|wanted| *wanted != got) {
        return Err(SourceError::WrongDigest { host, wanted, got });
    }
    let manifest = serde_json::from_slice(&said)
        .map_err(|error| SourceError::Garbled { host, what: format!("a manifest that is none: {error}") })?;
    Ok((got, manifest))
}

impl Layer {
    pub(crate) async fn open(mut self, http: &Http) -> Result<(Paced, String), SourceError> {
        let what = format!("blob {}", self.digest);
        let ask = Ask::get(self.registry.url(&format!("blobs/{}", self.digest)));
        let answer = self.registry.ask(http, ask).await?.content(&what, HINT).await?;
        Ok((answer.body, answer.host))
    }
}
