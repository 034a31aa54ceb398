//! Against a real etcd: who leads, and that nobody else writes.

#[path = "../../../../etcd/tests/kit/mod.rs"]
mod etcd;

use std::num::NonZeroU32;

use haggle_core::access::{Enrolment, TokenKind, TokenRecord};
use haggle_core::cluster::{AgentRecord, FrameworkInfo, FrameworkRecord};
use haggle_core::{
    AgentInfo, AgentKey, Bytes, Ceiling, Digest, Epoch, MilliCpu, Placement, Quota, Reservation, Reserved, Resources,
    RoleRecord, Volume, VolumeId,
};
use haggle_etcd::{Client, EtcdConfig, Moment, Session, TxnRequest};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use self::etcd::{Etcd, LOOK_EVERY, PATIENCE};
use super::*;
use crate::registry::local::tests::{draining, maintenance};

fn campaign(etcd: &Etcd, url: &str) -> Campaign {
    campaign_below(etcd, &EtcdConfig::new(etcd.urls()).prefix, url)
}

fn campaign_below(etcd: &Etcd, prefix: &str, url: &str) -> Campaign {
    let client = Client::new(&EtcdConfig::new(etcd.urls())).unwrap();
    let addresses = vec![format!("{url}:5050"), "10.0.0.1:5050".to_owned()];
    Campaign::new(client, prefix, Announced { url: url.to_owned(), addresses, owner: format!("owner of {url}") })
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

/// Something of an agent that is reserved.
fn reserved() -> Vec<Reserved> {
    let reservation = Reservation::new("eng").unwrap().refined("eng/batch").unwrap();
    let resources = Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(512), Bytes::ZERO);
    vec![Reserved { reservation, resources }]
}

/// A volume of that.
fn volumes() -> Vec<Volume> {
    let reservation = reserved().remove(0).reservation;
    let id = VolumeId { agent: AgentId(1), number: 3 };
    let (name, size, creator) = ("data".to_owned(), Bytes::from_mib(5), "framework:ci".parse().unwrap());
    vec![Volume { id, name, reservation, size, shared: true, creator, made: true }]
}

fn agent(name: &str) -> AgentRecord {
    let resources = Resources::new(MilliCpu::new(100), Bytes::from_mib(1), Bytes::ZERO);
    let info = AgentInfo { name: name.to_owned(), resources, ..AgentInfo::default() };
    AgentRecord {
        info,
        key: AgentKey(9),
        unreachable_since: Some(Now::from_millis(3)),
        certified: true,
        reserved: reserved(),
        volumes: volumes(),
        last_volume: 7,
    }
}

