//! What operators decide of agents, over restarts of the master, and who may.

use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::framework_event::Event;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::v1::schedule_maintenance_request::Start;
use haggle_proto::v1::{PrincipalKind, Withheld};
use tempfile::TempDir;
use tonic::Code;

use crate::access::newcomer;
use crate::peers::{Agent, Framework, Wire, agents, loopback, operator, spec, whole};

const AN_HOUR_MS: u64 = 3_600_000;

fn drain(agent: u64, grace_ms: u64) -> v1::DrainAgentRequest {
    v1::DrainAgentRequest { agent, grace_ms, ..Default::default() }
}

/// A window of an hour that begins in an hour.
fn window(agent: u64) -> v1::ScheduleMaintenanceRequest {
    v1::ScheduleMaintenanceRequest {
        agents: vec![agent],
        start: Some(Start::StartInMs(AN_HOUR_MS)),
        duration_ms: AN_HOUR_MS,
        ..Default::default()
    }
}

async fn windows(operator: &mut OperatorClient<Wire>) -> Vec<v1::Maintenance> {
    let list = operator.list_maintenance(v1::ListMaintenanceRequest {}).await.unwrap().into_inner();
    whole(list, |message| message.maintenance).await
}

async fn phase(operator: &mut OperatorClient<Wire>) -> Option<Withheld> {
    Some(agents(operator).await.first()?.withdrawal.as_ref()?.phase())
}

#[tokio::test]
async fn an_agent_is_told_to_end_its_tasks_and_is_drained_for_the_next_master_as_well() {
    let folder = TempDir::new().unwrap();
    let config = || Config { state: Some(folder.path().join("state")), ..Config::new(loopback()) };
    let first = Master::start(config()).await.unwrap();
    let mut framework = Framework::subscribe(&first, None).await;
    let mut agent = Agent::register(&first, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let task = agent.launched().await;
    let mut before = operator(&first).await;

    before.drain_agent(drain(agent.id, 0)).await.unwrap();

    assert!(matches!(agent.order().await, Order::StopAll(_)));
    let told = loop {
        if let Event::Update(status) = framework.event().await {
            break status;
        }
    };
    assert_eq!((told.state(), told.reason()), (v1::TaskState::Killing, v1::Reason::AgentDraining));
    let early = before.reactivate_agent(v1::ReactivateAgentRequest { agent: agent.id, ..Default::default() }).await;
    assert_eq!(early.unwrap_err().code(), Code::FailedPrecondition);
    agent.update(&task, 1, v1::TaskState::Killed).await;
    let ended = framework.update().await;
    framework.acknowledge(&ended).await;
    agent.acknowledged().await;
    assert_eq!(phase(&mut before).await, Some(Withheld::Drained));
    first.stop().await;

    let second = Master::start(config()).await.unwrap();
    let back = Agent::register(&second, Some(&agent)).await;
    let mut after = operator(&second).await;
    assert_eq!(phase(&mut after).await, Some(Withheld::Drained));
    after.reactivate_agent(v1::ReactivateAgentRequest { agent: back.id, ..Default::default() }).await.unwrap();
    assert_eq!(phase(&mut after).await, None);
}

#[tokio::test]
async fn a_maintenance_window_outlives_the_master_and_whoever_holds_something_there_is_asked() {
    let folder = TempDir::new().unwrap();
    let config = || Config { state: Some(folder.path().join("state")), ..Config::new(loopback()) };
    let first = Master::start(config()).await.unwrap();
    let agent = Agent::register(&first, None).await;
    let mut before = operator(&first).await;
    let id = before.schedule_maintenance(window(agent.id)).await.unwrap().into_inner().id;
    let made = windows(&mut before).await;
    assert_eq!((made[0].id, &made[0].agents, made[0].has_begun), (id, &vec![agent.id], false));
    first.stop().await;

    let second = Master::start(config()).await.unwrap();
    let mut framework = Framework::subscribe(&second, None).await;
    let agent = Agent::register(&second, Some(&agent)).await;
    let offer = framework.offer().await;
    assert_eq!(offer.unavailability, made[0].when);
    let asked = loop {
        if let Event::InverseOffers(asked) = framework.event().await {
            break asked.offers;
        }
    };
    assert_eq!((asked[0].agent, asked[0].when), (agent.id, made[0].when));
    let decline = v1::DeclineInverse { offers: vec![asked[0].id], refuse_ms: Some(AN_HOUR_MS) };
    framework.say(Call::DeclineInverse(decline)).await;
    let mut after = operator(&second).await;
    // What was said on a session is heard in its own time.
    while windows(&mut after).await[0].declined == 0 {
        tokio::task::yield_now().await;
    }

    after.cancel_maintenance(v1::CancelMaintenanceRequest { id, ..Default::default() }).await.unwrap();
    assert_eq!(windows(&mut after).await, []);
    let again = after.cancel_maintenance(v1::CancelMaintenanceRequest { id, ..Default::default() }).await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_window_that_is_asked_for_again_is_made_once() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let agent = Agent::register(&master, None).await;
    let mut operator = operator(&master).await;
    let named = || v1::ScheduleMaintenanceRequest { request: vec![1; 16], ..window(agent.id) };

    let first = operator.schedule_maintenance(named()).await.unwrap().into_inner();
    let again = operator.schedule_maintenance(named()).await.unwrap().into_inner();

    assert_eq!(first, again);
    assert_eq!(windows(&mut operator).await.len(), 1);
    let overlaps = operator.schedule_maintenance(window(agent.id)).await.unwrap_err();
    assert_eq!(overlaps.code(), Code::FailedPrecondition);
    let nobody = operator.schedule_maintenance(window(99)).await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    let no_start = v1::ScheduleMaintenanceRequest { start: None, ..window(agent.id) };
    assert_eq!(operator.schedule_maintenance(no_start).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_is_decided_of_agents_is_in_the_audit_and_is_for_operators() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let master = Master::start(Config { audit: Some(file.clone()), ..Config::new(loopback()) }).await.unwrap();
    let agent = Agent::register(&master, None).await;
    let (tenant, _) = newcomer(&master, PrincipalKind::Framework, "ci", &["*"]).await;
    let mut operator = operator(&master).await;
    operator.schedule_maintenance(window(agent.id)).await.unwrap();
    operator.drain_agent(drain(agent.id, 1_500)).await.unwrap();
    let denied = OperatorClient::new(tenant).drain_agent(drain(agent.id, 0)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    master.stop().await;

    let audit = std::fs::read_to_string(&file).unwrap();
    let has = |parts: &[&str]| audit.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for parts in [
        ["\"principal\":\"owner\"", "\"verb\":\"Schedule\"", "agent-1: from", "for 3600s, grace 0ns"],
        ["\"principal\":\"owner\"", "\"verb\":\"DrainAgent\"", "agent-1: grace 1.5s\"", "\"verdict\":\"ok\""],
        ["\"principal\":\"ci\"", "\"verb\":\"DrainAgent\"", "\"code\":\"PermissionDenied\"", "drain agents"],
    ] {
        assert!(has(&parts), "{parts:?} in:\n{audit}");
    }
}
