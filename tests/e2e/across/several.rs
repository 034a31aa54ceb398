//! Several masters that others can reach, with their authority in etcd.

use std::fs;
use std::net::TcpListener;

use haggle_kit::{Daemon, PATIENCE, until, wasm};
use haggle_sdk::Client;
use haggle_tls::Token;

use super::{Machine, Master, mode};
use crate::etcd::Etcd;

/// A master of several, on a machine of its own.
pub(super) async fn one_of(etcd: &Etcd, host: &str, more: &[&str]) -> Master {
    let urls = etcd.urls().join(",");
    Master::start(host, &[&["--tls", "--etcd", &urls], more].concat()).await
}

/// One that does not come up.
fn refused(etcd: &Etcd, machine: &Machine, more: &[&str]) -> Daemon {
    let port = TcpListener::bind("127.0.0.4:0").unwrap().local_addr().unwrap().port();
    let (listen, urls) = (format!("127.0.0.4:{port}"), etcd.urls().join(","));
    machine.spawn("refused", &[&["master", "--listen", &listen, "--tls", "--etcd", &urls], more].concat())
}

pub(super) trait OneOfSeveral {
    /// Where the key is that seals the authority.
    fn seal(&self) -> String;

    fn leads(&self) -> bool;
}

impl OneOfSeveral for Master {
    fn seal(&self) -> String {
        self.machine.path("state").join("pki/seal.key").display().to_string()
    }

    fn leads(&self) -> bool {
        let asked = self.haggle(&["whoami", "--json"]);
        asked.code == Some(0) && asked.json()[0]["master"].as_str().is_some_and(|url| url.ends_with(&self.address))
    }
}

#[tokio::test]
async fn an_agent_and_a_laptop_outlive_the_master_that_let_them_in() {
    let etcd = Etcd::start(1);
    let mut first = one_of(&etcd, "127.0.0.2", &[]).await;
    let seal = first.seal();
    let mut second = one_of(&etcd, "127.0.0.3", &["--ca-key-file", &seal]).await;
    let (other, laptop) = (Machine::new(), Machine::new());
    let join = first.token(&["--kind", "agent"]);
    let login = first.token(&["--kind", "operator", "--name", "me"]);
    let token: Token = login.parse().unwrap();
    assert_eq!(token.addresses, [first.address.as_str(), &second.address], "both are named");
    let agent = other.agent("a", &["--join", &other.keep(&join)]);
    laptop.haggle(&["login", &laptop.keep(&login), "--name", "work"]).well();
    first.has_agents(1).await;
    let hello = wasm("hello").display().to_string();
    assert_eq!(laptop.haggle(&["run", &hello]).stdout, "hello, world\n");

    first.daemon.kill();

    until("the second leads", async || second.leads().then_some(())).await;
    second.has_agents(1).await;
    let run = laptop.haggle(&["run", &hello]);
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");

    // And through a change of the authority, with the old one ended and the first master back.
    first.restart().await;
    second.haggle(&["ca", "rotate"]).well();
    until("all have followed", async || {
        // The first that it asks may not have heard of it yet.
        laptop.haggle(&["ps"]).well();
        let info = second.haggle(&["ca", "show", "--json"]).json().remove(0);
        // The two first tokens are nobody's, and will be cut off.
        (info["agents_connected"] == 0 && info["agents_away"] == 0 && info["tokens"] == 2).then_some(())
    })
    .await;
    second.haggle(&["ca", "rotate", "--finish", "--force"]).well();
    second.daemon.kill();
    until("the first leads", async || first.leads().then_some(())).await;
    first.has_agents(1).await;
    let run = laptop.haggle(&["run", &hello]);
    assert_eq!(run.stdout, "hello, world\n", "{run:?}\n{}", agent.log());
    second.restart().await;
}

