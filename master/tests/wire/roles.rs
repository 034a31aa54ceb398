//! What operators decide of roles, what frameworks want, and why somebody waits.

use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::PrincipalKind;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::hindrance::Obstacle;
use haggle_proto::v1::operator_client::OperatorClient;
use tempfile::TempDir;
use tonic::Code;

use crate::access::newcomer;
use crate::peers::{Agent, Framework, Wire, loopback, operator, resources, spec, whole};

async fn master() -> Master {
    Master::start(Config::new(loopback())).await.unwrap()
}

async fn roles(operator: &mut OperatorClient<Wire>) -> Vec<v1::Role> {
    let list = operator.list_roles(v1::ListRolesRequest {}).await.unwrap().into_inner();
    whole(list, |message| message.roles).await
}

/// At most so much.
fn limit(milli_cpus: u64) -> v1::SetQuotaRequest {
    let limit = v1::Ceiling { milli_cpus: Some(milli_cpus), ..Default::default() };
    let quota = v1::Quota { guarantee: None, limit: Some(limit) };
    v1::SetQuotaRequest { role: "eng/batch".to_owned(), quota: Some(quota), ..Default::default() }
}

fn weight(weight: Option<u32>) -> v1::SetWeightRequest {
    v1::SetWeightRequest { role: "eng".to_owned(), weight, request: Vec::new() }
}

fn want(milli_cpus: u64, waiting: u32) -> v1::Want {
    let resources = v1::Resources { milli_cpus, mem_bytes: 1 << 20, ..Default::default() };
    v1::Want { resources: Some(resources), waiting, ..Default::default() }
}

#[tokio::test]
async fn weights_and_quotas_outlive_the_master_until_they_are_taken_back() {
    let folder = TempDir::new().unwrap();
    let config = || Config { state: Some(folder.path().join("state")), ..Config::new(loopback()) };
    let first = Master::start(config()).await.unwrap();
    let mut before = operator(&first).await;
    before.set_quota(limit(1_500)).await.unwrap();
    before.set_weight(weight(Some(3))).await.unwrap();
    let decided = roles(&mut before).await;
    let found = |name: &str| decided.iter().find(|role| role.name == name).unwrap();
    assert_eq!(found("eng").weight, 3);
    assert_eq!(found("eng/batch").quota.as_ref().unwrap().limit, limit(1_500).quota.unwrap().limit);
    first.stop().await;

    let second = Master::start(config()).await.unwrap();
    let mut after = operator(&second).await;
    assert_eq!(roles(&mut after).await, decided);

    after.set_quota(v1::SetQuotaRequest { quota: None, ..limit(0) }).await.unwrap();
    after.set_weight(weight(None)).await.unwrap();
    second.stop().await;
    let third = Master::start(config()).await.unwrap();
    assert_eq!(roles(&mut operator(&third).await).await, []);
}

#[tokio::test]
async fn a_decision_that_is_asked_for_again_is_made_once() {
    let master = master().await;
    let mut operator = operator(&master).await;
    let named = |milli_cpus| v1::SetQuotaRequest { request: vec![1; 16], ..limit(milli_cpus) };

    operator.set_quota(named(1_000)).await.unwrap();
    operator.set_quota(limit(2_000)).await.unwrap();
    operator.set_quota(named(1_000)).await.unwrap();

    let quota = roles(&mut operator).await.into_iter().find_map(|role| role.quota).unwrap();
    assert_eq!(quota.limit.unwrap().milli_cpus, Some(2_000));
}

#[tokio::test]
async fn what_is_decided_of_roles_is_in_the_audit() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.jsonl");
    let master = Master::start(Config { audit: Some(file.clone()), ..Config::new(loopback()) }).await.unwrap();
    let (eng, _) = newcomer(&master, PrincipalKind::Framework, "eng", &["*"]).await;
    let mut operator = operator(&master).await;
    operator.set_quota(v1::SetQuotaRequest { force: true, ..limit(1_500) }).await.unwrap();
    operator.set_weight(weight(Some(3))).await.unwrap();
    OperatorClient::new(eng).set_weight(weight(Some(9))).await.unwrap_err();
    master.stop().await;

    let audit = std::fs::read_to_string(&file).unwrap();
    let has = |parts: &[&str]| audit.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for parts in [
        ["\"principal\":\"owner\"", "\"verb\":\"SetQuota\"", "eng/batch\\\": guarantee", "limit 1.500 cpu, forced\""],
        ["\"principal\":\"owner\"", "\"verb\":\"SetWeight\"", "eng\\\": weight 3\"", "\"verdict\":\"ok\""],
        ["\"principal\":\"eng\"", "\"verb\":\"SetWeight\"", "\"code\":\"PermissionDenied\"", "set weights of roles"],
    ] {
        assert!(has(&parts), "{parts:?} in:\n{audit}");
    }
}

