//! What each service does, for an owner who may do everything.

use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::{OutputStream, Reason, TaskState, agent_order, agent_report, framework_event, watch_event};
use tempfile::TempDir;
use tonic::Code;

use crate::peers::{Agent, Framework, agents, artifacts, loopback, operator, spec, tasks, upload, whole};

async fn master() -> Master {
    Master::start(Config::new(loopback())).await.unwrap()
}

fn config_in(folder: &TempDir) -> Config {
    Config { state: Some(folder.path().join("state")), ..Config::new(loopback()) }
}

#[tokio::test]
async fn a_task_goes_from_framework_to_agent_and_its_news_come_back() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    assert_eq!((agent.id, framework.id), (1, 1));

    let offer = framework.offer().await;
    assert_eq!((offer.agent, offer.agent_name.as_str()), (agent.id, "played"));
    framework.accept(&offer, vec![spec(framework.id, 7)]).await;

    let launched = agent.launched().await;
    assert_eq!(launched.id, Some(v1::TaskId { framework: 1, number: 7 }));
    assert_eq!(launched.args, ["an argument"]);
    agent.update(&launched, 1, TaskState::Running).await;
    agent.update(&launched, 2, TaskState::Finished).await;

    let running = framework.update().await;
    assert_eq!((running.update, running.state(), running.agent), (1, TaskState::Running, Some(agent.id)));
    let finished = framework.update().await;
    assert_eq!((finished.update, finished.state()), (2, TaskState::Finished));
    framework.acknowledge(&finished).await;

    let acknowledged = agent.acknowledged().await;
    assert_eq!((acknowledged.task, acknowledged.update), (launched.id, 2));
    master.stop().await;
}

#[tokio::test]
async fn each_second_heartbeat_is_answered_and_the_first_at_once() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let beat = || agent_report::Report::Heartbeat(v1::Heartbeat::default());

    agent.say(beat()).await;
    assert!(matches!(agent.order().await, agent_order::Order::Heartbeat(_)));
    for _ in 0..6 {
        agent.say(beat()).await;
    }
    agent.say(agent_report::Report::Leave(v1::Leave {})).await;

    let rest = agent.rest().await;
    assert!(rest.iter().all(|order| matches!(order, agent_order::Order::Heartbeat(_))), "{rest:?}");
    assert_eq!(rest.len(), 3);
}

#[tokio::test]
async fn a_session_begins_with_an_introduction() {
    let master = master().await;

    let agent = Agent::connect(&master).await;
    agent.say(agent_report::Report::Heartbeat(v1::Heartbeat::default())).await;
    let last_word = agent.last_word().await;
    assert_eq!(last_word.code(), Code::FailedPrecondition);
    assert_eq!(last_word.message(), "the first report of a session must be register, it is heartbeat");

    let framework = Framework::connect(&master).await;
    framework.say(Call::Revive(v1::Revive::default())).await;
    let last_word = framework.last_word().await;
    assert_eq!(last_word.code(), Code::FailedPrecondition);
    assert_eq!(last_word.message(), "the first call of a session must be subscribe, it is revive");
}

#[tokio::test]
async fn an_agent_that_cannot_join_hears_why_before_the_end() {
    let master = master().await;
    let mut agent = Agent::connect(&master).await;

    let nothing = v1::AgentInfo { resources: Some(v1::Resources::default()), ..Default::default() };
    let register = v1::RegisterAgent { info: Some(nothing), key: vec![1; 16], ..Default::default() };
    agent.say(agent_report::Report::Register(register)).await;

    let agent_order::Order::Refused(refused) = agent.order().await else { panic!("not refused") };
    assert_eq!(refused.why, "an agent needs something to offer, and has nothing");
    agent.ended().await;
}

#[tokio::test]
async fn a_framework_that_comes_back_takes_over_from_its_older_session() {
    let master = master().await;
    let older = Framework::subscribe(&master, None).await;

    let newer = Framework::subscribe(&master, Some(older.member.clone())).await;

    assert_eq!(newer.id, older.id);
    older.ended().await;
}

#[tokio::test]
async fn a_message_that_breaks_the_contract_ends_its_session_alone() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;

    framework.accept(&offer, vec![v1::TaskSpec { module: vec![1, 2, 3], ..spec(1, 1) }]).await;

    let last_word = framework.last_word().await;
    assert_eq!(last_word.code(), Code::InvalidArgument);
    assert_eq!(last_word.message(), "digest is 3 bytes, must be 32 bytes of SHA-256");
    agent.say(agent_report::Report::Heartbeat(v1::Heartbeat::default())).await;
    assert!(matches!(agent.order().await, agent_order::Order::Heartbeat(_)));
}

