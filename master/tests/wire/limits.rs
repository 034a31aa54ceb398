//! What one principal may have and do, and that nobody else notices when it wants more.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::framework_event::Event;
use haggle_proto::v1::join_client::JoinClient;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::v1::{OutputStream, PrincipalKind, TaskState};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::access::{create, newcomer, shows, two_tenants, wanted, who_am_i};
use crate::peers::{self, Agent, Framework, Shows, Wire, artifacts, loopback, operator, spec, upload_on, wire};

fn limited(settings: &[&str]) -> Config {
    let mut config = Config::new(loopback());
    settings.iter().for_each(|setting| config.limits.set(setting.parse().unwrap()));
    config
}

async fn master(settings: &[&str]) -> Master {
    Master::start(limited(settings)).await.unwrap()
}

async fn framework(master: &Master, name: &str) -> Wire {
    newcomer(master, PrincipalKind::Framework, name, &[]).await.0
}

/// Two connections of one principal.
async fn twice(master: &Master, name: &str) -> [Wire; 2] {
    let text = create(master, wanted(PrincipalKind::Framework, name, &[])).await.text;
    [wire(master, shows(&text)).await, wire(master, shows(&text)).await]
}

/// Makes sure that somebody was refused for this limit, and is told how high it is.
fn is_at(refused: &Status, limit: &str) {
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains(&format!("is at its limit {limit}")), "{refused}");
    assert!(refused.message().contains("it has "), "{refused}");
}

/// Makes a call until it is not refused any more.
async fn until_taken<T>(call: impl AsyncFn() -> Result<T, Status>) -> T {
    loop {
        match call().await {
            Ok(taken) => return taken,
            Err(refused) => assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}"),
        }
    }
}

