//! Tasks that are run again, by whom they are of.

use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::operator_client::OperatorClient;
use haggle_proto::v1::{PrincipalKind, TaskState};
use tonic::Code;

use crate::access::{create, newcomer, wanted};
use crate::metrics::{ask, owners};
use crate::pages::{ORIGIN, bearer, get, log_in, post};
use crate::peers::{Agent, Framework, Wire, agents, loopback, operator, spec, tasks, upload_on, whole};

/// A master, an agent, and a task in `eng/a` that has ended and was acknowledged: as it was launched, and whose it is.
struct Played {
    master: Master,
    agent: Agent,
    /// That of the first launch, which has left.
    framework: u64,
    task: v1::TaskSpec,
    tenant: Wire,
}

impl Played {
    async fn start() -> Self {
        Self::with(|spec| spec).await
    }

    /// With a task that is somewhat different.
    async fn with(change: impl FnOnce(v1::TaskSpec) -> v1::TaskSpec) -> Self {
        let master = Master::start(Config::new(loopback())).await.unwrap();
        let mut agent = Agent::register(&master, None).await;
        let (tenant, _) = newcomer(&master, PrincipalKind::Framework, "a", &["eng/*"]).await;
        let module = upload_on(tenant.clone(), None, b"a module").await.unwrap().digest;
        let mut framework = Framework::subscribe_on(tenant.clone(), None, "eng/a").await.unwrap();
        let offer = framework.offer().await;
        let variable = |name: &str, value: &str| v1::EnvVar { name: name.to_owned(), value: value.to_owned() };
        let env = vec![variable("PASSWORD", "hunter2"), variable("TRACEPARENT", "of another caller")];
        let task = change(v1::TaskSpec { module, env, ..spec(framework.id, 1) });
        framework.accept(&offer, vec![task]).await;
        let task = agent.launched().await;
        agent.update(&task, 1, TaskState::Finished).await;
        let status = framework.update().await;
        framework.acknowledge(&status).await;
        agent.acknowledged().await;
        // Whatever is free is nobody's then.
        framework.say(Call::Teardown(v1::Teardown {})).await;
        gone(&tenant, framework.id).await;
        Self { master, agent, framework: framework.id, task, tenant }
    }

    fn again(&self) -> v1::RunAgainRequest {
        v1::RunAgainRequest { task: self.task.id, request: Vec::new() }
    }

    fn page(&self) -> String {
        format!("/tasks/task-{}.1", self.framework)
    }
}

/// Asks until a framework has left.
async fn gone(tenant: &Wire, framework: u64) {
    let mut operator = OperatorClient::new(tenant.clone());
    loop {
        let list = operator.list_frameworks(v1::ListFrameworksRequest {}).await.unwrap().into_inner();
        if whole(list, |message| message.frameworks).await.iter().all(|known| known.id != framework) {
            return;
        }
    }
}

#[tokio::test]
async fn a_task_runs_again_as_a_task_of_a_new_framework_which_leaves_when_that_has_ended() {
    let mut played = Played::start().await;
    let mut tenant = OperatorClient::new(played.tenant.clone());

    let begun = tenant.run_again(played.again()).await.unwrap().into_inner();

    let again = played.agent.launched().await;
    assert_eq!((begun.task, begun.framework), (again.id, again.id.unwrap().framework));
    assert_ne!(begun.framework, played.framework);
    let first = &played.task;
    assert_eq!((&again.name, &again.role), (&first.name, &first.role));
    assert_eq!((&again.module, &again.args), (&first.module, &first.args));
    assert_eq!((&again.resources, &again.limits), (&first.resources, &first.limits));
    assert_eq!(again.env, first.env[..1], "all that was given to it, but for the span of another caller");
    let listed = tasks(&mut tenant, false).await;
    assert_eq!(listed.iter().map(|task| task.id).collect::<Vec<_>>(), [begun.task], "it is the tenant's own");

    played.agent.update(&again, 1, TaskState::Running).await;
    played.agent.update(&again, 2, TaskState::Finished).await;
    // The first of these may be passed on by itself.
    while played.agent.acknowledged().await.update != 2 {}
    gone(&played.tenant, begun.framework).await;
    assert_eq!(tasks(&mut tenant, true).await.len(), 2, "what became of it is remembered");
}

