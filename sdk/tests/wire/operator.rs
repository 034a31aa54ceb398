//! Lists, kills, logs and watching.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use haggle_core::cluster::AgentView;
use haggle_proto::v1;
use haggle_sdk::{
    AgentId, Announcement, Bytes, CallError, Ceiling, Client, FrameworkId, Hindrance, MilliCpu, Obstacle, OutputStream,
    Placement, Quota, Reservation, Resources, TaskId, Volume, VolumeId, VolumeStanding, VolumeView, Why,
};
use tonic::Status;

use crate::played::{Played, agent, resources};

const TASK: TaskId = TaskId { framework: FrameworkId(1), number: 7 };

async fn client(played: &Played) -> Client {
    Client::connect(&played.url()).await.unwrap()
}

fn piece(offset: u64, data: &'static str) -> Result<v1::LogData, Status> {
    Ok(v1::LogData { offset, data: data.into() })
}

#[tokio::test]
async fn lists_come_as_what_they_are_in_the_core() {
    let played = Played::start().await;
    played.stage.agents.lock().unwrap().push(agent(2000));
    let client = client(&played).await;

    let agents = client.agents().await.unwrap();

    assert_eq!((agents[0].id, &agents[0].info.resources), (AgentId(1), &resources(2000)));
    assert!(client.frameworks().await.unwrap().is_empty());
    assert!(client.offers().await.unwrap().is_empty());
    assert!(client.tasks(true).await.unwrap().is_empty());
    assert_eq!(client.task(TASK).await.unwrap(), None);
}

#[tokio::test]
async fn a_list_in_pieces_is_put_together() {
    let played = Played::start().await;
    played.stage.agents.lock().unwrap().extend([agent(1000), agent(2000), agent(3000)]);

    let agents = client(&played).await.agents().await.unwrap();

    let sizes: Vec<_> = agents.iter().map(|agent| agent.info.resources.clone()).collect();
    assert_eq!(sizes, [resources(1000), resources(2000), resources(3000)]);
}

#[tokio::test]
async fn what_is_made_of_a_list_piece_by_piece_comes_in_its_order_and_is_made_anew_when_the_list_is_lost_on_the_way() {
    let played = Played::start().await;
    played.stage.agents.lock().unwrap().extend([agent(1000), agent(2000), agent(3000)]);
    *played.stage.answers_lost.lock().unwrap() = 1;
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let size = move |agents: &[AgentView]| {
        counted.fetch_add(agents.len(), Ordering::Relaxed);
        agents.iter().map(|agent| agent.info.resources.cpus.get()).collect::<Vec<_>>()
    };

    let sizes = client(&played).await.agents_as(size).await.unwrap();

    assert_eq!(sizes, [[1000], [2000], [3000]]);
    assert!(seen.load(Ordering::Relaxed) > 3, "what came before it was lost was seen as well");
}

#[tokio::test]
async fn nothing_is_made_of_a_list_that_breaks_the_contract() {
    let played = Played::start().await;
    let broken = v1::Agent { info: None, ..agent(2000) };
    played.stage.agents.lock().unwrap().extend([agent(1000), broken]);

    let error = client(&played).await.agents_as(<[AgentView]>::len).await.unwrap_err();

    assert!(error.to_string().ends_with("info of an agent is missing"), "{error}");
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_made_again_under_its_name() {
    let played = Played::start().await;
    *played.stage.answers_lost.lock().unwrap() = 1;
    let client = client(&played).await;

    client.mark_agent_gone(AgentId(3)).await.unwrap();
    client.kill(TASK).await.unwrap();

    assert_eq!(*played.stage.agents_gone.lock().unwrap(), [3, 3]);
    let requests = played.stage.requests.lock().unwrap();
    let [first, again, other] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((first.len(), first), (16, again));
    assert_ne!(first, other);
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_names_the_field() {
    let played = Played::start().await;

    let error = client(&played).await.roles().await.unwrap_err();

    assert!(matches!(error, CallError::Garbled { .. }));
    assert!(error.to_string().ends_with("used resources of a role is missing"), "{error}");
}

#[tokio::test]
async fn how_a_role_is_offered_agents_is_set_once_under_the_name_of_its_request() {
    let played = Played::start().await;
    *played.stage.answers_lost.lock().unwrap() = 1;
    let client = client(&played).await;

    client.set_placement("eng", Some(Placement::Spread)).await.unwrap();
    client.set_placement("eng", None).await.unwrap();
    client.set_min_allocatable("eng", Some(&resources(500))).await.unwrap();
    client.set_min_allocatable("eng", None).await.unwrap();

    let placements: Vec<_> = played.stage.placements.lock().unwrap().iter().map(|set| set.placement()).collect();
    assert_eq!(placements, [v1::Placement::Spread, v1::Placement::Spread, v1::Placement::Unspecified]);
    let least: Vec<_> = played.stage.least_offers.lock().unwrap().iter().map(|set| set.least.clone()).collect();
    assert_eq!(least, [Some(resources(500).into()), None]);
    let requests = played.stage.requests.lock().unwrap();
    assert!(requests[0] == requests[1] && requests[1..].windows(2).all(|two| two[0] != two[1]), "{requests:?}");
}

#[tokio::test]
async fn weights_and_quotas_are_set_once_under_the_name_of_their_request() {
    let played = Played::start().await;
    *played.stage.answers_lost.lock().unwrap() = 1;
    let client = client(&played).await;
    let limit = Ceiling { cpus: Some(MilliCpu::from_cores(2)), ..Ceiling::default() };
    let quota = Quota { guarantee: Resources::default(), limit };

    client.set_quota("eng/batch", Some(&quota), true).await.unwrap();
    client.set_quota("eng/batch", None, false).await.unwrap();
    client.set_weight("eng", NonZeroU32::new(3)).await.unwrap();
    client.set_weight("eng", None).await.unwrap();

    let set = v1::SetQuotaRequest { role: "eng/batch".into(), quota: Some(quota.into()), force: true, request: vec![] };
    let removed = v1::SetQuotaRequest { quota: None, force: false, ..set.clone() };
    assert_eq!(*played.stage.quotas.lock().unwrap(), [set.clone(), set, removed]);
    let weights: Vec<_> = played.stage.weights.lock().unwrap().iter().map(|set| set.weight).collect();
    assert_eq!(weights, [Some(3), None]);
    let requests = played.stage.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.len() == 16) && requests[0] == requests[1], "{requests:?}");
    assert!(requests[1..].windows(2).all(|two| two[0] != two[1]), "{requests:?}");
}

