//! A store in a real etcd: who may write, what is remembered, and what becomes of an instance that was followed.

#[path = "../../../etcd/tests/kit/mod.rs"]
mod etcd;

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_core::cluster::{FrameworkEvent, Question};
use haggle_etcd::{Client as EtcdClient, delete};
use haggle_sdk::{
    AgentId, CallError, Client, Entry, EtcdConfig, EtcdStore, Event, Events, Framework, FrameworkCommand, FrameworkId,
    FrameworkInfo, Launched, Memory, Store, StoreError, StoredError, StoredFramework,
};
use tokio::time::timeout;

use self::etcd::{Etcd, PATIENCE};
use crate::played::{Played, Session, member};

const AGENT: AgentId = AgentId(4);

fn config(etcd: &Etcd) -> EtcdConfig {
    EtcdConfig { prefix: "/test/framework".to_owned(), ..EtcdConfig::new(etcd.urls()) }
}

async fn open(etcd: &Etcd) -> EtcdStore {
    EtcdStore::open(&config(etcd)).await.unwrap()
}

fn launched(number: u64) -> Entry {
    Entry::Launched { number, launched: Launched { agent: AGENT, name: format!("item-{number}") } }
}

/// Lets the instance after this one have the store, as if its lease had ended: it has no way to hear of that.
async fn overtake(etcd: &Etcd) -> EtcdStore {
    remove_lock(etcd).await;
    open(etcd).await
}

async fn remove_lock(etcd: &Etcd) {
    let request = haggle_etcd::TxnRequest { success: vec![delete("/test/framework/lock")], ..Default::default() };
    EtcdClient::new(&config(etcd)).unwrap().txn(request, PATIENCE).await.unwrap();
}

