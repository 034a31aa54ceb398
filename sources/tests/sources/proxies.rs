//! Proxies: what they are asked for, and what nobody is asked by them.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use haggle_sources::Proxies;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Caller;
use super::server::{Reply, Server};

/// A proxy that leads whatever it is asked for to one server, and answers whoever shows no login with 407.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

const LOGIN: &str = "ada:s3cret";

impl Proxy {
    async fn to(server: &Server) -> Self {
        let (listener, port) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.port);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, own) = (Arc::clone(&asked), listener.local_addr().unwrap().port());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, port, Arc::clone(&noted)));
            }
        });
        Self { port: own, asked, task }
    }

    /// The environment of somebody who has it for everything but what `except` names.
    fn environment(&self, login: &str, except: &str) -> Proxies {
        let (url, except) = (format!("http://{login}127.0.0.1:{}", self.port), except.to_owned());
        Proxies::of(move |name| match name {
            "HTTPS_PROXY" | "HTTP_PROXY" => Some(url.clone()),
            "NO_PROXY" => Some(except.clone()),
            _ => None,
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tunnel(mut stream: TcpStream, port: u16, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let wanted = head.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(' ')).map(|(wanted, _)| wanted);
    asked.lock().unwrap().push(wanted.unwrap_or("no tunnel").to_owned());
    let is_known = head.contains(&format!("Basic {}", STANDARD.encode(LOGIN)));
    let answer = if is_known { "200 Connection established" } else { "407 Proxy Authentication Required" };
    stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
    if is_known {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // Whoever hangs up first ends it.
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}

impl Caller {
    fn by(mut self, proxies: Proxies) -> Self {
        self.settings.proxies = proxies;
        self
    }
}

fn with_login() -> String {
    format!("{LOGIN}@")
}

#[tokio::test]
async fn a_name_that_only_the_proxy_can_find_is_reached_with_tls_from_end_to_end() {
    let server = Server::secure_as("files.invalid", |_| Reply::ok(b"a module")).await;
    let proxy = Proxy::to(&server).await;
    let certificate = server.certificate.clone().unwrap();
    let caller = Caller::of(&["files.invalid".into()]).by(proxy.environment(&with_login(), "other.invalid"));

    let stranger = caller.refused("https://files.invalid/app.wasm").await;
    let (content, _) = caller.believes(&certificate).fetch("https://files.invalid/app.wasm").await.unwrap();

    assert!(stranger.contains("invalid peer certificate"), "{stranger}");
    assert_eq!((content.as_slice(), proxy.asked()), (&b"a module"[..], vec!["files.invalid:443".to_owned(); 2]));
    // What the proxy is shown is for the proxy.
    assert_eq!(server.seen()[0].header("proxy-authorization"), None);
}

#[tokio::test]
async fn plain_text_goes_by_a_tunnel_to_an_address() {
    let server = Server::plain(|_| Reply::ok(b"a module")).await;
    let proxy = Proxy::to(&server).await;
    let caller = Caller::of(&["http://10.9.9.9:8080".into()]).by(proxy.environment(&with_login(), ""));

    let (content, _) = caller.fetch("http://10.9.9.9:8080/app.wasm").await.unwrap();

    assert_eq!((content.as_slice(), proxy.asked()), (&b"a module"[..], vec!["10.9.9.9:8080".to_owned()]));
    assert_eq!((server.seen()[0].path.as_str(), server.seen()[0].header("host")), ("/app.wasm", Some("10.9.9.9:8080")));
}

#[tokio::test]
async fn this_machine_and_whom_the_environment_excepts_are_asked_without_the_proxy() {
    let server = Server::plain(|_| Reply::ok(b"a module")).await;
    let proxy = Proxy::to(&server).await;
    let here = format!("127.0.0.1:{}", server.port);
    let caller = Caller::of(std::slice::from_ref(&here)).by(proxy.environment(&with_login(), ""));
    let excepted = Caller::of(&["no.invalid".into()]).by(proxy.environment(&with_login(), "no.invalid"));

    let (content, _) = caller.fetch(&format!("http://{here}/app.wasm")).await.unwrap();
    let not_found = excepted.refused("https://no.invalid/app.wasm").await;

    assert_eq!(content, b"a module");
    assert!(not_found.starts_with("cannot connect to no.invalid"), "{not_found}");
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_is_asked_for_nobody_whom_the_list_does_not_name() {
    let server = Server::secure_as("files.invalid", |asked| match asked.path.as_str() {
        "/metadata" => Reply::to("http://169.254.169.254/latest/meta-data/"),
        _ => Reply::to("https://inner.invalid/"),
    })
    .await;
    let proxy = Proxy::to(&server).await;
    let certificate = server.certificate.clone().unwrap();
    let caller = Caller::of(&["files.invalid".into()]).believes(&certificate);
    let caller = caller.by(proxy.environment(&with_login(), ""));

    let refused = [
        caller.refused("https://inner.invalid/").await,
        caller.refused("https://files.invalid/metadata").await,
        caller.refused("https://files.invalid/inner").await,
    ];

    assert!(refused.iter().all(|refused| refused.contains("allow it with --artifact-hosts")), "{refused:?}");
    assert_eq!(proxy.asked(), vec!["files.invalid:443".to_owned(); 2]);
}

#[tokio::test]
async fn what_a_proxy_answers_instead_is_told_without_the_login_for_it() {
    let server = Server::plain(|_| Reply::ok(b"a module")).await;
    let proxy = Proxy::to(&server).await;
    let url = "https://files.invalid/app.wasm";
    let refused = async |environment| Caller::of(&["files.invalid".into()]).by(environment).refused(url).await;

    let wrong = refused(proxy.environment("ada:wr0ng@", "")).await;
    let away =
        refused(Proxies::of(|name| (name == "HTTPS_PROXY").then(|| "http://ada:s3cret@127.0.0.1:1".into()))).await;
    let other = refused(Proxies::of(|name| (name == "HTTPS_PROXY").then(|| "socks5://ada:s3cret@p".into()))).await;

    let by = format!("the proxy 127.0.0.1:{} does not connect to files.invalid: it answered 407", proxy.port);
    assert!(wrong.starts_with(&by) && !wrong.contains("wr0ng"), "{wrong}");
    assert!(away.starts_with("the proxy 127.0.0.1:1 does not connect") && !away.contains("s3cret"), "{away}");
    assert!(other.starts_with("HTTPS_PROXY names no proxy") && !other.contains("s3cret"), "{other}");
}