fn recorded(id: u64, name: &str) -> Change {
    Change::AgentRecorded(AgentId(id), agent(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_finds_what_the_last_one_wrote_under_the_next_epoch() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;
    let (registry, first, _) = lead(&campaign, &session).await;
    assert_eq!((first.epoch, first.agents.len(), first.last_agent), (Epoch(1), 0, 0));

    let info =
        FrameworkInfo { name: "f".to_owned(), roles: vec!["r".to_owned()], failover_timeout: Duration::from_secs(1) };
    let framework = FrameworkRecord { info, principal: "framework:ci".parse().unwrap() };
    let enrolment = Enrolment { until: Now::from_millis(5), by: Some((TokenId(6), Digest([7; 32]))) };
    let token = TokenRecord {
        name: "rack".into(),
        kind: TokenKind::Agent { uses_left: 2 },
        hash: Digest([9; 32]),
        made_ms: 1,
        expires_ms: 2,
        made_by: "owner".into(),
        revoked: false,
        authority: Some(Digest([3; 32])),
    };
    let guarantee = Resources::new(MilliCpu::from_cores(1), Bytes::ZERO, Bytes::ZERO);
    let role = RoleRecord {
        weight: NonZeroU32::new(3),
        quota: Some(Quota { guarantee: guarantee.clone(), limit: Ceiling::default() }),
        placement: Some(Placement::Spread),
        min_allocatable: Some(guarantee),
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
        Change::RoleRecorded("eng/batch".to_owned(), role.clone()),
        Change::RoleRecorded("ops".to_owned(), role.clone()),
        Change::RoleRecorded("ops".to_owned(), RoleRecord::default()),
        Change::AgentWithdrawn(AgentId(5), draining()),
        Change::AgentWithdrawn(AgentId(11), draining()),
        Change::AgentReactivated(AgentId(11)),
        Change::MaintenanceRecorded(MaintenanceId(3), maintenance(&[5])),
        Change::MaintenanceRecorded(MaintenanceId(6), maintenance(&[5])),
        Change::MaintenanceEnded(MaintenanceId(6)),
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
    assert_eq!(second.roles, [("eng/batch".to_owned(), role)]);
    assert_eq!(second.withdrawn, [(AgentId(5), draining())]);
    assert_eq!(second.maintenance, [(MaintenanceId(3), maintenance(&[5]))]);
    assert_eq!(second.last_maintenance, 6);
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
    assert_eq!(two.leader(&second).await.unwrap().as_deref(), Some("http://one"));
    assert_eq!(two.others().await.unwrap(), ["http://one"]);
}

/// Else nobody would ever lead: its session keeps the key, and it would stand by behind itself.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_won_without_hearing_of_it_wins_when_it_stands_again() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let session = join(&campaign).await;
    let won = win(&campaign, &session).await;

    assert_eq!(campaign.leader(&session).await.unwrap(), None);
    assert_eq!(campaign.stand(&session).await.unwrap(), Some(won));
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
    let before = registry.fence.clone();
    let (mut registry, _) = write(registry, vec![recorded(1, "first")]).await;

    // As if the answer had been lost: the same write is sent once more.
    registry.fence = before;
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
    let campaign = |prefix: &str| campaign_below(&etcd, prefix, "http://one");
    let (one, two) = (campaign("/haggle"), campaign("/haggle/other/"));

    let (first, second) = (join(&one).await, join(&two).await);
    let (_, one, _) = lead(&one, &first).await;
    let (_, two, _) = lead(&two, &second).await;

    assert_ne!(one.cluster, two.cluster);
    assert_eq!((one.epoch, two.epoch), (Epoch(1), Epoch(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_layout_is_led_as_the_one_of_today_and_a_newer_one_is_refused() {
    let etcd = Etcd::start(1);
    let campaign = campaign(&etcd, "http://one");
    let cluster = until("founding", async || campaign.found().await.ok()).await;
    let key = campaign.keys.version();
    let write = async |version: &str| {
        let success = vec![put(&key, version)];
        campaign.client.txn(TxnRequest { success, ..Default::default() }, PATIENCE).await.unwrap();
    };
    let version = async || campaign.client.get(&key, PATIENCE).await.unwrap().map(|row| row.value);

    write("4").await;
    assert_eq!(campaign.found().await.unwrap(), cluster);
    assert_eq!(version().await.as_deref(), Some(&b"5"[..]), "no older master leads it any more");

    write("6").await;
    let refusal = campaign.found().await.unwrap_err().to_string();
    assert!(refusal.contains("it is of version 6, this master knows 5: run a newer one"), "{refusal}");
    assert_eq!(version().await.as_deref(), Some(&b"6"[..]));
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

#[tokio::test(flavor = "multi_thread")]
async fn of_masters_that_start_together_one_makes_the_authority() {
    let etcd = Etcd::start(1);
    let (one, two) = (campaign(&etcd, "http://one"), campaign(&etcd, "http://two"));
    until("etcd answers", async || one.authority().await.ok()).await;

    let (first, second) = tokio::join!(one.put_authority(b"1".to_vec(), 0), two.put_authority(b"2".to_vec(), 0));

    let made = [first.unwrap(), second.unwrap()];
    assert_eq!(made.iter().flatten().count(), 1, "{made:?}");
    let (row, revision) = one.authority().await.unwrap().unwrap();
    assert_eq!(two.authority().await.unwrap().unwrap(), (row.clone(), revision));
    // Whoever has not heard the answer asks again.
    assert_eq!(one.put_authority(row, 0).await.unwrap(), Some(revision));
    assert_eq!(one.put_authority(b"3".to_vec(), revision - 1).await.unwrap(), None);
    assert!(two.put_authority(b"3".to_vec(), revision).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_masters_are_is_known_for_as_long_as_they_are_up() {
    let etcd = Etcd::start(1);
    let (one, two) = (campaign(&etcd, "http://one"), campaign(&etcd, "http://two"));
    let (first, _second) = (join(&one).await, join(&two).await);

    let mut all = one.addresses().await.unwrap();
    all.sort();
    let mut owners = one.owners().await.unwrap();
    owners.sort();
    assert_eq!(owners, ["owner of http://one", "owner of http://two"]);
    assert_eq!(all, ["http://one", "http://two"].map(|url| vec![format!("{url}:5050"), "10.0.0.1:5050".to_owned()]));

    first.end().await.unwrap();
    assert_eq!(two.addresses().await.unwrap().len(), 1);
}