#[tokio::test]
async fn who_calls_too_often_is_refused_and_nobody_else() {
    let master = master(&["calls-per-second=1"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);

    let answers = join_all((0..50).map(|_| who_am_i(ci.clone()))).await;

    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(refused.len() > 25, "{} of 50 were refused", refused.len());
    refused.into_iter().for_each(|refused| is_at(&refused, "calls-per-second=1"));
    who_am_i(other).await.unwrap();
    for owned in join_all((0..50).map(async |_| who_am_i(wire(&master, peers::owner(&master)).await).await)).await {
        owned.unwrap();
    }
}

#[tokio::test]
async fn calls_that_come_at_once_are_spread_over_the_second() {
    let master = master(&["calls-per-second=40"]).await;
    let ci = framework(&master, "ci").await;
    let began = Instant::now();

    let answers = join_all((0..40).map(|_| who_am_i(ci.clone()))).await;

    answers.into_iter().for_each(|answer| drop(answer.unwrap()));
    // A quarter of them comes at once.
    assert!(began.elapsed() >= Duration::from_millis(750), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_one_brings_too_quickly_waits_and_nobody_else_does() {
    let master = master(&["bytes-per-second=1MiB"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    who_am_i(ci.clone()).await.unwrap();
    let began = Instant::now();
    let mut upload = Box::pin(upload_on(ci, None, &[7; 2 << 20]));

    let meanwhile = async {
        while began.elapsed() < Duration::from_millis(500) {
            who_am_i(other.clone()).await.unwrap();
        }
    };
    let uploaded = tokio::select! {
        uploaded = &mut upload => panic!("it did not wait: {uploaded:?}"),
        () = meanwhile => upload.await,
    };

    assert_eq!(uploaded.unwrap().size_bytes, 2 << 20);
    // A quarter of a second's bytes comes at once.
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn calls_that_one_may_not_make_are_counted_as_well() {
    let master = master(&["calls-per-second=1"]).await;
    let ci = framework(&master, "ci").await;
    let forbidden = async |wire: Wire| OperatorClient::new(wire).remove_agent(v1::RemoveAgentRequest::default()).await;

    let answers = join_all((0..50).map(|_| forbidden(ci.clone()))).await;

    let (denied, too_many): (Vec<_>, Vec<_>) =
        answers.into_iter().map(Result::unwrap_err).partition(|refused| refused.code() == Code::PermissionDenied);
    assert!(!denied.is_empty() && too_many.len() > 25, "{} of 50 were too many", too_many.len());
    too_many.into_iter().for_each(|refused| is_at(&refused, "calls-per-second=1"));
}

#[tokio::test]
async fn of_open_calls_and_sessions_one_has_so_many() {
    let master = master(&["calls-open=1"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    let session = Framework::subscribe_on(ci.clone(), None, "").await.unwrap();

    is_at(&who_am_i(ci.clone()).await.unwrap_err(), "calls-open=1");

    who_am_i(other).await.unwrap();
    drop(session);
    until_taken(async || who_am_i(ci.clone()).await).await;
}

#[tokio::test]
async fn of_connections_one_has_so_many() {
    let master = master(&["connections=1"]).await;
    let [first, second] = twice(&master, "ci").await;
    let other = framework(&master, "other").await;
    who_am_i(first.clone()).await.unwrap();

    is_at(&who_am_i(second.clone()).await.unwrap_err(), "connections=1");

    who_am_i(first.clone()).await.unwrap();
    who_am_i(other).await.unwrap();
    drop(first);
    until_taken(async || who_am_i(second.clone()).await).await;
}

#[tokio::test]
async fn a_watch_that_ends_makes_room_for_the_next() {
    let master = master(&["watches=1"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    let watch = async |wire: &Wire| OperatorClient::new(wire.clone()).watch(v1::WatchRequest::default()).await;
    let watched = watch(&ci).await.unwrap();

    is_at(&watch(&ci).await.unwrap_err(), "watches=1");

    who_am_i(ci.clone()).await.unwrap();
    watch(&other).await.unwrap();
    drop(watched);
    until_taken(async || watch(&ci).await).await;
}

#[tokio::test]
async fn of_logs_one_reads_so_many_at_once() {
    let master = master(&["log-reads=1"]).await;
    let (_agent, [a, _], _frameworks, task) = two_tenants(&master).await;
    let request =
        v1::ReadLogRequest { task: task.id, stream: OutputStream::Stdout.into(), follow: true, ..Default::default() };
    let read = async |wire: &Wire| OperatorClient::new(wire.clone()).read_log(request).await;
    let first = read(&a).await.unwrap();

    is_at(&read(&a).await.unwrap_err(), "log-reads=1");

    let owner = wire(&master, peers::owner(&master)).await;
    read(&owner).await.unwrap();
    drop(first);
    until_taken(async || read(&a).await).await;
}

#[tokio::test]
async fn of_uploads_and_downloads_one_has_so_many_at_once() {
    let master = master(&["transfers=1"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    let (chunks, outgoing) = mpsc::channel(1);
    let mut client = ArtifactsClient::new(ci.clone());
    let upload = tokio::spawn(async move { client.upload(ReceiverStream::new(outgoing)).await });
    for data in ["some", " more"] {
        // The second is taken when the first was, by a call that has begun.
        chunks.send(v1::UploadChunk { data: data.as_bytes().to_vec().into(), ..Default::default() }).await.unwrap();
    }

    let second = loop {
        match upload_on(ci.clone(), None, b"other bytes").await {
            // It came before the first one.
            Ok(_) => {}
            Err(refused) => break refused,
        }
    };

    is_at(&second, "transfers=1");
    upload_on(other, None, b"other bytes").await.unwrap();
    drop(chunks);
    upload.await.unwrap().unwrap();
    until_taken(async || upload_on(ci.clone(), None, b"other bytes").await).await;
}

#[tokio::test]
async fn of_bytes_one_brings_so_many_a_day_kept_or_not() {
    let master = master(&["upload-bytes-per-day=16B"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    for _ in 0..2 {
        upload_on(ci.clone(), None, b"8 bytes.").await.unwrap();
    }

    is_at(&upload_on(ci.clone(), None, b"8 bytes.").await.unwrap_err(), "upload-bytes-per-day=16 B");

    upload_on(other, None, b"8 bytes.").await.unwrap();
    who_am_i(ci).await.unwrap();
}

#[tokio::test]
async fn of_the_store_one_has_so_much_over_restarts_and_others_have_theirs() {
    let folder = TempDir::new().unwrap();
    let config = || Config { state: Some(folder.path().join("state")), ..limited(&["upload-bytes=16B"]) };
    let first = Master::start(config()).await.unwrap();
    let ci = create(&first, wanted(PrincipalKind::Framework, "ci", &[])).await.text;
    upload_on(wire(&first, shows(&ci)).await, None, b"first 8.").await.unwrap();
    first.stop().await;
    let master = Master::start(config()).await.unwrap();
    let (ci, other) = (wire(&master, shows(&ci)).await, framework(&master, "other").await);

    for same in [&b"first 8."[..], b"first 8.", b"second 8"] {
        upload_on(ci.clone(), None, same).await.unwrap();
    }
    is_at(&upload_on(ci.clone(), None, b"third 8.").await.unwrap_err(), "upload-bytes=16 B");

    upload_on(other, None, b"third 8.").await.unwrap();
    let owned = [&b"first 8."[..], b"second 8", b"third 8.", b"fourth 8"];
    for bytes in owned {
        upload_on(wire(&master, peers::owner(&master)).await, None, bytes).await.unwrap();
    }
    let digest = upload_on(wire(&master, peers::owner(&master)).await, None, b"third 8.").await.unwrap().digest;
    let stat = artifacts(&master).await.stat(v1::ArtifactRef { digest }).await.unwrap().into_inner();
    assert_eq!(stat.size_bytes, 8);
}

#[tokio::test]
async fn of_frameworks_one_has_so_many() {
    let master = master(&["frameworks=1"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    let first = Framework::subscribe_on(ci.clone(), None, "").await.unwrap();

    is_at(&Framework::subscribe_on(ci.clone(), None, "").await.err().unwrap(), "frameworks=1");

    Framework::subscribe_on(other, None, "").await.unwrap();
    first.say(Call::Teardown(v1::Teardown {})).await;
    first.ended().await;
    Framework::subscribe_on(ci, None, "").await.unwrap();
}

#[tokio::test]
async fn of_tasks_one_has_so_many_over_all_its_frameworks() {
    let master = master(&["tasks=1"]).await;
    let _agent = Agent::register(&master, None).await;
    let mut ci = Framework::subscribe_on(framework(&master, "ci").await, None, "").await.unwrap();
    let offer = ci.offer().await;

    ci.accept(&offer, vec![spec(ci.id, 1), spec(ci.id, 2)]).await;

    let dropped = loop {
        if let Event::Update(update) = ci.event().await {
            break update;
        }
    };
    assert_eq!((dropped.state(), dropped.task.unwrap().number), (TaskState::Dropped, 2));
    assert!(dropped.message.contains("\"ci\" is at its limit tasks=1: it has 1"), "{}", dropped.message);
    let tasks = peers::tasks(&mut operator(&master).await, false).await;
    assert_eq!(tasks.len(), 1);
}

#[tokio::test]
async fn of_roles_one_is_in_so_many() {
    let master = master(&["roles=1"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    let subscribe = async |wire: &Wire, role| Framework::subscribe_on(wire.clone(), None, role).await;
    let _first = subscribe(&ci, "a").await.unwrap();
    let _second = subscribe(&ci, "a").await.unwrap();

    let refused = subscribe(&ci, "b").await.err().unwrap();

    is_at(&refused, "roles=1");
    assert_eq!(refused.metadata().get(haggle_proto::LIMIT).unwrap(), "roles");
    subscribe(&other, "b").await.unwrap();
}

/// The limits that a caller sees, by whose they are and their names.
async fn limits(wire: Wire) -> Vec<v1::LimitUse> {
    let list = OperatorClient::new(wire).list_limits(v1::ListLimitsRequest {}).await.unwrap().into_inner();
    peers::whole(list, |message| message.limits).await
}

fn of(limits: &[v1::LimitUse], who: &str, limit: &str) -> Option<(u64, u64, Option<u64>)> {
    let is_it =
        |one: &&v1::LimitUse| one.principal.as_ref().map_or("", |who| who.name.as_str()) == who && one.limit == limit;
    limits.iter().find(is_it).map(|one| (one.has, one.refused, one.most))
}

#[tokio::test]
async fn each_limit_can_be_listed_with_what_there_is_and_what_was_refused() {
    let master = master(&["watches=1", "frameworks=1", "upload-bytes=16B"]).await;
    let (ci, other) = (framework(&master, "ci").await, framework(&master, "other").await);
    let watch = async |wire: &Wire| OperatorClient::new(wire.clone()).watch(v1::WatchRequest::default()).await;
    let _watched = watch(&ci).await.unwrap();
    for _ in 0..3 {
        watch(&ci).await.unwrap_err();
    }
    let _framework = Framework::subscribe_on(ci.clone(), None, "").await.unwrap();
    Framework::subscribe_on(ci.clone(), None, "").await.err().unwrap();
    upload_on(ci.clone(), None, b"8 bytes.").await.unwrap();
    who_am_i(other.clone()).await.unwrap();

    let all = limits(wire(&master, peers::owner(&master)).await).await;
    let own = limits(other).await;

    assert_eq!(of(&all, "ci", "watches"), Some((1, 3, Some(1))));
    assert_eq!(of(&all, "ci", "frameworks"), Some((1, 1, Some(1))));
    assert_eq!(of(&all, "ci", "upload-bytes"), Some((8, 0, Some(16))));
    assert!(of(&all, "ci", "upload-bytes-per-day").is_some());
    assert_eq!(of(&all, "ci", "bytes-per-second").map(|(.., most)| most), Some(Some(64 << 20)));
    assert_eq!(of(&all, "ci", "roles").map(|(has, ..)| has), Some(1));
    assert_eq!(of(&all, "ci", "connections").map(|(has, ..)| has), Some(1));
    assert_eq!(of(&all, "", "places-frameworks"), Some((1, 0, Some(4096))));
    assert!(of(&all, "", "strangers").is_some() && of(&all, "other", "watches").is_some());
    assert_eq!(of(&all, "", "handshakes"), Some((0, 0, Some(1_000))));
    assert_eq!(of(&all, "", "handshakes-per-address"), Some((0, 0, Some(256))));
    assert_eq!(of(&all, "", "handshakes-per-second"), Some((0, 0, Some(200))));
    assert_eq!(of(&all, "", "all-watches"), Some((1, 0, Some(1024))));
    assert_eq!(of(&all, "", "all-lists").map(|(.., most)| most), Some(Some(256)));
    assert_eq!(of(&all, "", "all-transfers"), Some((0, 0, Some(128))));
    assert_eq!(of(&all, "", "artifact-bytes"), Some((8, 0, Some(16 << 30))));
    assert_eq!(of(&all, "", "renewals"), Some((0, 0, Some(6000))));
    assert!(of(&own, "other", "watches").is_some());
    assert!(own.iter().all(|one| one.principal.as_ref().is_some_and(|who| who.name == "other")));
}

#[tokio::test]
async fn whoever_has_certificates_renewed_without_end_is_refused_and_nobody_else() {
    let master = master(&[]).await;
    let client = JoinClient::new(wire(&master, Shows::default()).await);
    let renew = || {
        let mut client = client.clone();
        async move { client.renew(v1::RenewRequest::default()).await.unwrap_err() }
    };

    let mut refused = renew().await;
    let mut calls = 1;
    while refused.code() != Code::ResourceExhausted {
        // What the certificate is worth is another question.
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        refused = renew().await;
        calls += 1;
    }

    assert!((1_201..2_000).contains(&calls), "{calls}");
    assert_eq!(refused.metadata().get(haggle_proto::LIMIT).unwrap(), "renewals-per-address");
    assert!(refused.message().contains("from 127.0.0.1"), "{refused}");
    let all = limits(wire(&master, peers::owner(&master)).await).await;
    let (has, refused, most) = of(&all, "", "renewals-per-address").unwrap();
    assert!(has > 1_000 && refused == 1 && most == Some(1_200), "{has} {refused}");
}

#[tokio::test]
async fn a_full_house_is_told_and_the_other_kinds_have_their_places() {
    let places = haggle_master::Places { agents: 1, frameworks: 1, operators: 8 };
    let master = Master::start(Config { places, ..limited(&[]) }).await.unwrap();
    let ci = framework(&master, "ci").await;
    let first = Framework::subscribe_on(ci.clone(), None, "").await.unwrap();

    let refused = Framework::subscribe_on(ci.clone(), None, "").await.err().unwrap();

    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("all 1 places of frameworks are taken"), "{refused}");
    assert_eq!(refused.metadata().get(haggle_proto::LIMIT).unwrap(), "places-frameworks");
    let agent = Agent::register(&master, None).await;
    let second = Agent::connect_on(wire(&master, peers::owner(&master)).await).await.err().unwrap();
    assert!(second.message().contains("all 1 places of agents are taken"), "{second}");
    who_am_i(wire(&master, peers::owner(&master)).await).await.unwrap();
    drop(first);
    until_taken(async || Framework::subscribe_on(ci.clone(), None, "").await).await;
    drop(agent);
}
