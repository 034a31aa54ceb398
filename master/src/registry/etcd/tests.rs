//! Against a real etcd: who leads, and that nobody else writes.

#[path = "../../../tests/etcd/mod.rs"]
mod etcd;

use haggle_core::cluster::AgentRecord;
use std::fs;
use std::process::Command;

use haggle_core::access::{Enrolment, TokenKind, TokenRecord};
use haggle_core::cluster::{FrameworkInfo, FrameworkRecord};
use haggle_core::{AgentInfo, AgentKey, Bytes, Digest, Epoch, MilliCpu, Resources};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use self::etcd::{Etcd, LOOK_EVERY, NOT_THERE, PATIENCE};
use super::*;
use crate::election::Moment;

fn campaign(etcd: &Etcd, url: &str) -> Campaign {
    let config = EtcdConfig::new(etcd.urls());
    Campaign::new(Client::new(&config).unwrap(), &config.prefix, url)
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

async fn join(campaign: &Campaign) -> Session {
    until("joining", async || campaign.join().await.ok()).await
}

async fn win(campaign: &Campaign, session: &Session) -> Term {
    until("winning", async || campaign.stand(session).await.ok().flatten()).await
}

/// A registry at the start of a term, and what it remembers.
async fn lead(campaign: &Campaign, session: &Session) -> (EtcdRegistry, Recovered, Now) {
    let term = win(campaign, session).await;
    let mut registry = EtcdRegistry::new(campaign.clone(), term, Arc::clone(session.lease()));
    spawn_blocking(move || {
        let (recovered, clock) = registry.recover().unwrap();
        (registry, recovered, clock)
    })
    .await
    .unwrap()
}

async fn write(mut registry: EtcdRegistry, changes: Vec<Change>) -> (EtcdRegistry, Result<(), RegistryError>) {
    spawn_blocking(move || {
        let written = registry.write(Now::from_millis(7), &changes.iter().collect::<Vec<_>>());
        (registry, written)
    })
    .await
    .unwrap()
}

fn agent(name: &str) -> AgentRecord {
    let resources = Resources::new(MilliCpu::new(100), Bytes::from_mib(1), Bytes::ZERO);
    let info = AgentInfo { name: name.to_owned(), resources, attributes: Default::default() };
    AgentRecord { info, key: AgentKey(9), unreachable_since: Some(Now::from_millis(3)), certified: true }
}

fn recorded(id: u64, name: &str) -> Change {
    Change::AgentRecorded(AgentId(id), agent(name))
}

/// Does what only `etcdctl` can.
fn ctl(etcd: &Etcd, args: &[&str]) {
    let mut ctl = Command::new("etcdctl");
    ctl.env("ETCDCTL_API", "3").args(["--endpoints", &etcd.urls().join(",")]).args(args);
    let output = ctl.output().expect(NOT_THERE);
    assert!(output.status.success(), "etcdctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_finds_what_the_last_one_wrote_under_the_next_epoch() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;
    let (registry, first, _) = lead(&campaign, &session).await;
    assert_eq!((first.epoch, first.agents.len(), first.last_agent), (Epoch(1), 0, 0));

    let info = FrameworkInfo { name: "f".to_owned(), role: "r".to_owned(), failover_timeout: Duration::from_secs(1) };
    let framework = FrameworkRecord { info, principal: "ci".into() };
    let enrolment = Enrolment { until: Now::from_millis(5), by: Some((TokenId(6), Digest([7; 32]))) };
    let token = TokenRecord {
        name: "rack".into(),
        kind: TokenKind::Agent { uses_left: 2 },
        hash: Digest([9; 32]),
        made_ms: 1,
        expires_ms: 2,
        made_by: "owner".into(),
        revoked: false,
    };
    let subscribed = Change::FrameworkSubscribed(FrameworkId(4), framework.clone());
    let gone = [recorded(8, "gone"), Change::AgentRemoved(AgentId(8))];
    let joined = [
        Change::TokenRecorded(TokenId(u64::MAX), token.clone()),
        Change::AgentEnrolled(AgentId(11), enrolment.clone()),
        Change::AgentEnrolled(AgentId(12), enrolment.clone()),
        Change::EnrolmentEnded(AgentId(12)),
        Change::TokenRecorded(TokenId(1), token.clone()),
        Change::TokenRemoved(TokenId(1)),
    ];
    let (registry, written) = write(registry, vec![recorded(5, "a"), recorded(5, "b"), subscribed]).await;
    written.unwrap();
    let (registry, written) = write(registry, joined.into()).await;
    written.unwrap();
    write(registry, gone.into()).await.1.unwrap();
    session.end().await.unwrap();

    let session = join(&campaign).await;
    let (_, second, clock) = lead(&campaign, &session).await;
    assert_eq!(second.cluster, first.cluster);
    assert_eq!(second.epoch, Epoch(2));
    assert_eq!(second.agents, [(AgentId(5), agent("b"))]);
    assert_eq!(second.frameworks, [(FrameworkId(4), framework)]);
    assert_eq!(second.enrolled, [(AgentId(11), enrolment)]);
    assert_eq!(second.tokens, [(TokenId(u64::MAX), token)]);
    assert_eq!((second.last_agent, second.last_framework, clock), (12, 4, Now::from_millis(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_larger_than_a_transaction_is_written_whole() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;
    let (registry, ..) = lead(&campaign, &session).await;

    write(registry, (1..=1_200).map(|id| recorded(id, "many")).collect()).await.1.unwrap();
    session.end().await.unwrap();

    let session = join(&campaign).await;
    let (_, recovered, _) = lead(&campaign, &session).await;
    assert_eq!(recovered.agents.len(), 1_200);
    assert_eq!(recovered.last_agent, 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_two_wins_and_the_other_sees_who() {
    let etcd = Etcd::start(1);
    let (one, two) = (campaign(&etcd, "http://one"), campaign(&etcd, "http://two"));
    let (first, second) = (join(&one).await, join(&two).await);

    win(&one, &first).await;

    assert_eq!(two.stand(&second).await.unwrap(), None);
    assert_eq!(two.leader().await.unwrap().as_deref(), Some("http://one"));
    assert_eq!(two.others().await.unwrap(), ["http://one"]);
}

/// It believes in its lease for far longer than etcd does: its machine's clock stood still.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_leader_that_was_replaced_is_refused() {
    let etcd = Etcd::start(1);
    let (one, two) = (campaign(&etcd, "http://one"), campaign(&etcd, "http://two"));
    let (first, second) = (join(&one).await, join(&two).await);
    let (mut stale, ..) = lead(&one, &first).await;
    stale.lease = Arc::new(Lease::until(Moment::now() + Duration::from_secs(3600)));
    first.end().await.unwrap();
    let (leading, ..) = lead(&two, &second).await;

    let (stale, refused) = write(stale, vec![recorded(1, "stale")]).await;
    write(leading, vec![recorded(1, "true")]).await.1.unwrap();
    let (_, refused_again) = write(stale, vec![recorded(2, "stale")]).await;

    assert!(matches!(refused, Err(RegistryError::Deposed)), "{refused:?}");
    assert!(matches!(refused_again, Err(RegistryError::Deposed)), "{refused_again:?}");
    second.end().await.unwrap();
    let third = join(&one).await;
    let (_, recovered, _) = lead(&one, &third).await;
    assert_eq!(recovered.agents, [(AgentId(1), agent("true"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_not_done_again_over_what_came_after() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;
    let (registry, ..) = lead(&campaign, &session).await;
    let (mut registry, _) = write(registry, vec![recorded(1, "first")]).await;

    // As if the answer had been lost: the same write is sent once more.
    registry.done = 0;
    let (registry, repeated) = write(registry, vec![recorded(1, "sent again")]).await;
    repeated.unwrap();
    // And goes on from there.
    write(registry, vec![recorded(2, "next")]).await.1.unwrap();

    session.end().await.unwrap();
    let session = join(&campaign).await;
    let (_, recovered, _) = lead(&campaign, &session).await;
    assert_eq!(recovered.agents, [(AgentId(1), agent("first")), (AgentId(2), agent("next"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_whose_lease_ends_in_etcd_knows_it() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;

    campaign.client.revoke(session.id(), PATIENCE).await.unwrap();

    timeout(PATIENCE, session.lease().lost()).await.unwrap();
    assert!(session.lease().confirm().is_err());
}

/// Such a master stands by under a new lease: it was slow, and nothing is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn who_stands_with_a_lease_that_has_ended_is_told_so() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://127.0.0.1:1");
    let session = join(&campaign).await;
    campaign.give_back(session.id()).await.unwrap();

    assert!(matches!(campaign.stand(&session).await, Err(EtcdError::LeaseEnded)));

    let session = join(&campaign).await;
    win(&campaign, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_the_loss_of_one_of_three_members() {
    let mut etcd = Etcd::start(3);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;
    let (mut registry, ..) = lead(&campaign, &session).await;

    // One of them leads the others, who then elect anew.
    for member in 0..3 {
        etcd.kill(member);
        let (written_by, written) = write(registry, vec![recorded(1 + member as u64, "a")]).await;
        written.unwrap();
        registry = written_by;
        etcd.restart(member);
    }

    assert!(session.lease().confirm().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_share_an_etcd_under_two_prefixes() {
    let etcd = Etcd::start(1);
    let campaign = |prefix: &str| {
        let config = EtcdConfig { prefix: prefix.to_owned(), ..EtcdConfig::new(etcd.urls()) };
        Campaign::new(Client::new(&config).unwrap(), prefix, "http://one")
    };
    let (one, two) = (campaign("/haggle"), campaign("/haggle/other/"));

    let (first, second) = (join(&one).await, join(&two).await);
    let (_, one, _) = lead(&one, &first).await;
    let (_, two, _) = lead(&two, &second).await;

    assert_ne!(one.cluster, two.cluster);
    assert_eq!((one.epoch, two.epoch), (Epoch(1), Epoch(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_password_is_let_in_and_one_with_another_is_not() {
    let etcd = Etcd::start(1);
    ctl(&etcd, &["user", "add", "root:secret"]);
    ctl(&etcd, &["auth", "enable"]);
    let client = |password: &str| {
        let user = Some(("root".to_owned(), password.to_owned()));
        Client::new(&EtcdConfig { user, ..EtcdConfig::new(etcd.urls()) }).unwrap()
    };

    let campaign = Campaign::new(client("secret"), EtcdConfig::PREFIX, "http://one");
    let session = join(&campaign).await;
    let (registry, ..) = lead(&campaign, &session).await;
    write(registry, vec![recorded(1, "a")]).await.1.unwrap();

    let refused = client("guessed").get("/haggle/leader", PATIENCE).await.unwrap_err();
    assert!(
        matches!(&refused, EtcdError::Refused { why, .. } if why.contains("invalid user ID or password")),
        "{refused}"
    );
    let anonymous = Client::new(&EtcdConfig::new(etcd.urls())).unwrap();
    let refused = anonymous.get("/haggle/leader", PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, EtcdError::Refused { why, .. } if why.contains("user name is empty")), "{refused}");
}

/// etcd's certificate is signed by an authority of its own, and it wants one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_behind_tls_takes_who_has_a_certificate() {
    let file = |name: &str| format!("{}/tests/etcd/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let (ca, certificate, key) = (file("ca.pem"), file("member.pem"), file("member.key"));
    let flags = ["--client-cert-auth", "--trusted-ca-file", &ca, "--cert-file", &certificate, "--key-file", &key];
    let etcd = Etcd::start_with(1, "https", &flags);

    let read = |name: &str| fs::read(file(name)).unwrap();
    let identity = Some((read("client.pem"), read("client.key")));
    let trusted = EtcdConfig { ca: Some(read("ca.pem")), identity, ..EtcdConfig::new(etcd.urls()) };
    let campaign = Campaign::new(Client::new(&trusted).unwrap(), EtcdConfig::PREFIX, "http://one");
    let session = join(&campaign).await;
    let (_, recovered, _) = lead(&campaign, &session).await;
    assert_eq!(recovered.epoch, Epoch(1));

    let unknown = Client::new(&EtcdConfig { identity: None, ..trusted.clone() }).unwrap();
    let refused = unknown.get("/haggle/leader", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(refused, EtcdError::Unreachable { .. }), "{refused}");
    let untrusting = Client::new(&EtcdConfig { ca: None, ..trusted }).unwrap();
    let refused = untrusting.get("/haggle/leader", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(refused, EtcdError::Unreachable { .. }), "{refused}");
}

#[test]
fn what_is_no_url_is_said_at_once() {
    let refused = |url: &str| Client::new(&EtcdConfig::new(vec![url.to_owned()])).err().map(|error| error.to_string());

    assert_eq!(
        refused("127.0.0.1:2379").as_deref(),
        Some("etcd 127.0.0.1:2379: it must begin with http:// or https://")
    );
    assert_eq!(refused("http://a b").as_deref(), Some("etcd http://a b: this is not a URL"));
    assert!(Client::new(&EtcdConfig::new(Vec::new())).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_masters_of_a_cluster_have_one_secret_and_each_cluster_another() {
    let etcd = Etcd::start(1);
    let (one, two) = (campaign(&etcd, "http://one"), campaign(&etcd, "http://two"));

    let secret = until("the first asks", async || one.secret().await.ok()).await;

    assert_eq!(two.secret().await.unwrap(), secret);
    let other = Etcd::start(1);
    let other = campaign(&other, "http://one");
    assert_ne!(until("the other asks", async || other.secret().await.ok()).await, secret);
}