/// The keys below the store's that are not an instance's own.
async fn rows(etcd: &Etcd) -> Vec<String> {
    let rows = EtcdClient::new(&config(etcd)).unwrap().list("/test/framework/memory/", PATIENCE).await.unwrap();
    rows.iter().map(|row| String::from_utf8_lossy(&row.key).replace("/test/framework/memory/", "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_added_is_found_by_the_next_instance_and_what_is_settled_takes_no_room() {
    let etcd = Etcd::start(1);
    let mut store = open(&etcd).await;
    store.append(vec![Entry::Joined(member(3))]).await.unwrap();
    store.append(vec![launched(1), launched(2)]).await.unwrap();
    store.append(vec![Entry::Ended { number: 2 }, Entry::Noted("2 done".to_owned())]).await.unwrap();
    drop(store);

    let memory = EtcdStore::wait(&config(&etcd)).await.unwrap().load().await.unwrap();

    let launch = Launched { agent: AGENT, name: "item-1".to_owned() };
    let launched = BTreeMap::from([(1, launch)]);
    assert_eq!(memory, Memory { member: Some(member(3)), last_number: 2, launched, note: "2 done".to_owned() });
    assert_eq!(rows(&etcd).await, ["last", "launched/00000000000000000001", "member", "note"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_told_who_waits_and_takes_over_when_the_first_is_gone() {
    let etcd = Etcd::start(1);
    let first = open(&etcd).await;
    let held = EtcdStore::open(&config(&etcd)).await.unwrap_err();
    assert!(held.to_string().contains("is held by another instance of this framework"), "{held}");
    let waiting = tokio::spawn({
        let config = config(&etcd);
        async move { EtcdStore::wait(&config).await }
    });

    drop(first);

    timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_followed_writes_nothing_and_is_told_why() {
    let etcd = Etcd::start(1);
    let mut stale = open(&etcd).await;
    stale.append(vec![launched(1)]).await.unwrap();
    let mut holder = overtake(&etcd).await;

    let refused = stale.append(vec![Entry::Ended { number: 1 }]).await.unwrap_err();
    holder.append(vec![launched(2)]).await.unwrap();
    let refused_again = stale.clear().await.unwrap_err();

    assert!(matches!(refused, StoreError::Lost { .. }), "{refused}");
    assert!(matches!(refused_again, StoreError::Lost { .. }), "{refused_again}");
    assert_eq!(holder.load().await.unwrap().launched.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

/// More than a transaction of etcd holds.
#[tokio::test(flavor = "multi_thread")]
async fn many_launches_are_added_at_once_and_as_many_ends() {
    let etcd = Etcd::start(1);
    let mut store = open(&etcd).await;

    store.append((1..=1_000).map(launched).collect()).await.unwrap();
    let memory = store.load().await.unwrap();
    assert_eq!((memory.launched.len(), memory.last_number), (1_000, 1_000));
    store.append((1..=1_000).map(|number| Entry::Ended { number }).collect()).await.unwrap();

    assert_eq!(rows(&etcd).await, ["last"]);
    let pending = EtcdClient::new(&config(&etcd)).unwrap().get("/test/framework/pending", PATIENCE).await.unwrap();
    assert_eq!(pending, None);
}

/// As when its process dies between two transactions.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_instance_has_begun_to_add_is_ended_by_the_next_one() {
    let etcd = Etcd::start(1);
    let mut first = open(&etcd).await;
    first.append(vec![launched(1)]).await.unwrap();
    drop(first);
    let begun = haggle_etcd::put("/test/framework/pending", "ended 1\tlaunched 2 agent-4 item-2\tnote 1 done\n");
    let request = haggle_etcd::TxnRequest { success: vec![begun], ..Default::default() };
    EtcdClient::new(&config(&etcd)).unwrap().txn(request, PATIENCE).await.unwrap();

    let memory = EtcdStore::wait(&config(&etcd)).await.unwrap().load().await.unwrap();

    assert_eq!((memory.last_number, memory.note.as_str()), (2, "1 done"));
    assert_eq!(memory.launched.keys().copied().collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_etcd_takes_at_once_is_refused_and_harms_nothing() {
    let etcd = Etcd::start(1);
    let mut store = open(&etcd).await;

    let refused = store.append(vec![Entry::Noted("x".repeat(2 << 20))]).await.unwrap_err();

    assert!(refused.to_string().contains("launch fewer tasks at once, or note less"), "{refused}");
    store.append(vec![Entry::Noted("x".to_owned())]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_cleared_begins_anew() {
    let etcd = Etcd::start(1);
    let mut store = open(&etcd).await;
    store.append(vec![Entry::Joined(member(3)), launched(7)]).await.unwrap();

    store.clear().await.unwrap();

    let left = EtcdClient::new(&config(&etcd)).unwrap().list("/test/framework/", PATIENCE).await.unwrap();
    assert_eq!(left, []);
    let mut next = open(&etcd).await;
    assert_eq!(next.load().await.unwrap(), Memory::default());
    next.append(vec![launched(1)]).await.unwrap();
}

/// One of three members dies, the one that leads them among others.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_outlives_the_loss_of_any_member() {
    let mut etcd = Etcd::start(3);
    let mut store = open(&etcd).await;

    for dead in 0..3 {
        etcd.kill(dead);
        store.append(vec![launched(dead as u64 + 1)]).await.unwrap();
        etcd.restart(dead);
    }

    assert_eq!(store.load().await.unwrap().launched.len(), 3);
}

fn info() -> FrameworkInfo {
    FrameworkInfo { name: "f".to_owned(), roles: vec!["default".to_owned()], failover_timeout: Duration::from_secs(20) }
}

/// An instance with this store, and the master's end of its session.
async fn instance(played: &mut Played, store: EtcdStore) -> (StoredFramework<EtcdStore>, Events, Session) {
    let client = Client::connect(&played.url()).await.unwrap();
    let joining = tokio::spawn(async move { Framework::connect_stored(&client, info(), store).await });
    let mut session = played.session().await;
    session.welcome().await;
    let (framework, events) = joining.await.unwrap().unwrap();
    (framework, events, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_followed_does_not_subscribe_again() {
    let etcd = Etcd::start(1);
    let mut played = Played::start().await;
    let (_framework, mut events, session) = instance(&mut played, open(&etcd).await).await;
    let _holder = overtake(&etcd).await;

    session.tell([FrameworkEvent::Error("framework failed over to another connection".to_owned())]).await;

    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    match events.next().await {
        Some(Event::Error(why)) => {
            assert!(why.contains("another instance of this framework may have taken over"), "{why}");
        }
        other => panic!("wanted the last word, got {other:?}"),
    }
    assert!(events.next().await.is_none());
}

/// Another one subscribed with its id that does not hold the store: it was paused right before it did.
#[tokio::test(flavor = "multi_thread")]
async fn the_instance_that_holds_the_store_takes_its_session_back() {
    let etcd = Etcd::start(1);
    let mut played = Played::start().await;
    let mut store = open(&etcd).await;
    store.append(vec![Entry::Joined(member(3)), launched(1)]).await.unwrap();
    let (framework, mut events, session) = instance(&mut played, store).await;

    session.tell([FrameworkEvent::Error("framework failed over to another connection".to_owned())]).await;

    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    let back = tokio::spawn(async move { (events.next().await, events) });
    let mut session = played.session().await;
    assert_eq!(session.welcome().await, Some(FrameworkId(3)));
    let (event, _events) = timeout(PATIENCE, back).await.unwrap().unwrap();
    assert_eq!(event, Some(Event::Subscribed(FrameworkId(3))));
    framework.reconcile().await.unwrap();
    let question = Question { task: haggle_sdk::TaskId { framework: FrameworkId(3), number: 1 }, agent: Some(AGENT) };
    while session.hear().await != FrameworkCommand::Reconcile(vec![question]) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_followed_does_not_take_the_framework_away() {
    let etcd = Etcd::start(1);
    let mut played = Played::start().await;
    let (framework, events, _session) = instance(&mut played, open(&etcd).await).await;
    let mut holder = overtake(&etcd).await;

    let refused = framework.teardown(events).await.unwrap_err();

    assert!(matches!(refused, StoredError::Store(StoreError::Lost { .. })), "{refused}");
    assert_eq!(holder.load().await.unwrap().member, Some(member(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_lost_the_store_before_it_subscribed_does_not_subscribe() {
    let etcd = Etcd::start(1);
    let played = Played::start().await;
    let store = open(&etcd).await;
    remove_lock(&etcd).await;
    let client = Client::connect(&played.url()).await.unwrap();

    let refused = Framework::connect_stored(&client, info(), store).await.unwrap_err();

    assert!(matches!(refused, StoredError::Call(CallError::NotHeld(_))), "{refused}");
}