#[tokio::test]
async fn what_is_reserved_is_said_as_it_is() {
    let played = Played::start().await;
    let client = client(&played).await;

    client.reserve(AgentId(3), "eng/batch", Some("eng"), &resources(500)).await.unwrap();
    client.unreserve(AgentId(3), "eng/batch", &resources(500)).await.unwrap();

    let wanted = v1::Reserve { role: "eng/batch".into(), within: "eng".into(), resources: Some(resources(500).into()) };
    let reserved = v1::ReserveRequest { agent: 3, reserve: Some(wanted), request: vec![] };
    assert_eq!(*played.stage.reserved.lock().unwrap(), [reserved]);
    let ended = v1::Unreserve { role: "eng/batch".into(), resources: Some(resources(500).into()) };
    let unreserved = v1::UnreserveRequest { agent: 3, unreserve: Some(ended), request: vec![] };
    assert_eq!(*played.stage.unreserved.lock().unwrap(), [unreserved]);
}

#[tokio::test]
async fn what_is_to_be_done_to_volumes_is_said_as_it_is() {
    let played = Played::start().await;
    let volume = VolumeId { agent: AgentId(3), number: 7 };
    let known = Volume {
        id: volume,
        name: "data".to_owned(),
        reservation: Reservation::new("eng").unwrap(),
        size: Bytes::from_mib(5),
        shared: false,
        creator: "owner:owner".parse().unwrap(),
        made: true,
    };
    let view = VolumeView {
        id: volume,
        agent: AgentId(3),
        known: Some(known),
        standing: VolumeStanding::Ready,
        user: None,
        users: 0,
        offers: 1,
    };
    played.stage.volumes.lock().unwrap().push(view.clone().into());
    let client = client(&played).await;

    assert_eq!(client.create_volume(AgentId(3), "eng", "data", Bytes::from_mib(5)).await.unwrap(), volume);
    client.share_volume(volume, true).await.unwrap();
    client.destroy_volume(volume).await.unwrap();
    assert_eq!(client.volumes().await.unwrap(), [view]);

    let wanted = v1::CreateVolume { role: "eng".into(), name: "data".into(), size_bytes: 5 << 20 };
    let made = v1::CreateVolumeRequest { agent: 3, volume: Some(wanted), request: vec![] };
    assert_eq!(*played.stage.made.lock().unwrap(), [made]);
    let share = v1::ShareVolume { volume: Some(volume.into()), shared: true };
    let shared = v1::ShareVolumeRequest { share: Some(share), request: vec![] };
    assert_eq!(*played.stage.shared.lock().unwrap(), [shared]);
    let destroyed = v1::DestroyVolumeRequest { volume: Some(volume.into()), request: vec![] };
    assert_eq!(*played.stage.destroyed.lock().unwrap(), [destroyed]);
}

