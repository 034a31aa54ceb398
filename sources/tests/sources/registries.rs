//! OCI registries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ring::digest::{SHA256, digest};

use super::server::{Asked, Reply, Server};
use super::{Caller, here};

fn name_of(content: &[u8]) -> String {
    let hashed = digest(&SHA256, content);
    format!("sha256:{}", hashed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn manifest(kind: &str, layer: &[u8]) -> String {
    let (name, size) = (name_of(layer), layer.len());
    format!(
        r#"{{"schemaVersion": 2, "config": {{}}, "layers": [{{"mediaType": "{kind}", "digest": "{name}", "size": {size}}}]}}"#
    )
}

/// What is at which path.
type Content = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A registry that has one module under a tag.
fn with(tag: &str, module: &[u8]) -> Content {
    let content = Content::default();
    put(&content, tag, module);
    content
}

fn put(content: &Content, tag: &str, module: &[u8]) -> String {
    let manifest = manifest("application/wasm", module);
    let pinned = name_of(manifest.as_bytes());
    let mut content = content.lock().unwrap();
    content.insert(format!("/v2/team/app/blobs/{}", name_of(module)), module.to_vec());
    for name in [tag, &pinned] {
        content.insert(format!("/v2/team/app/manifests/{name}"), manifest.clone().into_bytes());
    }
    pinned
}

fn answer(content: &Content, asked: &Asked) -> Reply {
    match content.lock().unwrap().get(&asked.path) {
        Some(found) => Reply::ok(found),
        None => Reply::with("404 Not Found", &[], b""),
    }
}

async fn registry(content: &Content) -> Server {
    let content = Arc::clone(content);
    Server::plain(move |asked| answer(&content, asked)).await
}

#[tokio::test]
async fn a_tag_is_pinned_to_what_it_points_to_and_the_pin_stays_when_the_tag_moves() {
    let content = with("v1", b"\0asm first");
    let server = registry(&content).await;
    let source = format!("oci://127.0.0.1:{}/team/app", server.port);
    let caller = Caller::of(&[here(server.port)]);

    let (first, pinned) = caller.fetch(&format!("{source}:v1")).await.unwrap();
    put(&content, "v1", b"\0asm second");
    let (second, _) = caller.fetch(&format!("{source}:v1")).await.unwrap();
    let (again, same) = caller.fetch(&pinned).await.unwrap();

    assert!(pinned.starts_with(&format!("{source}@sha256:")), "{pinned}");
    assert_eq!(
        (first.as_slice(), second.as_slice(), again.as_slice()),
        (&b"\0asm first"[..], &b"\0asm second"[..], &b"\0asm first"[..])
    );
    assert_eq!(pinned, same);
}

#[tokio::test]
async fn what_has_another_digest_than_it_should_is_not_used() {
    let content = with("v1", b"\0asm first");
    let server = registry(&content).await;
    let caller = Caller::of(&[here(server.port)]);
    let source = format!("oci://127.0.0.1:{}/team/app", server.port);
    let wrong = format!("sha256:{}", "ab".repeat(32));
    content.lock().unwrap().insert(format!("/v2/team/app/manifests/{wrong}"), b"{}".to_vec());
    let of_manifest = caller.refused(&format!("{source}@{wrong}")).await;

    let blob = format!("/v2/team/app/blobs/{}", name_of(b"\0asm first"));
    content.lock().unwrap().insert(blob, b"\0asm FIRST".to_vec());
    let of_blob = caller.refused(&format!("{source}:v1")).await;

    for refused in [of_manifest, of_blob] {
        assert!(refused.ends_with("; it is not used"), "{refused}");
    }
}

#[tokio::test]
async fn a_blob_that_is_larger_than_its_manifest_says_is_left() {
    let content = with("v1", b"\0asm first");
    let server = registry(&content).await;
    let blob = format!("/v2/team/app/blobs/{}", name_of(b"\0asm first"));
    content.lock().unwrap().insert(blob, vec![0; 100_000]);
    let caller = Caller::of(&[here(server.port)]);

    let refused = caller.refused(&format!("oci://127.0.0.1:{}/team/app:v1", server.port)).await;

    assert!(refused.contains("announced 10 bytes and sent"), "{refused}");
}

#[tokio::test]
async fn an_image_that_is_no_module_is_told_with_what_it_is() {
    let content = Content::default();
    let image = manifest("application/vnd.oci.image.layer.v1.tar+gzip", b"tar");
    content.lock().unwrap().insert("/v2/team/app/manifests/v1".into(), image.into_bytes());
    let server = registry(&content).await;
    let caller = Caller::of(&[here(server.port)]);
    let source = |tag: &str| format!("oci://127.0.0.1:{}/team/app:{tag}", server.port);

    let (image, missing) = (caller.refused(&source("v1")).await, caller.refused(&source("v2")).await);

    assert!(image.contains("is no WebAssembly artifact: wanted is a layer of application/wasm"), "{image}");
    assert!(missing.ends_with("has no team/app:v2"), "{missing}");
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_login_and_shown_to_the_registry_alone() {
    let content = with("v1", b"\0asm first");
    let tokens = Server::plain(|asked| match asked.header("authorization") {
        // ada:s3cret
        Some("Basic YWRhOnMzY3JldA==") => Reply::ok(br#"{"token": "a-token"}"#),
        _ => Reply::with("401 Unauthorized", &[], b""),
    })
    .await;
    let realm = format!("http://localhost:{}/token", tokens.port);
    let server = Server::plain(move |asked| match asked.header("authorization") {
        Some("Bearer a-token") => answer(&content, asked),
        _ => {
            let wanted = format!(r#"Bearer realm="{realm}",service="here""#);
            Reply::with("401 Unauthorized", &[("www-authenticate", &wanted)], b"")
        }
    })
    .await;
    let config = format!(r#"{{"auths": {{"127.0.0.1:{}": {{"auth": "YWRhOnMzY3JldA=="}}}}}}"#, server.port);
    let source = format!("oci://127.0.0.1:{}/team/app:v1", server.port);
    let both = [here(server.port), format!("localhost:{}", tokens.port)];

    let (content, _) = Caller::of(&both).keeps(".docker/config.json", &config).fetch(&source).await.unwrap();
    let asked = tokens.seen();
    let nobody = Caller::of(&both).refused(&source).await;
    let alone = Caller::of(&both[..1]).keeps(".docker/config.json", &config).refused(&source).await;

    assert_eq!(content, b"\0asm first");
    assert_eq!(asked[0].path, "/token?service=here&scope=repository%3Ateam%2Fapp%3Apull");
    assert!(nobody.contains("does not let us in (401): ~/.docker/config.json"), "{nobody}");
    assert!(alone.contains(&format!("and 127.0.0.1:{} names it", server.port)), "{alone}");
    assert_eq!(tokens.seen().len(), asked.len() + 1, "who is not allowed is not asked");
}

#[tokio::test]
async fn an_identity_token_goes_to_the_service_of_tokens_in_the_body_and_to_nobody_it_leads_to() {
    let content = with("v1", b"\0asm first");
    let elsewhere = Server::plain(|_| Reply::ok(br#"{"access_token": "a-token"}"#)).await;
    let place = format!("http://localhost:{}/token", elsewhere.port);
    let tokens = Server::plain(move |asked| match asked.path.as_str() {
        "/token" if asked.body.contains("refresh_token=a-refresh%2Ftoken") => {
            Reply::ok(br#"{"access_token": "a-token", "refresh_token": "another"}"#)
        }
        "/moved" => Reply::with("307 Temporary Redirect", &[("location", &place)], b""),
        _ => Reply::with("401 Unauthorized", &[], b""),
    })
    .await;
    let registry = async |path: &'static str| {
        let (content, realm) = (Arc::clone(&content), format!("http://localhost:{}{path}", tokens.port));
        Server::plain(move |asked| match asked.header("authorization") {
            Some("Bearer a-token") => answer(&content, asked),
            _ => {
                let wanted = format!(r#"Bearer realm="{realm}",service="here""#);
                Reply::with("401 Unauthorized", &[("www-authenticate", &wanted)], b"")
            }
        })
        .await
    };
    let (server, moved) = (registry("/token").await, registry("/moved").await);
    let caller = |of: &Server| {
        let config = format!(r#"{{"auths": {{"127.0.0.1:{}": {{"identitytoken": "a-refresh/token"}}}}}}"#, of.port);
        let hosts = [here(of.port), format!("localhost:{}", tokens.port), format!("localhost:{}", elsewhere.port)];
        Caller::of(&hosts).keeps(".docker/config.json", &config)
    };

    let (content, _) = caller(&server).fetch(&format!("oci://127.0.0.1:{}/team/app:v1", server.port)).await.unwrap();
    let refused = caller(&moved).refused(&format!("oci://127.0.0.1:{}/team/app:v1", moved.port)).await;

    assert_eq!(content, b"\0asm first");
    let asked = &tokens.seen()[0];
    assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/token", None));
    assert_eq!(
        asked.body,
        "grant_type=refresh_token&refresh_token=a-refresh%2Ftoken&client_id=haggle&scope=repository%3Ateam%2Fapp%3Apull\
         &service=here"
    );
    assert!(server.seen().iter().all(|asked| !asked.body.contains("refresh")));
    assert!(refused.contains("answered 307") && !refused.contains("refresh"), "{refused}");
    assert!(elsewhere.seen().is_empty());
}
