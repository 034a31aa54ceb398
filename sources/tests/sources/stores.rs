//! Object stores: whether what is asked is signed as S3 wants it.

use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};

use super::server::{Asked, Reply, Server};
use super::{Caller, here};

const SECRET: &str = "s3cret/key+";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let (_, query) = asked.path.split_once('?')?;
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(of, _)| *of == name)).map(|(_, value)| value)
}

/// Whether it is signed with the secret, by AWS's description of signature version 4 for queries.
fn is_signed(asked: &Asked) -> bool {
    let Some(signature) = parameter(asked, "X-Amz-Signature") else { return false };
    let (path, query) = asked.path.split_once('?').unwrap();
    let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
    pairs.sort_unstable();
    let canonical =
        format!("GET\n{path}\n{}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD", pairs.join("&"), asked.header("host").unwrap());
    let credential = parameter(asked, "X-Amz-Credential").unwrap().replace("%2F", "/");
    let scope: Vec<_> = credential.split('/').skip(1).collect();
    let hashed = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let date = parameter(asked, "X-Amz-Date").unwrap();
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hashed}", scope.join("/"));
    let keyed = |key: &[u8], text: &str| sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec();
    let key = scope.iter().fold(format!("AWS4{SECRET}").into_bytes(), |key, part| keyed(&key, part));
    hex(&keyed(&key, &text)) == signature
}

#[tokio::test]
async fn an_object_is_asked_for_with_the_key_of_the_profile() {
    let server = Server::plain(|asked| {
        let is_there =
            asked.path.starts_with("/models/jobs/a%20b.wasm") || asked.path.starts_with("/models/jobs/app.wasm");
        if is_there && is_signed(asked) { Reply::ok(b"a module") } else { Reply::with("403 Forbidden", &[], b"") }
    })
    .await;
    let config = format!("[default]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:{}\n", server.port);
    let caller = |secret: &str| {
        let key = format!("[default]\naws_access_key_id = AKIA\naws_secret_access_key = {secret}\n");
        Caller::of(&[here(server.port)]).keeps(".aws/config", &config).keeps(".aws/credentials", &key)
    };

    let (content, pinned) = caller(SECRET).fetch("s3://models/jobs/app.wasm").await.unwrap();
    let refused = caller("another").refused("s3://models/jobs/app.wasm").await;

    assert_eq!((content.as_slice(), pinned.as_str()), (&b"a module"[..], "s3://models/jobs/app.wasm"));
    assert!(refused.contains("does not let us in (403): AWS_ACCESS_KEY_ID"), "{refused}");
    assert!(!refused.contains("another") && !refused.contains("Signature"), "{refused}");
    assert!(parameter(&server.seen()[0], "X-Amz-Credential").unwrap().contains("eu-west-1"));
}

#[tokio::test]
async fn without_a_key_what_everybody_may_read_is_read() {
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/open/app.wasm" => Reply::ok(b"a module"),
        _ => Reply::to("http://169.254.169.254/latest/meta-data/"),
    })
    .await;
    let config = format!("[default]\nendpoint_url = http://127.0.0.1:{}\n", server.port);
    let caller = Caller::of(&[here(server.port), "169.254.169.254".into()]).keeps(".aws/config", &config);

    assert_eq!(caller.fetch("s3://open/app.wasm").await.unwrap().0, b"a module");
    let led_on = caller.refused("s3://open/other.wasm").await;
    assert!(led_on.contains("answered 302"), "{led_on}");
}