#[tokio::test]
async fn why_a_framework_waits_comes_as_the_master_says_it() {
    let played = Played::start().await;
    let hindrance = Hindrance {
        obstacle: Obstacle::NoAgent,
        want: Some(resources(500)),
        agents: 0,
        nearest: Vec::new(),
        age: None,
    };
    let why = Why {
        framework: FrameworkId(1),
        name: "f".into(),
        role: "eng".into(),
        roles: vec!["eng".into()],
        waits_for: Some(Duration::from_secs(12)),
        offers: 0,
        rank: Some(1),
        ranked: 3,
        ahead: Vec::new(),
        hindrances: vec![hindrance],
    };
    *played.stage.why.lock().unwrap() = Some(why.clone().into());
    let client = client(&played).await;

    assert_eq!(client.why(FrameworkId(1), None).await.unwrap(), Some(why));
    assert_eq!(client.why(FrameworkId(2), None).await.unwrap(), None);
}

#[tokio::test]
async fn a_kill_of_nothing_is_refused_in_the_masters_words() {
    let played = Played::start().await;
    let client = client(&played).await;

    client.kill(TASK).await.unwrap();
    let error = client.kill(TaskId { number: 404, ..TASK }).await.unwrap_err();

    assert_eq!(*played.stage.kills.lock().unwrap(), [TASK]);
    assert_eq!(error.to_string(), "there is no task-1.404");
}

#[tokio::test]
async fn a_log_goes_on_where_a_lost_connection_broke_it_off() {
    let played = Played::start().await;
    let lost = Err(Status::unavailable("the master is stopping"));
    *played.stage.logs.lock().unwrap() = vec![vec![piece(0, "hel"), lost], vec![piece(3, "lo")]];

    let all = client(&played).await.log(TASK, OutputStream::Stdout, true).read_to_end().await.unwrap();

    assert_eq!(all, b"hello");
    let offsets: Vec<_> = played.stage.log_requests.lock().unwrap().iter().map(|request| request.offset).collect();
    assert_eq!(offsets, [0, 3]);
}

#[tokio::test]
async fn output_that_is_no_longer_kept_is_counted() {
    let played = Played::start().await;
    *played.stage.logs.lock().unwrap() = vec![vec![piece(100, "tail")]];
    let mut log = client(&played).await.log(TASK, OutputStream::Stderr, false);

    assert_eq!(log.next().await.unwrap().unwrap(), "tail");
    assert!(log.next().await.is_none());

    assert_eq!(log.missed(), 100);
}

#[tokio::test]
async fn a_log_of_an_unknown_task_ends_with_the_masters_words() {
    let played = Played::start().await;
    *played.stage.logs.lock().unwrap() = vec![vec![Err(Status::not_found("there is no task-1.7"))]];

    let error = client(&played).await.log(TASK, OutputStream::Stdout, true).read_to_end().await.unwrap_err();

    assert_eq!(error.to_string(), "there is no task-1.7");
}

#[tokio::test]
async fn a_watcher_hears_of_each_task_of_a_queue_that_is_told_of_in_one_word_and_how_much_was_left_out() {
    let played = Played::start().await;
    let run = v1::QueueRun {
        allocation: Some(TASK.into()),
        agent: 3,
        first: 10,
        count: 2,
        state: v1::TaskState::Staging.into(),
        ..Default::default()
    };
    let event = |event| Ok(v1::WatchEvent { time_ms: 5, event: Some(event) });
    *played.stage.watch.lock().unwrap() =
        vec![event(v1::watch_event::Event::QueueRun(run)), event(v1::watch_event::Event::LeftOut(7))];

    let events = client(&played).await.watch().await.unwrap();
    let heard: Vec<_> = events.map(|event| event.unwrap().what).collect().await;

    let brief = |what: &Announcement| match what {
        Announcement::Task(status) => (status.task.number, status.agent),
        Announcement::LeftOut(tasks) => (*tasks, None),
        other => panic!("{other:?}"),
    };
    let agent = Some(AgentId(3));
    assert_eq!(heard.iter().map(brief).collect::<Vec<_>>(), [(10, agent), (11, agent), (7, None)]);
}

#[tokio::test]
async fn a_watcher_hears_what_happens_and_why_it_hears_no_more() {
    let played = Played::start().await;
    let up = v1::WatchEvent { time_ms: 5, event: Some(v1::watch_event::Event::AgentUp(3)) };
    *played.stage.watch.lock().unwrap() = vec![Ok(up), Err(Status::resource_exhausted("8192 events behind"))];

    let mut events = client(&played).await.watch().await.unwrap();

    let first = events.next().await.unwrap().unwrap();
    assert_eq!(
        (first.at, first.what),
        (SystemTime::UNIX_EPOCH + Duration::from_millis(5), Announcement::AgentUp(AgentId(3)))
    );
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::FellBehind(_)), "{error}");
}