#[tokio::test]
async fn a_request_that_is_made_anew_is_carried_out_once() {
    let mut played = Played::start().await;
    let mut tenant = OperatorClient::new(played.tenant.clone());
    let request = v1::RunAgainRequest { request: vec![7; 16], ..played.again() };

    let first = tenant.run_again(request.clone()).await.unwrap().into_inner();
    let second = tenant.run_again(request).await.unwrap().into_inner();

    assert_eq!(first, second);
    assert_eq!(played.agent.launched().await.id, first.task);
    let third = tenant.run_again(played.again()).await.unwrap().into_inner();
    assert_ne!(first.framework, third.framework);
}

#[tokio::test]
async fn a_task_is_run_again_by_whoever_may_launch_in_its_role_and_see_it() {
    let mut played = Played::start().await;
    let (viewer, _) = newcomer(&played.master, PrincipalKind::Viewer, "eye", &["eng/*"]).await;
    let (other, _) = newcomer(&played.master, PrincipalKind::Framework, "b", &["eng/*"]).await;
    let refused = async |wire: Wire| OperatorClient::new(wire).run_again(played.again()).await.unwrap_err();

    let looks = refused(viewer).await;
    let of_another = refused(other).await;

    assert_eq!(looks.code(), Code::PermissionDenied);
    assert_eq!(looks.message(), "\"eye\" (viewer) may not run tasks again: that takes owner, operator or framework");
    assert_eq!(of_another.code(), Code::NotFound);
    assert!(!of_another.message().contains("hunter2"));
    // The same name in other roles: what it once launched it may see, and no more launch there.
    let (moved, _) = newcomer(&played.master, PrincipalKind::Framework, "a", &["ops"]).await;
    let moved = refused(moved).await;
    assert_eq!(moved.code(), Code::PermissionDenied);
    assert!(moved.message().contains("may not subscribe in the role \"eng/a\""), "{moved}");
    // Whoever runs the cluster may.
    let begun = operator(&played.master).await.run_again(played.again()).await.unwrap().into_inner();
    assert_eq!(played.agent.launched().await.id, begun.task);
}

#[tokio::test]
async fn without_room_it_waits_as_a_framework_of_its_callers_does() {
    let played = Played::start().await;
    let mut tenant = OperatorClient::new(played.tenant.clone());
    let fills = v1::TaskSpec { resources: Some(crate::peers::resources(2_000, 1 << 30)), ..spec(0, 1) };
    let mut framework = Framework::subscribe(&played.master, None).await;
    let offer = framework.offer().await;
    framework
        .accept(&offer, vec![v1::TaskSpec { id: Some(v1::TaskId { framework: framework.id, number: 1 }), ..fills }])
        .await;
    assert_eq!(agents(&mut operator(&played.master).await).await.len(), 1);

    let begun = tenant.run_again(played.again()).await.unwrap().into_inner();

    assert_eq!(begun.task, None);
    let why = v1::WhyRequest { framework: begun.framework, role: String::new() };
    assert!(tenant.why(why).await.unwrap().into_inner().waits_ms.is_some());
}

