//! Manifests, as far as WebAssembly needs them: by the artifact format of the CNCF, and by those before it.

use haggle_core::Digest;
use serde::{Deserialize, Serialize};

/// Of a manifest, and what is taken for one: as OCI and as docker have it, and an index of several.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                                   application/vnd.docker.distribution.manifest.v2+json, \
                                   application/vnd.docker.distribution.manifest.list.v2+json";

/// What is pushed: the format of the CNCF, which wkg and wasmCloud read and write.
pub(super) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(super) const WASM: &str = "application/wasm";

/// A layer of one of these is a module or a component: the CNCF's, that of Spin and wasm-to-oci, and that of the Bytecode
/// Alliance's first tools.
const LAYERS: [&str; 3] = [
    WASM,
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];

/// What a tag points to: layers, or one of several of those.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) layers: Vec<Descriptor>,
    pub(super) manifests: Vec<Descriptor>,
}

/// Something of a registry, by its digest.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
}

/// What one of several is for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Platform {
    architecture: String,
}

impl Descriptor {
    pub(super) fn digest(&self) -> Result<Digest, String> {
        self.digest.parse().map_err(|_| format!("a manifest that names {:?}, which is no sha256 digest", self.digest))
    }
}

impl Manifest {
    /// Of an index, the one that is for WebAssembly, or the only one.
    pub(super) fn one_of_several(&self) -> Result<&Descriptor, String> {
        let is_wasm = |one: &&Descriptor| one.platform.as_ref().is_some_and(|platform| platform.architecture == "wasm");
        match (self.manifests.iter().find(is_wasm), self.manifests.as_slice()) {
            (Some(one), _) | (None, [one]) => Ok(one),
            (None, all) => {
                Err(format!("it is an index of {} images, and none is for the architecture wasm", all.len()))
            }
        }
    }

    /// The one layer that is a module or a component.
    pub(super) fn layer(&self) -> Result<&Descriptor, String> {
        let mut fitting = self.layers.iter().filter(|layer| LAYERS.contains(&layer.media_type.as_str()));
        match (fitting.next(), fitting.count()) {
            (Some(layer), 0) => Ok(layer),
            (Some(_), more) => Err(format!("it has {} layers of WebAssembly, and a task is one", more + 1)),
            (None, _) => {
                let types: Vec<_> = self.layers.iter().map(|layer| layer.media_type.as_str()).collect();
                let types = if types.is_empty() { "none".to_owned() } else { types.join(", ") };
                Err(format!("wanted is a layer of {}; its layers are {types}", LAYERS.join(" or ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        serde_json::from_str(text).unwrap()
    }

    fn layers(types: &[&str]) -> Manifest {
        let layer = |kind: &&str| format!(r#"{{"mediaType": "{kind}", "digest": "sha256:00", "size": 1}}"#);
        let layers: Vec<_> = types.iter().map(layer).collect();
        manifest(&format!(r#"{{"schemaVersion": 2, "config": {{}}, "layers": [{}]}}"#, layers.join(",")))
    }

    #[test]
    fn what_others_push_is_known() {
        for kind in LAYERS {
            let found = layers(&["application/vnd.oci.image.layer.v1.tar+gzip", kind]);

            assert_eq!(found.layer().unwrap().media_type, kind);
        }
    }

    #[test]
    fn what_is_no_task_is_told_with_what_it_is() {
        let image = layers(&["application/vnd.oci.image.layer.v1.tar+gzip"]).layer().unwrap_err();
        let several = layers(&[WASM, WASM]).layer().unwrap_err();
        let none = layers(&[]).layer().unwrap_err();

        assert!(image.ends_with("its layers are application/vnd.oci.image.layer.v1.tar+gzip"), "{image}");
        assert!(several.starts_with("it has 2 layers of WebAssembly"), "{several}");
        assert!(none.ends_with("its layers are none"), "{none}");
    }

    #[test]
    fn of_an_index_the_one_for_wasm_is_taken() {
        let one = |arch: &str, digest: &str| {
            format!(
                r#"{{"mediaType": "{MANIFEST}", "digest": "{digest}", "size": 1, "platform": {{"architecture": "{arch}", "os": "x"}}}}"#
            )
        };
        let index = |all: &[String]| manifest(&format!(r#"{{"manifests": [{}]}}"#, all.join(",")));

        assert_eq!(index(&[one("amd64", "a"), one("wasm", "b")]).one_of_several().unwrap().digest, "b");
        assert_eq!(index(&[one("amd64", "a")]).one_of_several().unwrap().digest, "a");
        assert!(index(&[one("amd64", "a"), one("arm64", "b")]).one_of_several().is_err());
    }
}
