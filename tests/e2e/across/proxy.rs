//! A plain local port behind which every request goes to the master as one user.

use std::fs;
use std::path::PathBuf;

use haggle_kit::{Daemon, Ran, until, wasm};
use haggle_sdk::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::several::{OneOfSeveral, one_of};
use super::{Machine, Master, mode};
use crate::etcd::Etcd;

/// A running `haggle proxy`.
struct Proxy {
    daemon: Daemon,
    url: String,
}

impl Proxy {
    /// On this machine, as the user that its context or flags say.
    async fn start(machine: &Machine, flags: &[&str]) -> Self {
        let mut daemon = machine.spawn("proxy", &[&["proxy"], flags].concat());
        let url = until("the proxy says where it listens", async || {
            assert!(daemon.is_running(), "{}", daemon.log());
            let log = daemon.log();
            let first = log.lines().find(|line| line.contains("carries your requests"))?;
            log.contains("Ctrl-C").then(|| first.split(' ').next().unwrap().to_owned())
        })
        .await;
        Self { daemon, url }
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    fn haggle(&self, machine: &Machine, args: &[&str]) -> Ran {
        machine.haggle(&[&["--master", &self.url], args].concat())
    }

    /// The header that `curl -H @FILE` would send.
    fn header(&self, machine: &Machine) -> String {
        fs::read_to_string(&self.files(machine)[1]).unwrap().trim().to_owned()
    }

    /// Where its token is, and the header with it.
    fn files(&self, machine: &Machine) -> [PathBuf; 2] {
        let (tokens, listening) = (machine.home().owner_tokens(), self.address().parse().unwrap());
        [tokens.file(listening), tokens.header_file(listening)]
    }

    /// Asks in HTTP/1.1, and answers all of the answer.
    async fn get(&self, headers: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let host = format!("host: {}", self.address());
        let own = if headers.iter().any(|header| header.starts_with("host:")) { "" } else { &host };
        let lines: Vec<_> =
            [own].iter().chain(headers).filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
        let request = format!("GET /any HTTP/1.1\r\nconnection: close\r\n{}\r\n", lines.concat());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// A laptop that is logged in to a master elsewhere.
async fn laptop_of(master: &Master) -> Machine {
    let laptop = Machine::new();
    let token = laptop.keep(&master.token(&["--kind", "operator", "--name", "me"]));
    laptop.haggle(&["login", &token, "--name", "work"]).well();
    laptop
}

#[tokio::test]
async fn a_plain_port_carries_the_commands_of_its_user_and_nobody_elses() {
    let master = Master::secure().await;
    let (other, laptop) = (Machine::new(), laptop_of(&master).await);
    let _agent = other.agent("a", &["--join", &other.keep(&master.token(&["--kind", "agent"]))]);
    master.has_agents(1).await;

    let proxy = Proxy::start(&laptop, &[]).await;

    assert!(proxy.haggle(&laptop, &["whoami"]).well().contains("me (operator)"));
    let run = proxy.haggle(&laptop, &["run", &wasm("hello").display().to_string()]);
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    let stranger = Machine::new();
    proxy.haggle(&stranger, &["whoami"]).refused(&["this port carries whoever shows its token"]);
    // A token of the cluster's is none of the port's.
    let token = stranger.keep(&master.token(&["--kind", "operator"]));
    let shown = fs::read_to_string(stranger.path("token")).unwrap();
    assert!(
        token.starts_with('@')
            && proxy.get(&[&format!("authorization: Bearer {}", shown.trim())]).await.starts_with("HTTP/1.1 401")
    );
}

#[tokio::test]
async fn curl_and_a_browser_are_answered_by_the_master_when_they_show_the_ports_token() {
    let master = Master::secure().await;
    let laptop = laptop_of(&master).await;
    let proxy = Proxy::start(&laptop, &["--context", "work"]).await;
    let shown = proxy.header(&laptop);

    let answer = proxy.get(&[&shown]).await;
    // What the master says to a path that it does not know.
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("grpc-status: 12"), "{answer}");
    let nobody = proxy.get(&[]).await;
    assert!(
        nobody.starts_with("HTTP/1.1 401") && nobody.to_lowercase().contains("www-authenticate: basic"),
        "{nobody}"
    );
    let page = proxy.get(&[&shown, "sec-fetch-site: cross-site"]).await;
    assert!(page.starts_with("HTTP/1.1 403"), "{page}");
    let rebound = proxy.get(&[&shown, "host: evil.example"]).await;
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
}

#[tokio::test]
async fn the_token_of_the_port_is_its_users_alone_is_told_in_no_log_and_ends_with_it() {
    let master = Master::secure().await;
    let laptop = laptop_of(&master).await;
    let mut proxy = Proxy::start(&laptop, &["--log-level", "trace"]).await;
    proxy.haggle(&laptop, &["ps"]).well();
    let files = proxy.files(&laptop);
    let header = proxy.header(&laptop);
    let secret = header.rsplit('.').next().unwrap();

    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    let log = proxy.daemon.log();
    assert!(!log.contains(secret) && !log.contains("hgl1."), "{log}");

    proxy.daemon.terminate();
    assert!(proxy.daemon.exited().await.success());
    assert!(files.iter().all(|file| !file.exists()));
}

#[tokio::test]
async fn large_artifacts_and_endless_streams_pass_through() {
    let master = Master::secure().await;
    let laptop = laptop_of(&master).await;
    let proxy = Proxy::start(&laptop, &[]).await;
    let through =
        Client::builder().master(&proxy.url).owner_tokens(laptop.home().owner_tokens()).connect().await.unwrap();
    let large: Vec<u8> = (0..24_u32 << 20).map(|at| (at ^ (at >> 11)) as u8).collect();

    let watching = laptop.spawn("watch", &["--master", &proxy.url, "watch"]);
    let digest = through.upload_bytes(large.clone()).await.unwrap();
    let path = laptop.path("back");
    through.download(digest, &path).await.unwrap();

    assert!(fs::read(&path).unwrap() == large);
    let other = Machine::new();
    let join = other.keep(&master.token(&["--kind", "agent", "--uses", "100"]));
    until("the watch hears of an agent", async || {
        let mut agent = other.agent("a", &["--join", &join]);
        master.has_agents(1).await;
        agent.kill();
        master.has_agents(0).await;
        watching.log().contains("is up").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_proxy_outlives_its_master_and_serves_the_next_one() {
    let mut master = Master::secure().await;
    let laptop = laptop_of(&master).await;
    let proxy = Proxy::start(&laptop, &[]).await;
    proxy.haggle(&laptop, &["ps"]).well();

    master.daemon.kill();
    let away = proxy.get(&[&proxy.header(&laptop)]).await;
    assert!(away.starts_with("HTTP/1.1 502") && away.contains(&master.address), "{away}");
    master.restart().await;

    proxy.haggle(&laptop, &["ps"]).well();
}

#[tokio::test]
async fn a_proxy_stands_through_a_change_of_the_leader_and_what_goes_through_it_goes_on() {
    let etcd = Etcd::start(1);
    let mut first = one_of(&etcd, "127.0.0.2", &[]).await;
    let mut second = one_of(&etcd, "127.0.0.3", &["--ca-key-file", &first.seal()]).await;
    let (other, laptop) = (Machine::new(), laptop_of(&first).await);
    let _agent = other.agent("a", &["--join", &other.keep(&first.token(&["--kind", "agent"]))]);
    first.has_agents(1).await;
    let mut proxy = Proxy::start(&laptop, &[]).await;
    let through =
        Client::builder().master(&proxy.url).owner_tokens(laptop.home().owner_tokens()).connect().await.unwrap();
    let hello = wasm("hello").display().to_string();
    assert_eq!(proxy.haggle(&laptop, &["run", &hello]).stdout, "hello, world\n");
    let task =
        laptop.spawn("task", &["--master", &proxy.url, "run", &wasm("sleeper").display().to_string(), "--", "8"]);
    until("its task runs", async || {
        second.haggle(&["ps", "--json"]).json().iter().any(|task| task["state"] == "RUNNING").then_some(())
    })
    .await;

    first.daemon.kill();

    until("the second leads", async || second.leads().then_some(())).await;
    let run = proxy.haggle(&laptop, &["run", &hello]);
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    assert_eq!(through.whoami().await.unwrap().name, "me", "a connection that was there goes on");
    let answer = proxy.get(&[&proxy.header(&laptop)]).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("grpc-status: 12"), "{answer}");
    let mut task = task;
    assert!(task.exited().await.success(), "a session that went through it: {}", task.log());

    // And back, with large ones.
    first.restart().await;
    second.daemon.kill();
    until("the first leads again", async || first.leads().then_some(())).await;
    let large: Vec<u8> = (0..8_u32 << 20).map(|at| (at ^ (at >> 11)) as u8).collect();
    let digest = through.upload_bytes(large.clone()).await.unwrap();
    let path = laptop.path("back");
    through.download(digest, &path).await.unwrap();
    assert!(fs::read(&path).unwrap() == large);
    assert!(proxy.daemon.is_running(), "{}", proxy.daemon.log());
    second.restart().await;
}

#[tokio::test]
async fn a_proxy_listens_on_loopback_alone_and_not_for_who_is_not_let_in() {
    let master = Master::secure().await;
    let laptop = laptop_of(&master).await;

    let abroad = laptop.haggle(&["proxy", "--listen", "0.0.0.0:0"]);
    assert_eq!(abroad.code, Some(2));
    assert!(abroad.stderr.contains("speaks plain text, and so listens on loopback alone"), "{abroad:?}");
    master.haggle(&["token", "revoke", &master.id_of("me")]).well();
    laptop.haggle(&["proxy"]).refused(&["was revoked"]);
}