#[tokio::test]
async fn the_key_that_seals_the_authority_is_replaced_while_a_master_stands_by() {
    let etcd = Etcd::start(1);
    let mut first = one_of(&etcd, "127.0.0.2", &[]).await;
    let (seal, copy) = (first.seal(), first.machine.path("copy").display().to_string());
    let write = |lines: &[&str]| {
        for path in [&seal, &copy] {
            fs::write(path, lines.join("\n")).unwrap();
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    };
    let old = fs::read_to_string(&seal).unwrap();
    write(&[&old]);
    let mut second = one_of(&etcd, "127.0.0.3", &["--ca-key-file", &copy]).await;
    let laptop = Machine::new();
    let token: Token = first.token(&["--kind", "operator"]).parse().unwrap();
    let client = Client::builder().token(token).connect().await.unwrap();
    let new = laptop.haggle(&["ca", "seal-key"]).well();
    let mut uploads = 0_u8..;
    // What is brought to one master is handed to the other, by a secret that comes of the key.
    let mut upload = async || client.upload_bytes(vec![uploads.next().unwrap()]).await.unwrap();

    // Learned by all, used by all, and the old one forgotten by all: never are both masters away.
    for lines in [&[old.trim(), new.trim()][..], &[new.trim(), old.trim()], &[new.trim()]] {
        write(lines);
        first.restart().await;
        upload().await;
        second.restart().await;
        upload().await;
    }

    write(&[&old]);
    let mut refused = refused(&etcd, &first.machine, &["--ca-key-file", &copy]);
    assert!(!refused.exited().await.success());
    assert!(refused.log().contains("cannot be opened with the key in"), "{}", refused.log());
}

/// As in the second in which one master has a new authority and another has not heard of it.
#[tokio::test]
async fn who_follows_an_authority_goes_on_while_no_master_has_heard_of_it() {
    let mut right = Master::secure().await;
    let token: Token = right.token(&["--kind", "operator", "--name", "me"]).parse().unwrap();
    right.daemon.kill();
    let elsewhere = Machine::new();
    let state = elsewhere.path("state").display().to_string();
    let flags = ["master", "--listen", &right.address, "--tls", "--state", &state, "--log-level", "trace"];
    let mut of_another = elsewhere.spawn("master", &flags);
    until("it listens", async || of_another.log().contains("listening on").then_some(())).await;

    let addresses = format!("{0},{0}", right.address);
    let connecting = Client::builder().master(addresses).token(token).patience(PATIENCE).connect();
    let connecting = tokio::spawn(connecting);
    until("it was met and not believed", async || of_another.log().contains("closed a connection").then_some(())).await;
    of_another.kill();
    right.restart().await;

    assert_eq!(connecting.await.unwrap().unwrap().whoami().await.unwrap().name, "me");
}

#[tokio::test]
async fn a_master_without_the_key_of_the_authority_is_told_what_to_do() {
    let etcd = Etcd::start(1);
    let first = one_of(&etcd, "127.0.0.2", &[]).await;
    let others = Machine::new();
    assert_eq!(mode(first.seal().as_ref()), 0o600);
    until("the first says what the others need", async || {
        first.daemon.log().contains("# Each further master first needs a copy of this file").then_some(())
    })
    .await;

    let state = others.path("state").display().to_string();
    for (more, words) in [
        (&[][..], &["--ca-key-file FILE", "--state DIR"][..]),
        (&["--state", &state], &["with a key that this master does not have", "pki/seal.key", "0600"]),
    ] {
        let mut refused = refused(&etcd, &others, more);
        assert!(!refused.exited().await.success());
        let log = refused.log();
        assert!(words.iter().all(|&word| log.contains(word)), "{log}");
    }
    let wrong = others.path("wrong.key");
    let text = fs::read_to_string(first.seal()).unwrap();
    let digit = if text.trim().ends_with('0') { "1" } else { "0" };
    let text = format!("{}{digit}\n", &text.trim()[..text.trim().len() - 1]);
    fs::copy(first.seal(), &wrong).unwrap();
    fs::write(&wrong, text).unwrap();

    let mut refused = refused(&etcd, &others, &["--ca-key-file", &wrong.display().to_string()]);

    assert!(!refused.exited().await.success());
    let log = refused.log();
    assert!(log.contains("cannot be opened with the key in") && log.contains("copy the key of a master"), "{log}");
}

#[tokio::test]
async fn masters_that_start_together_agree_on_one_authority() {
    let etcd = Etcd::start(1);
    let seal = Machine::new();
    let path = seal.path("seal.key");
    let digits = "0123456789abcdef".repeat(4);
    fs::write(&path, format!("haggle-seal-1-{digits}\n")).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let path = path.display().to_string();

    let flags = ["--ca-key-file", &path];
    let (one, two) = tokio::join!(one_of(&etcd, "127.0.0.2", &flags), one_of(&etcd, "127.0.0.3", &flags));

    let leader = if one.leads() { &one } else { &two };
    let token: Token = leader.token(&["--kind", "viewer"]).parse().unwrap();
    assert_eq!(token.addresses.len(), 2);
    for master in [&one, &two] {
        let owner = master.machine.home().owner_tokens().find(master.address.parse().unwrap()).unwrap();
        assert_eq!(owner.authority, token.authority);
    }
    until("one of them has made it, and says how others get in", async || {
        let logs = [one.daemon.log(), two.daemon.log()];
        let made = logs.iter().filter(|log| log.contains("the authority is made")).count();
        let told = |log: &String| log.contains("haggle agent --join") || log.contains("another master leads");
        assert!(made <= 1, "{logs:?}");
        (made == 1 && logs.iter().any(told)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_user_of_a_master_that_stands_by_has_the_one_that_leads_do_it() {
    let etcd = Etcd::start(1);
    let first = one_of(&etcd, "127.0.0.2", &[]).await;

    let second = one_of(&etcd, "127.0.0.3", &["--ca-key-file", &first.seal()]).await;

    let who = second.haggle(&["whoami", "--json"]).json().remove(0);
    assert_eq!((&who["kind"], &who["master"]), (&"owner".into(), &format!("https://{}", first.address).into()));
    second.token(&["--kind", "viewer"]);
    Machine::new().haggle(&["ps", "--master", &second.address]).refused(&[]);
}