#[tokio::test]
async fn who_comes_back_to_a_restarted_master_keeps_its_id() {
    let folder = TempDir::new().unwrap();
    let first = Master::start(config_in(&folder)).await.unwrap();
    let _other = Agent::register(&first, None).await;
    let agent = Agent::register(&first, None).await;
    let framework = Framework::subscribe(&first, None).await;
    let digest = upload(&first, None, b"a module").await.unwrap().digest;
    first.stop().await;

    let second = Master::start(config_in(&folder)).await.unwrap();
    let agents = agents(&mut operator(&second).await).await;
    assert_eq!(agents.iter().map(|agent| (agent.id, agent.connected)).collect::<Vec<_>>(), [(1, false), (2, false)]);
    assert_eq!(Agent::register(&second, Some(&agent)).await.id, agent.id);
    assert_eq!(Framework::subscribe(&second, Some(framework.member)).await.id, framework.id);
    assert_eq!(Agent::register(&second, None).await.id, 3);
    assert_eq!(Framework::subscribe(&second, None).await.id, 2);
    artifacts(&second).await.stat(v1::ArtifactRef { digest }).await.unwrap();
}

#[tokio::test]
async fn a_state_folder_has_one_master() {
    let folder = TempDir::new().unwrap();
    let _first = Master::start(config_in(&folder)).await.unwrap();

    let refused = Master::start(config_in(&folder)).await.unwrap_err();

    assert!(refused.to_string().contains("belongs to another running master"), "{refused}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = master().await;

    let refused = Master::start(Config::new(first.addr())).await.unwrap_err();

    let expected = format!("cannot listen on {}: the port is in use; choose another, or stop who has it", first.addr());
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn artifacts_come_out_as_they_went_in() {
    let master = master().await;
    let bytes: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();

    let stored = upload(&master, None, &bytes).await.unwrap();
    assert_eq!(stored.size_bytes, 3_000_000);
    upload(&master, Some(stored.digest.clone()), &bytes).await.unwrap();

    let mut artifacts = artifacts(&master).await;
    let wanted = v1::ArtifactRef { digest: stored.digest };
    assert_eq!(artifacts.stat(wanted.clone()).await.unwrap().into_inner().size_bytes, 3_000_000);
    let mut chunks = artifacts.download(wanted).await.unwrap().into_inner();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        read.extend_from_slice(&chunk.data);
    }
    assert_eq!(read, bytes);
}

#[tokio::test]
async fn an_artifact_with_another_digest_than_announced_is_not_kept() {
    let master = master().await;

    let refused = upload(&master, Some(vec![1; 32]), b"other bytes").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let absent = artifacts(&master).await.stat(v1::ArtifactRef { digest: vec![1; 32] }).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
}

#[tokio::test]
async fn an_operator_sees_the_cluster_and_watches_it() {
    let master = master().await;
    let mut operator = operator(&master).await;
    let mut watched = operator.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;

    let offers = operator.list_offers(v1::ListOffersRequest {}).await.unwrap().into_inner();
    let offers = whole(offers, |message| message.offers).await;
    assert_eq!(offers.iter().map(|open| (open.id, open.framework, open.agent)).collect::<Vec<_>>(), [(offer.id, 1, 1)]);
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let launched = agent.launched().await;
    let tasks = tasks(&mut operator, false).await;
    assert_eq!(tasks.iter().map(|task| (task.id, task.agent)).collect::<Vec<_>>(), [(launched.id, 1)]);
    let frameworks = operator.list_frameworks(v1::ListFrameworksRequest {}).await.unwrap().into_inner();
    let frameworks = whole(frameworks, |message| message.frameworks).await;
    assert_eq!(frameworks.iter().map(|framework| framework.tasks).collect::<Vec<_>>(), [1]);
    let roles = operator.list_roles(v1::ListRolesRequest {}).await.unwrap().into_inner();
    let roles = whole(roles, |message| message.roles).await;
    assert_eq!(roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["default"]);

    let mut next = async || watched.message().await.unwrap().unwrap().event.unwrap();
    assert_eq!(next().await, watch_event::Event::AgentUp(1));
    assert_eq!(next().await, watch_event::Event::FrameworkUp(1));
    let watch_event::Event::Task(status) = next().await else { panic!("no task") };
    assert_eq!((status.task, status.state()), (launched.id, TaskState::Staging));
}

#[tokio::test]
async fn an_operator_kills_a_task_once() {
    let master = master().await;
    let mut operator = operator(&master).await;
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let launched = agent.launched().await;
    let named = |number| v1::KillTaskRequest { task: Some(v1::TaskId { framework: 1, number }), request: Vec::new() };

    operator.kill_task(named(1)).await.unwrap();
    assert_eq!(Some(agent.killed().await), launched.id);
    agent.update(&launched, 1, TaskState::Killed).await;
    assert_eq!(framework.update().await.state(), TaskState::Killed);

    assert_eq!(operator.kill_task(named(1)).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(operator.kill_task(named(2)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_operator_declares_an_agent_gone_once_it_is_away() {
    let master = master().await;
    let mut operator = operator(&master).await;
    let agent = Agent::register(&master, None).await;
    let gone = |agent| v1::MarkAgentGoneRequest { agent, request: vec![1; 16] };

    assert_eq!(operator.mark_agent_gone(gone(9)).await.unwrap_err().code(), Code::NotFound);
    let other = v1::MarkAgentGoneRequest { request: Vec::new(), ..gone(agent.id) };
    assert_eq!(operator.mark_agent_gone(other).await.unwrap_err().code(), Code::FailedPrecondition);

    let member = agent.member.clone();
    drop(agent);
    while agents(&mut operator).await.iter().any(|agent| agent.connected) {}
    let again = v1::MarkAgentGoneRequest { agent: member.id, request: vec![2; 16] };
    for _ in 0..2 {
        operator.mark_agent_gone(again.clone()).await.unwrap();
    }
    assert_eq!(agents(&mut operator).await, []);
}

#[tokio::test]
async fn a_request_that_has_no_name_of_16_bytes_is_malformed() {
    let master = master().await;
    let request = v1::MarkAgentGoneRequest { agent: 1, request: vec![1; 15] };

    let refused = operator(&master).await.mark_agent_gone(request).await.unwrap_err();

    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_master_says_which_cluster_it_leads_and_as_which_master() {
    let folder = TempDir::new().unwrap();
    let first = Master::start(config_in(&folder)).await.unwrap();
    let told = operator(&first).await.get_master(v1::GetMasterRequest {}).await.unwrap().into_inner();
    let mut agent = Agent::register(&first, None).await;
    assert_eq!((told.epoch, agent.epoch), (1, 1));
    assert_eq!(agent.member.cluster, told.cluster);
    first.stop().await;

    let second = Master::start(config_in(&folder)).await.unwrap();
    let later = operator(&second).await.get_master(v1::GetMasterRequest {}).await.unwrap().into_inner();
    agent = Agent::register(&second, Some(&agent)).await;
    assert_eq!((later.epoch, agent.epoch, later.cluster), (2, 2, told.cluster));
}

#[tokio::test]
async fn an_agent_without_a_key_of_its_own_is_turned_away() {
    let master = master().await;
    let agent = Agent::connect(&master).await;

    let register = v1::RegisterAgent { key: vec![0; 16], ..Default::default() };
    agent.say(agent_report::Report::Register(register)).await;

    assert_eq!(agent.last_word().await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_log_is_pulled_from_the_agent_until_its_end() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let launched = agent.launched().await;

    let request =
        v1::ReadLogRequest { task: launched.id, stream: OutputStream::Stdout.into(), offset: 0, follow: true };
    let mut log = operator(&master).await.read_log(request).await.unwrap().into_inner();
    let pieces = [("hello ", false), ("", false), ("world", true)];
    let played = async {
        for (text, end) in pieces {
            let order = agent.read_log().await;
            assert!(order.wait);
            agent.answer(&order, text, end).await;
        }
    };
    let read = async {
        let mut text = Vec::new();
        while let Some(piece) = log.message().await.unwrap() {
            assert_eq!(piece.offset, text.len() as u64);
            text.extend_from_slice(&piece.data);
        }
        text
    };
    let ((), text) = tokio::join!(played, read);
    assert_eq!(text, b"hello world");
}

#[tokio::test]
async fn a_log_is_unavailable_when_its_agent_is_away() {
    let master = master().await;
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let launched = agent.launched().await;
    let request =
        v1::ReadLogRequest { task: launched.id, stream: OutputStream::Stderr.into(), offset: 0, follow: true };
    let mut operator = operator(&master).await;

    let mut log = operator.read_log(request).await.unwrap().into_inner();
    agent.read_log().await;
    drop(agent);
    assert_eq!(log.message().await.unwrap_err().code(), Code::Unavailable);

    while agents(&mut operator).await[0].connected {}
    assert_eq!(operator.read_log(request).await.unwrap_err().code(), Code::Unavailable);
    let stranger = v1::ReadLogRequest { task: Some(v1::TaskId { framework: 9, number: 9 }), ..request };
    assert_eq!(operator.read_log(stranger).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn stopping_ends_every_stream() {
    let master = master().await;
    let agent = Agent::register(&master, None).await;
    let framework = Framework::subscribe(&master, None).await;
    let mut operator = operator(&master).await;
    let mut watched = operator.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    let address = master.addr();

    master.stop().await;

    assert_eq!(agent.last_word().await.code(), Code::Unavailable);
    assert_eq!(framework.last_word().await.code(), Code::Unavailable);
    assert!(watched.message().await.unwrap().is_none());
    Master::start(Config::new(address)).await.unwrap().stop().await;
}

#[tokio::test]
async fn an_accept_of_an_offer_that_is_gone_is_answered() {
    let master = master().await;
    let mut framework = Framework::subscribe(&master, None).await;

    framework.accept(&v1::Offer { id: 99, ..Default::default() }, vec![spec(framework.id, 1)]).await;

    let framework_event::Event::Update(update) = framework.event().await else { panic!("no update") };
    assert_eq!((update.state(), update.reason()), (TaskState::Dropped, Reason::InvalidOffers));
}