#[tokio::test]
async fn what_cannot_be_run_again_is_refused_with_the_reason() {
    let gone = Played::with(|spec| v1::TaskSpec { module: vec![7; 32], ..spec }).await;
    let large = Played::with(|spec| v1::TaskSpec { stdin: vec![0; 40 << 10], ..spec }).await;
    let refused = async |played: &Played| {
        let mut tenant = OperatorClient::new(played.tenant.clone());
        tenant.run_again(played.again()).await.unwrap_err()
    };

    let [gone, large] = [refused(&gone).await, refused(&large).await];
    let never_was = {
        let played = Played::start().await;
        let task = Some(v1::TaskId { framework: played.framework, number: 9 });
        OperatorClient::new(played.tenant.clone()).run_again(v1::RunAgainRequest { task, request: Vec::new() }).await
    };

    assert_eq!((gone.code(), large.code()), (Code::FailedPrecondition, Code::FailedPrecondition));
    assert!(gone.message().contains("is not kept any more: upload it again"), "{gone}");
    assert!(large.message().contains("larger than the 32 KiB that the master keeps of a task"), "{large}");
    assert_eq!(never_was.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_artifact_that_was_removed_is_named() {
    let played = Played::start().await;
    let owners = crate::peers::wire(&played.master, crate::peers::owner(&played.master)).await;
    let digest = played.task.module.clone();
    ArtifactsClient::new(owners).remove(v1::ArtifactRef { digest }).await.unwrap();

    let refused = OperatorClient::new(played.tenant.clone()).run_again(played.again()).await.unwrap_err();

    assert!(refused.message().contains("sha256:") && refused.message().contains("not kept"), "{refused}");
}

#[tokio::test]
async fn the_page_has_a_button_for_those_who_may_and_takes_it_from_this_origin_alone() {
    let mut played = Played::start().await;
    let of =
        async |kind, name, roles: &'static [&'static str]| create(&played.master, wanted(kind, name, roles)).await.text;
    let tenant = log_in(&played.master, &of(PrincipalKind::Framework, "a", &["eng/*"]).await).await;
    let viewer = log_in(&played.master, &of(PrincipalKind::Viewer, "eye", &["*"]).await).await;
    let (page, press) = (played.page(), format!("{}/again", played.page()));

    let seen = get(&played.master, &page, &[&tenant, "accept: text/html"]).await;
    assert!(
        seen.contains("Run again") && seen.contains(&format!("haggle again task-{}.1", played.framework)),
        "{seen}"
    );
    assert!(!seen.contains("hunter2"), "what it was launched with is on no page");
    let looked = get(&played.master, &page, &[&viewer, "accept: text/html"]).await;
    assert!(looked.starts_with("HTTP/1.1 200") && !looked.contains("Run again"), "{looked}");
    let elsewhere = post(&played.master, &press, "", &[&tenant, "origin: http://evil.example"]).await;
    assert!(elsewhere.starts_with("HTTP/1.1 303") && elsewhere.contains("/login"), "{elsewhere}");
    assert!(post(&played.master, &press, "", &[&viewer, ORIGIN]).await.starts_with("HTTP/1.1 403"));

    let pressed = post(&played.master, &press, "", &[&tenant, ORIGIN]).await;

    // Whoever looked asked it for the end of the output, too.
    let again = loop {
        if let Order::Launch(spec) = played.agent.order().await {
            break spec.id.unwrap();
        }
    };
    let leads = format!("location: /tasks/task-{}.{}\r\n", again.framework, again.number);
    assert!(pressed.starts_with("HTTP/1.1 303") && pressed.contains(&leads), "{pressed}");
    let owner = [format!("authorization: {}", owners(&played.master)), "accept: application/json".to_owned()];
    let json = ask(&played.master, "POST", &press, &owner).await;
    // The agent has room for one.
    assert!(json.contains("\"task\":null") && json.contains("\"framework\":\"framework-"), "{json}");
}

#[tokio::test]
async fn of_a_task_of_which_too_little_is_kept_the_page_says_why_it_cannot_be_run_again() {
    let played = Played::with(|spec| v1::TaskSpec { stdin: vec![0; 40 << 10], ..spec }).await;
    let token = create(&played.master, wanted(PrincipalKind::Operator, "", &[])).await.text;

    let page = get(&played.master, &played.page(), &[&bearer(&token), "accept: text/html"]).await;

    assert!(page.contains("larger than the 32 KiB") && !page.contains("haggle again"), "{page}");
}
