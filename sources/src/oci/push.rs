//! From a module to a tag of a registry.

use bytes::Bytes;
use haggle_core::Digest;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::manifest::{CONFIG, Descriptor, MANIFEST, WASM};
use super::registry::{HINT, Registry};
use crate::client::{Ask, Http};
use crate::error::SourceError;
use crate::logins::Logins;
use crate::source::{OciRef, Reference};

/// What an artifact says of itself: by it others know what it needs without fetching it.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Whether it is a component (WASI 0.2) and no core module (WASI 0.1).
    pub is_component: bool,
    /// Of a component, what it imports.
    pub imports: Vec<String>,
    /// Of a component, what it exports.
    pub exports: Vec<String>,
}

/// What is in the registry afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The reference by the digest of the manifest: it never names anything else.
    pub pinned: String,
    /// The module's own digest.
    pub digest: Digest,
}

/// The configuration of an artifact, as the CNCF has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component<'a>>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: [Descriptor; 1],
}

/// Nothing of the time, so that the same module is the same artifact, whoever pushes it when.
const CREATED: &str = "1970-01-01T00:00:00Z";

pub(crate) async fn push(
    http: &Http,
    logins: &Logins,
    to: &OciRef,
    wasm: Bytes,
    contents: &Contents,
) -> Result<Pushed, SourceError> {
    let Reference::Tag(tag) = &to.reference else {
        return Err(SourceError::NoTarget(format!(
            "{to} names a digest; a tag is wanted, like oci://registry/name:1.0"
        )));
    };
    let mut registry = Registry::new(http, logins, to, "pull,push")?;
    let layer = descriptor(WASM, &wasm);
    let digest = layer.digest().expect("it is one of ours");
    let config = serde_json::to_vec(&Config {
        created: CREATED,
        architecture: "wasm",
        os: if contents.is_component { "wasip2" } else { "wasip1" },
        layer_digests: [layer.digest.clone()],
        component: contents
            .is_component
            .then_some(Component { exports: &contents.exports, imports: &contents.imports }),
    });
    let config = Bytes::from(config.expect("strings become JSON"));
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        config: descriptor(CONFIG, &config),
        layers: [layer.clone()],
    };
    let (of_config, manifest) = (manifest.config.digest.clone(), serde_json::to_vec(&manifest));
    let manifest = Bytes::from(manifest.expect("strings become JSON"));

    blob(http, &mut registry, &layer.digest, wasm).await?;
    blob(http, &mut registry, &of_config, config).await?;
    let pinned = Digest(Sha256::digest(&manifest).into());
    let url = registry.url(&format!("manifests/{tag}"));
    let ask = Ask { body: manifest, ..upload(Method::PUT, url) }
        .with(CONTENT_TYPE, HeaderValue::from_static(MANIFEST))
        .with(ACCEPT, HeaderValue::from_static("*/*"));
    registry.ask(http, ask).await?.content(&format!("the manifest of {to}"), HINT).await?;
    let pinned = OciRef { reference: Reference::Digest(pinned), ..to.clone() };
    Ok(Pushed { pinned: pinned.to_string(), digest })
}

/// Uploads something, unless it is there.
async fn blob(http: &Http, registry: &mut Registry, digest: &str, content: Bytes) -> Result<(), SourceError> {
    let there = upload(Method::HEAD, registry.url(&format!("blobs/{digest}")));
    if registry.ask(http, there).await?.status == StatusCode::OK {
        return Ok(());
    }
    let what = format!("an upload of {digest}");
    let begin = upload(Method::POST, registry.url("blobs/uploads/"));
    let begun = registry.ask(http, begin.clone()).await?.content(&what, HINT).await?;
    let garbled = || SourceError::Garbled { host: begun.host.clone(), what: "no place for an upload".to_owned() };
    let place = begun.headers.get(LOCATION).and_then(|place| place.to_str().ok());
    let mut place = place.and_then(|place| begin.url.join(place).ok()).ok_or_else(garbled)?;
    place.query_pairs_mut().append_pair("digest", digest);
    let ask = Ask { body: content, ..upload(Method::PUT, place) }
        .with(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    registry.ask(http, ask).await?.content(&what, HINT).await?;
    Ok(())
}

fn upload(method: Method, url: Url) -> Ask {
    Ask { method, ..Ask::get(url) }
}

fn descriptor(media_type: &str, content: &[u8]) -> Descriptor {
    let digest = Digest(Sha256::digest(content).into()).to_string();
    Descriptor { media_type: media_type.to_owned(), digest, size: content.len() as u64, platform: None }
}
