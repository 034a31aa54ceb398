//! Web servers.

use super::server::{Reply, Server};
use super::{Caller, here};

#[tokio::test]
async fn a_file_comes_whole_over_tls_from_a_server_that_is_believed() {
    let server = Server::secure(|_| Reply::ok(b"a module")).await;
    let host = format!("localhost:{}", server.port);
    let url = format!("https://{host}/app.wasm");
    let certificate = server.certificate.clone().unwrap();

    let (content, pinned) = Caller::of(std::slice::from_ref(&host)).believes(&certificate).fetch(&url).await.unwrap();
    let stranger = Caller::of(&[host]).refused(&url).await;

    assert_eq!((content.as_slice(), pinned.as_str()), (&b"a module"[..], url.as_str()));
    assert!(stranger.contains("invalid peer certificate"), "{stranger}");
}

#[tokio::test]
async fn nobody_is_asked_whom_the_list_does_not_name() {
    let server = Server::plain(|_| Reply::ok(b"secret")).await;
    let url = format!("http://127.0.0.1:{}/", server.port);

    let refused = Caller::of(&["registry.example".into()]).refused(&url).await;

    assert!(refused.contains("allow it with --artifact-hosts 127.0.0.1:"), "{refused}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_leads_to_nobody_else_and_takes_no_login_along() {
    let elsewhere = Server::plain(|_| Reply::ok(b"moved")).await;
    let place = format!("http://localhost:{}/there", elsewhere.port);
    let server = Server::plain(move |_| Reply::to(&place)).await;
    let url = format!("http://127.0.0.1:{}/here", server.port);
    let netrc = "machine 127.0.0.1 login ada password s3cret";
    let alone = Caller::of(&[here(server.port)]).keeps(".netrc", netrc);
    let both = Caller::of(&[here(server.port), format!("localhost:{}", elsewhere.port)]).keeps(".netrc", netrc);

    let refused = alone.refused(&url).await;
    assert!(elsewhere.seen().is_empty());
    let (content, _) = both.fetch(&url).await.unwrap();

    assert!(refused.contains(&format!("and 127.0.0.1:{} names it", server.port)), "{refused}");
    assert_eq!(content, b"moved");
    assert!(server.seen()[0].header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!(elsewhere.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_redirect_to_a_file_or_round_in_a_circle_ends() {
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/file" => Reply::to("file:///etc/passwd"),
        _ => Reply::to("/again"),
    })
    .await;
    let caller = Caller::of(&[here(server.port)]);
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", server.port);

    let (file, circle) = (caller.refused(&url("file")).await, caller.refused(&url("again")).await);

    assert!(file.starts_with("file:///etc/passwd is not among"), "{file}");
    assert!(circle.contains("redirect more than 5 times"), "{circle}");
}

#[tokio::test]
async fn what_is_too_large_is_left_whether_it_says_so_or_not() {
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/honest" => Reply::ok(&[0; 2_000]),
        _ => Reply::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &[0; 200_000]),
    })
    .await;
    let caller = Caller::of(&[here(server.port)]);
    let refusal = async |path: &str| {
        let url = format!("http://127.0.0.1:{}/{path}", server.port);
        caller.fetch_at_most(&url, 1_000).await.unwrap_err().to_string()
    };

    assert!(refusal("honest").await.contains("it has 1.9 KiB"), "{}", refusal("honest").await);
    assert!(refusal("silent").await.starts_with("it is larger than the 1000 B"), "{}", refusal("silent").await);
}

#[tokio::test]
async fn whoever_trickles_or_breaks_off_is_left() {
    let long = |head: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {head}\r\n\r\n");
    let server = Server::plain(move |asked| match asked.path.as_str() {
        "/trickle" => Reply::raw(&long("1000"), b"a few bytes").and_then_nothing(),
        "/silent" => Reply::raw("", b"").and_then_nothing(),
        _ => Reply::raw(&long("1000"), b"a few bytes"),
    })
    .await;
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", server.port);
    let mut caller = Caller::of(&[here(server.port)]).in_a_hurry();
    caller.settings.pace.answer = caller.settings.pace.grace;

    let (trickle, short) = (caller.refused(&url("trickle")).await, caller.refused(&url("short")).await);
    let silent = caller.refused(&url("silent")).await;

    assert!(trickle.contains("is too slow: 11 bytes came"), "{trickle}");
    assert!(short.contains("broke off"), "{short}");
    assert!(silent.contains("an answer is wanted within 0.2 s"), "{silent}");
}

#[tokio::test]
async fn what_a_server_says_instead_is_told_on_one_line() {
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/gone" => Reply::with("404 Not Found", &[], b""),
        "/mine" => Reply::with("403 Forbidden", &[], b""),
        _ => Reply::with("500 Internal Server Error", &[], b"out of\n\x1b[31mmemory\n"),
    })
    .await;
    let caller = Caller::of(&[here(server.port)]);
    let refused = async |path: &str| caller.refused(&format!("http://127.0.0.1:{}/{path}", server.port)).await;

    assert!(refused("gone").await.ends_with("has no /gone"), "{}", refused("gone").await);
    assert!(refused("mine").await.contains("does not let us in (403): ~/.netrc"), "{}", refused("mine").await);
    assert!(refused("oops").await.ends_with("answered 500 for /oops: out of [31mmemory"), "{}", refused("oops").await);
}