#[tokio::test]
async fn nonsense_is_refused_with_the_reason() {
    let master = master().await;
    let mut operator = operator(&master).await;

    let no_role = v1::SetQuotaRequest { role: "a//b".to_owned(), ..limit(1) };
    let guarantee = |milli_cpus| {
        let quota = v1::Quota { guarantee: Some(resources(milli_cpus, 0)), ..limit(1_000).quota.unwrap() };
        v1::SetQuotaRequest { quota: Some(quota), ..limit(1) }
    };
    for (wrong, code, why) in [
        (no_role, Code::InvalidArgument, "\"a//b\" is no role"),
        (guarantee(2_000), Code::InvalidArgument, "is above the limit of"),
        (guarantee(1_000), Code::FailedPrecondition, "force it if more agents are to come"),
        (limit(u64::MAX), Code::InvalidArgument, "milli_cpus of a limit"),
        (v1::SetQuotaRequest { request: vec![1; 15], ..limit(1) }, Code::InvalidArgument, "16 random bytes"),
    ] {
        let refused = operator.set_quota(wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(why), "{refused}");
    }
    let refused = operator.set_weight(weight(Some(0))).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "weight is 0, must be 1 or more"));
    assert_eq!(roles(&mut operator).await, []);

    operator.set_quota(v1::SetQuotaRequest { force: true, ..guarantee(1_000) }).await.unwrap();
}

#[tokio::test]
async fn a_framework_is_offered_what_it_wants_and_the_rest_is_anothers() {
    let master = master().await;
    let mut modest = Framework::subscribe(&master, None).await;
    modest.say(Call::Demand(v1::Demand { wants: vec![want(500, 1)], ..Default::default() })).await;
    let mut other = Framework::subscribe(&master, None).await;
    let _agent = Agent::register(&master, None).await;

    let (first, second) = (modest.offer().await, other.offer().await);

    let cpus = |offer: v1::Offer| offer.resources.unwrap().milli_cpus;
    assert_eq!((cpus(first), cpus(second)), (500, 1_500));
}

#[tokio::test]
async fn a_demand_that_nobody_can_meet_ends_the_session_with_the_reason() {
    let master = master().await;
    let framework = Framework::subscribe(&master, None).await;

    framework
        .say(Call::Demand(v1::Demand { wants: vec![v1::Want { resources: None, ..want(1, 1) }], ..Default::default() }))
        .await;
    let last_word = framework.last_word().await;
    assert_eq!(last_word.code(), Code::InvalidArgument);
    assert_eq!(last_word.message(), "resources of a want is missing");

    let framework = Framework::subscribe(&master, None).await;
    let nothing = v1::Want { resources: Some(v1::Resources::default()), ..want(1, 1) };
    framework.say(Call::Demand(v1::Demand { wants: vec![nothing], ..Default::default() })).await;
    let last_word = framework.last_word().await;
    assert_eq!(last_word.code(), Code::InvalidArgument);
    assert!(last_word.message().contains("a task needs some cpus or memory"), "{last_word}");
}

#[tokio::test]
async fn why_a_framework_waits_is_told_to_those_who_may_see_it() {
    let master = master().await;
    let (eng, _) = newcomer(&master, PrincipalKind::Framework, "eng", &["eng/*"]).await;
    let (ops, _) = newcomer(&master, PrincipalKind::Viewer, "ops", &["ops"]).await;
    let (eye, _) = newcomer(&master, PrincipalKind::Viewer, "eye", &["eng/*"]).await;
    let mut framework = Framework::subscribe_on(eng.clone(), None, "eng/batch").await.unwrap();
    let mut agent = Agent::register(&master, None).await;
    operator(&master).await.set_quota(limit(500)).await.unwrap();
    framework.say(Call::Demand(v1::Demand { wants: vec![want(500, 1)], ..Default::default() })).await;
    let offer = loop {
        // The offer of before the quota is rescinded.
        let offer = framework.offer().await;
        if offer.resources.as_ref().unwrap().milli_cpus == 500 {
            break offer;
        }
    };
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    agent.launched().await;
    framework.say(Call::Demand(v1::Demand { wants: vec![want(500, 2)], ..Default::default() })).await;
    let asked = v1::WhyRequest { framework: framework.id, ..Default::default() };

    for wire in [eng, eye] {
        let mut client = OperatorClient::new(wire);
        // What was said on the session may still be on its way.
        let why = loop {
            let why = client.why(asked.clone()).await.unwrap().into_inner();
            if why.waits_ms.is_some() {
                break why;
            }
        };
        assert_eq!((why.framework, why.name.as_str(), why.role.as_str()), (framework.id, "played", "eng/batch"));
        let [hindrance] = why.hindrances.as_slice() else { panic!("{why:?}") };
        assert!(matches!(&hindrance.obstacle, Some(Obstacle::AtLimit(at)) if at.role == "eng/batch"), "{why:?}");
        assert_eq!(hindrance.want.as_ref().map(|want| want.milli_cpus), Some(500));
    }
    let hidden = OperatorClient::new(ops).why(asked.clone()).await.unwrap_err();
    assert_eq!((hidden.code(), hidden.message()), (Code::NotFound, "there is no framework-1"));
    let unknown = operator(&master).await.why(v1::WhyRequest { framework: 9, ..Default::default() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn an_open_offer_tells_for_how_long_it_waits() {
    let master = master().await;
    let mut framework = Framework::subscribe(&master, None).await;
    let _agent = Agent::register(&master, None).await;
    framework.offer().await;
    let mut operator = operator(&master).await;

    let mut age = 0;
    while age == 0 {
        let offers = operator.list_offers(v1::ListOffersRequest {}).await.unwrap().into_inner();
        age = whole(offers, |message| message.offers).await[0].age_ms;
    }

    assert!(age < 5_000, "{age}");
}
