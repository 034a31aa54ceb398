//! Against real members: who is let in, and who may write.

#[expect(dead_code, reason = "shared with others, who use the rest")]
#[path = "kit/mod.rs"]
mod kit;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use haggle_etcd::{Client, EtcdConfig, EtcdError, Fence, Session, delete, delete_all, put, text};
use tokio::time::{sleep, timeout};

use self::kit::{Etcd, LOOK_EVERY, NOT_THERE, PATIENCE};

const KEYS: (&str, &str) = ("/test/lock", "/test/last");
const TTL: Duration = Duration::from_secs(2);

fn client(etcd: &Etcd) -> Arc<Client> {
    Arc::new(Client::new(&EtcdConfig::new(etcd.urls())).unwrap())
}

/// Tries until it works: an etcd that has just been started has no leader yet.
async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let tries = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, tries).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

async fn session(client: &Arc<Client>) -> Session {
    until("a session", async || Session::begin(client, TTL, TTL).await.ok()).await
}

async fn take(client: &Client, session: &Session) -> Option<Fence> {
    Fence::take(client, session, KEYS, "a test", PATIENCE).await.unwrap()
}

async fn write(client: &Client, fence: &mut Fence, value: &str) -> bool {
    fence.write(client, vec![put("/test/rows/a", value)], PATIENCE).await.unwrap()
}

async fn row(client: &Client) -> Option<String> {
    client.get("/test/rows/a", PATIENCE).await.unwrap().map(|row| text(&row))
}

/// Does what only `etcdctl` can.
fn ctl(etcd: &Etcd, args: &[&str]) {
    let mut ctl = Command::new("etcdctl");
    ctl.env("ETCDCTL_API", "3").args(["--endpoints", &etcd.urls().join(",")]).args(args);
    let output = ctl.output().expect(NOT_THERE);
    assert!(output.status.success(), "etcdctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_two_holds_the_lock_and_the_next_does_when_its_session_ends() {
    let etcd = Etcd::start(1);
    let client = client(&etcd);
    let (first, second) = (session(&client).await, session(&client).await);

    let held = take(&client, &first).await.unwrap();
    assert!(take(&client, &second).await.is_none());
    assert!(held.is_held(&client, PATIENCE).await.unwrap());

    first.end().await.unwrap();

    assert!(!held.is_held(&client, PATIENCE).await.unwrap());
    assert!(take(&client, &second).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_taken_without_hearing_of_it_is_taken_again() {
    let etcd = Etcd::start(1);
    let client = client(&etcd);
    let session = session(&client).await;
    take(&client, &session).await.unwrap();

    let mut again = take(&client, &session).await.unwrap();

    assert!(write(&client, &mut again, "written").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_followed_by_another_holder_writes_nothing() {
    let etcd = Etcd::start(1);
    let client = client(&etcd);
    let (first, second) = (session(&client).await, session(&client).await);
    let mut stale = take(&client, &first).await.unwrap();
    assert!(write(&client, &mut stale, "first").await);
    first.end().await.unwrap();
    assert!(!write(&client, &mut stale, "nobody holds it").await);
    let mut holder = take(&client, &second).await.unwrap();
    assert!(write(&client, &mut holder, "second").await);

    assert!(!write(&client, &mut stale, "stale").await);

    assert_eq!(row(&client).await.as_deref(), Some("second"));
    assert!(write(&client, &mut holder, "second again").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_sent_twice_is_done_once() {
    let etcd = Etcd::start(1);
    let client = client(&etcd);
    let session = session(&client).await;
    let mut fence = take(&client, &session).await.unwrap();
    let mut repeated = fence.clone();
    assert!(write(&client, &mut fence, "first").await);

    assert!(write(&client, &mut repeated, "sent again").await);

    assert_eq!(row(&client).await.as_deref(), Some("first"));
    assert!(write(&client, &mut repeated, "next").await);
    assert_eq!(row(&client).await.as_deref(), Some("next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_removes_one_key_or_all_below_a_prefix() {
    let etcd = Etcd::start(1);
    let client = client(&etcd);
    let session = session(&client).await;
    let mut fence = take(&client, &session).await.unwrap();
    let rows = (0..110).map(|id| put(&format!("/test/rows/{id:03}"), "row")).collect();
    assert!(fence.write(&client, rows, PATIENCE).await.unwrap());

    assert!(
        fence.write(&client, vec![delete("/test/rows/007"), put("/test/rowsx", "beside")], PATIENCE).await.unwrap()
    );
    assert_eq!(client.list("/test/rows/", PATIENCE).await.unwrap().len(), 109);
    assert!(fence.write(&client, vec![delete_all("/test/rows/")], PATIENCE).await.unwrap());

    assert!(client.list("/test/rows/", PATIENCE).await.unwrap().is_empty());
    assert!(client.get("/test/rowsx", PATIENCE).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_password_is_let_in_and_one_with_another_is_not() {
    let etcd = Etcd::start(1);
    ctl(&etcd, &["user", "add", "root:secret"]);
    ctl(&etcd, &["auth", "enable"]);
    let client = |password: &str| {
        let user = Some(("root".to_owned(), password.to_owned()));
        Arc::new(Client::new(&EtcdConfig { user, ..EtcdConfig::new(etcd.urls()) }).unwrap())
    };

    let known = client("secret");
    let session = session(&known).await;
    let mut fence = take(&known, &session).await.unwrap();
    assert!(write(&known, &mut fence, "a").await);

    let refused = client("guessed").get("/test/lock", PATIENCE).await.unwrap_err();
    assert!(
        matches!(&refused, EtcdError::Refused { why, .. } if why.contains("invalid user ID or password")),
        "{refused}"
    );
    let anonymous = Client::new(&EtcdConfig::new(etcd.urls())).unwrap();
    let refused = anonymous.get("/test/lock", PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, EtcdError::Refused { why, .. } if why.contains("user name is empty")), "{refused}");
}

/// etcd's certificate is signed by an authority of its own, and it wants one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_behind_tls_takes_who_has_a_certificate() {
    let file = |name: &str| format!("{}/tests/kit/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let (ca, certificate, key) = (file("ca.pem"), file("member.pem"), file("member.key"));
    let flags = ["--client-cert-auth", "--trusted-ca-file", &ca, "--cert-file", &certificate, "--key-file", &key];
    let etcd = Etcd::start_with(1, "https", &flags);

    let read = |name: &str| fs::read(file(name)).unwrap();
    let identity = Some((read("client.pem"), read("client.key")));
    let trusted = EtcdConfig { ca: Some(read("ca.pem")), identity, ..EtcdConfig::new(etcd.urls()) };
    let client = Arc::new(Client::new(&trusted).unwrap());
    let session = session(&client).await;
    assert!(take(&client, &session).await.is_some());

    let unknown = Client::new(&EtcdConfig { identity: None, ..trusted.clone() }).unwrap();
    let refused = unknown.get("/test/lock", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(refused, EtcdError::Unreachable { .. }), "{refused}");
    let untrusting = Client::new(&EtcdConfig { ca: None, ..trusted }).unwrap();
    let refused = untrusting.get("/test/lock", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(refused, EtcdError::Unreachable { .. }), "{refused}");
}
