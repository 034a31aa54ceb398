//! Weights, quotas, demand and the answers to why: asked by the command, held by the cluster.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use haggle_core::{Digest, Resources};
use haggle_kit::{AgentFlags, Cluster, until, wasm};
use haggle_sdk::{Client, Event, Events, Framework, FrameworkInfo, Offer, OfferId, Task, TaskId, TaskState, Want};
use serde_json::{Value, json};

use crate::run::text;
use crate::said::{lines, said};

/// What an offer that is not taken is refused for: longer than any test takes.
const FOR_GOOD: Duration = Duration::from_secs(3600);

async fn role(cluster: &Cluster, name: &str) -> Option<Value> {
    let roles = lines(&cluster.haggle(&["roles", "--json"]).await);
    roles.into_iter().find(|role| role["name"] == name)
}

/// A cluster of one agent with two cores.
async fn two_cores() -> (Cluster, Client) {
    let cluster = Cluster::start(&[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    (cluster, client)
}

/// A framework that takes offers when the test says so.
struct Tenant {
    framework: Framework,
    events: Events,
    module: Digest,
    launched: u64,
}

impl Tenant {
    async fn join(client: &Client, role: &str) -> Self {
        Self::join_as(client, in_roles(&[role])).await
    }

    async fn join_as(client: &Client, info: FrameworkInfo) -> Self {
        let module = client.upload(wasm("sleeper")).await.unwrap();
        let (framework, events) = Framework::connect(client, info).await.unwrap();
        Self { framework, events, module, launched: 0 }
    }

    fn task(&self, cpus: &str) -> Task {
        Task::new(self.module).cpus(cpus).mem("16MiB").arg("3600")
    }

    /// Wants room for so many tasks of so many cpus.
    async fn wants(&self, cpus: &str, waiting: u32) {
        let resources = self.task(cpus).wants().clone();
        self.framework
            .demand([Want { resources, constraints: Vec::new(), volumes: Vec::new(), waiting, spare: 0, gang: 0 }])
            .await
            .unwrap();
    }

    /// The next offer; what comes before is acknowledged.
    async fn offer(&mut self) -> Offer {
        loop {
            match self.events.next().await.expect("the session lasts") {
                Event::Offers(mut offers) => return offers.remove(0),
                Event::Update(status) => self.framework.acknowledge([&status]).await.unwrap(),
                _ => {}
            }
        }
    }

    /// So many offers, from the first on.
    async fn offers(&mut self, count: usize) -> Vec<Offer> {
        let mut offers = Vec::new();
        while offers.len() < count {
            if let Event::Offers(more) = self.events.next().await.expect("the session lasts") {
                offers.extend(more);
            }
        }
        offers
    }

    async fn rescinded(&mut self) -> Vec<OfferId> {
        loop {
            if let Event::Rescinded(offers) = self.events.next().await.expect("the session lasts") {
                return offers;
            }
        }
    }

    /// Launches a task that sleeps, and waits until it runs.
    async fn launch(&mut self, offer: &Offer, cpus: &str) -> TaskId {
        self.launched += 1;
        let id = TaskId { framework: self.framework.id(), number: self.launched };
        self.framework.accept([offer.id], [self.task(cpus).spec(id)], FOR_GOOD).await.unwrap();
        loop {
            if let Event::Update(status) = self.events.next().await.expect("the session lasts") {
                self.framework.acknowledge([&status]).await.unwrap();
                assert!(!status.state.is_terminal(), "{status:?}");
                if status.state == TaskState::Running {
                    return id;
                }
            }
        }
    }
}

fn in_roles(roles: &[&str]) -> FrameworkInfo {
    FrameworkInfo {
        name: format!("tenant of {}", roles[0]),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        failover_timeout: Duration::from_secs(60),
    }
}

fn cpus(resources: &Resources) -> u64 {
    resources.cpus.get()
}

#[tokio::test]
async fn a_limit_holds_what_a_role_gets_and_why_says_so() {
    let (cluster, client) = two_cores().await;
    let set = said(&cluster, &["quota", "set", "eng", "--limit", "cpus=0.5"]).await;
    assert_eq!(set, "eng is promised nothing, and may have cpus=0.5 at most\n");
    let mut tenant = Tenant::join(&client, "eng/batch").await;
    tenant.wants("0.5", 2).await;

    let offer = tenant.offer().await;
    assert_eq!(cpus(&offer.resources), 500);
    let task = tenant.launch(&offer, "0.5").await;
    tenant.wants("0.5", 1).await;

    let why = until("the tenant waits", async || lines(&cluster.haggle(&["why", "eng", "--json"]).await).pop()).await;
    assert_eq!(why["role"], "eng/batch", "{why}");
    let hindrance = &why["hindrances"][0];
    assert_eq!((&hindrance["obstacle"], &hindrance["role"]), (&"at_limit".into(), &"eng".into()), "{why}");
    let framework = tenant.framework.id().to_string();
    for whom in [framework.as_str(), "tenant of eng/batch"] {
        let told = said(&cluster, &["why", whom]).await;
        assert!(told.contains("waits for") && told.contains("the role eng is at its limit"), "{told}");
    }
    let told = said(&cluster, &["why", &task.to_string()]).await;
    assert!(told.contains("is RUNNING on agent-1") && told.lines().count() == 1, "{told}");
    let eng = role(&cluster, "eng").await.unwrap();
    assert_eq!((&eng["used"]["cpus"], &eng["waiting"]), (&0.5.into(), &1.into()), "{eng}");

    said(&cluster, &["quota", "rm", "eng"]).await;
    assert_eq!(cpus(&tenant.offer().await.resources), 500);
}

#[tokio::test]
async fn a_guarantee_is_kept_though_nobody_uses_it() {
    let (cluster, client) = two_cores().await;
    said(&cluster, &["quota", "set", "vip", "--guarantee", "cpus=1.5,mem=512MiB"]).await;

    let mut greedy = Tenant::join(&client, "greedy").await;
    let offer = greedy.offer().await;
    assert_eq!(cpus(&offer.resources), 500);
    greedy.launch(&offer, "0.5").await;
    let mut vip = Tenant::join(&client, "vip").await;

    assert_eq!(cpus(&vip.offer().await.resources), 1_500);
}

#[tokio::test]
async fn a_weight_holds_at_once_and_goes_back_to_that_of_the_configuration() {
    let (cluster, client) = two_cores().await;
    let _tenants = [Tenant::join(&client, "batch").await, Tenant::join(&client, "prod").await];
    let fair = async || role(&cluster, "prod").await.unwrap()["fair_share"].as_f64().unwrap();
    assert_eq!(fair().await, 0.5);

    assert_eq!(said(&cluster, &["weight", "prod", "3"]).await, "prod has the weight 3\n");
    assert_eq!(fair().await, 0.75);

    said(&cluster, &["weight", "prod", "--default"]).await;
    assert_eq!(fair().await, 0.5);
}

#[tokio::test]
async fn what_was_decided_of_roles_survives_the_master() {
    let (mut cluster, _) = two_cores().await;
    said(&cluster, &["quota", "set", "eng/batch", "--guarantee", "cpus=1", "--limit", "cpus=2,disk=0"]).await;
    said(&cluster, &["weight", "eng", "4"]).await;
    let before = (role(&cluster, "eng").await, lines(&cluster.haggle(&["quota", "ls", "--json"]).await));

    cluster.restart_master().await;
    cluster.registered(1).await;

    let after = (role(&cluster, "eng").await, lines(&cluster.haggle(&["quota", "ls", "--json"]).await));
    assert_eq!(after, before);
    assert_eq!(after.0.unwrap()["weight"], 4);
    assert_eq!(after.1[0]["quota"]["limit"], json!({ "cpus": 2.0, "disk_bytes": 0 }));
    let table = said(&cluster, &["quota", "ls"]).await;
    assert!(table.contains("eng/batch  cpus=1     cpus=2,disk=0B"), "{table}");
}

#[tokio::test]
async fn a_lowered_limit_takes_offers_back_and_is_refused_below_what_tasks_hold() {
    let (cluster, client) = two_cores().await;
    let mut tenant = Tenant::join(&client, "eng").await;
    let whole = tenant.offer().await;
    assert_eq!(cpus(&whole.resources), 2_000);

    said(&cluster, &["quota", "set", "eng", "--limit", "cpus=1"]).await;
    assert_eq!(tenant.rescinded().await, [whole.id]);
    let half = tenant.offer().await;
    assert_eq!(cpus(&half.resources), 1_000);
    tenant.launch(&half, "1").await;

    let lower = ["quota", "set", "eng", "--limit", "cpus=0.5"];
    let refused = cluster.haggle(&lower).await;
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("above the limit of 0.500 cpu: force it"), "{}", text(&refused.stderr));
    said(&cluster, &[lower.as_slice(), &["--force"]].concat()).await;
    let eng = role(&cluster, "eng").await.unwrap();
    assert_eq!((&eng["used"]["cpus"], &eng["quota"]["limit"]["cpus"]), (&1.0.into(), &0.5.into()), "{eng}");
}

#[tokio::test]
async fn guarantees_beyond_what_there_is_are_refused_unless_forced() {
    let (cluster, _) = two_cores().await;
    let set = ["quota", "set", "eng", "--guarantee", "cpus=3"];

    let refused = cluster.haggle(&set).await;
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("roles are promised 3.000 cpu"), "{}", text(&refused.stderr));
    assert_eq!(lines(&cluster.haggle(&["quota", "ls", "--json"]).await), Vec::<Value>::new());

    said(&cluster, &[set.as_slice(), &["--force"]].concat()).await;
    assert_eq!(lines(&cluster.haggle(&["quota", "ls", "--json"]).await).len(), 1);
    let nobody = cluster.haggle(&["quota", "rm", "ops"]).await;
    assert!(text(&nobody.stderr).contains("the role ops has no quota"), "{}", text(&nobody.stderr));
    let nobody = cluster.haggle(&["why", "ops"]).await;
    assert!(text(&nobody.stderr).contains("nobody is called \"ops\""), "{}", text(&nobody.stderr));
}

#[tokio::test]
async fn what_a_framework_does_not_want_of_an_agent_is_a_second_ones() {
    let (cluster, client) = two_cores().await;
    let mut modest = Tenant::join(&client, "modest").await;
    let whole = modest.offer().await;
    assert_eq!(cpus(&whole.resources), 2_000, "without a word it is offered everything");

    modest.wants("0.25", 1).await;
    modest.framework.decline([whole.id], Duration::ZERO).await.unwrap();
    let small = modest.offer().await;
    assert_eq!(cpus(&small.resources), 250);
    modest.launch(&small, "0.25").await;
    let mut second = Tenant::join(&client, "second").await;

    assert_eq!(cpus(&second.offer().await.resources), 1_750);
    let offers = lines(&cluster.haggle(&["offers", "--json"]).await);
    assert!(offers.iter().all(|offer| offer["age_seconds"].as_f64().is_some()), "{offers:?}");
}

#[tokio::test]
async fn a_run_that_waits_is_told_the_masters_reason() {
    let (cluster, _) = two_cores().await;
    said(&cluster, &["quota", "set", "eng", "--limit", "cpus=0,mem=0"]).await;
    let module = wasm("hello").display().to_string();
    let mut run = cluster.command(&["run", &module, "--role", "eng", "--cpus", "0.5"]);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(run.stderr.take().unwrap());

    let told = tokio::task::spawn_blocking(|| {
        let mut told = stderr.lines().map_while(Result::ok);
        let first = told.find(|line| line.contains("the task waits, for 5 s now"));
        // The reason stands behind it, or below.
        let is_reason = |line: &String| line.contains("the role eng is at its limit");
        let reason = first.clone().filter(is_reason).or_else(|| told.find(is_reason));
        (reason, first, told)
    });
    // Its standard error stays open, for it may have more to say.
    let (reason, first, _stderr) = told.await.unwrap();
    assert!(reason.is_some(), "{first:?}");

    said(&cluster, &["quota", "rm", "eng"]).await;
    let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(text(&output.stdout), "hello, world\n");
}

#[tokio::test]
async fn a_framework_in_two_roles_launches_for_each_and_leaves_one_while_its_task_runs_on() {
    let (mut cluster, client) = two_cores().await;
    for role in ["web", "batch"] {
        said(&cluster, &["quota", "set", role, "--limit", "cpus=0.5,mem=256MiB"]).await;
    }
    let mut tenant = Tenant::join_as(&client, in_roles(&["web", "batch/night"])).await;
    let offers = tenant.offers(2).await;
    let mut offered: Vec<_> = offers.iter().map(|offer| (offer.role.as_str(), cpus(&offer.resources))).collect();
    offered.sort_unstable();
    assert_eq!(offered, [("batch/night", 500), ("web", 500)]);
    for offer in &offers {
        tenant.launch(offer, "0.5").await;
    }
    let used = async |cluster: &Cluster, name| role(cluster, name).await.map(|role| role["used"]["cpus"].clone());
    assert_eq!((used(&cluster, "web").await, used(&cluster, "batch").await), (Some(0.5.into()), Some(0.5.into())));

    tenant.framework.update(in_roles(&["web", "day"])).await.unwrap();

    let framework = tenant.framework.id().to_string();
    let roles = async |cluster: &Cluster| lines(&cluster.haggle(&["frameworks", "--json"]).await)[0]["roles"].clone();
    let changed = async || (roles(&cluster).await == json!(["web", "day"])).then_some(());
    until("it is in other roles", changed).await;
    let why = lines(&cluster.haggle(&["why", &framework, "--json"]).await);
    assert_eq!(why.iter().map(|why| &why["role"]).collect::<Vec<_>>(), ["web", "day"]);
    assert_eq!(used(&cluster, "batch").await, Some(0.5.into()), "its task runs on");

    // Another master hears from the agent where each task counts.
    cluster.restart_master().await;
    cluster.registered(1).await;
    let counted = async || {
        let both = (used(&cluster, "web").await, used(&cluster, "batch").await);
        (both == (Some(0.5.into()), Some(0.5.into()))).then_some(())
    };
    until("each task counts where it was launched", counted).await;
    assert_eq!(roles(&cluster).await, json!(["web", "day"]));
}

#[tokio::test]
async fn offers_for_two_roles_launch_nothing_together() {
    let (cluster, client) = two_cores().await;
    for role in ["a", "b"] {
        said(&cluster, &["quota", "set", role, "--limit", "cpus=0.5,mem=256MiB"]).await;
    }
    let mut tenant = Tenant::join_as(&client, in_roles(&["a", "b"])).await;
    let both: Vec<_> = tenant.offers(2).await.iter().map(|offer| offer.id).collect();

    let id = TaskId { framework: tenant.framework.id(), number: 1 };
    tenant.framework.accept(both, [tenant.task("0.5").spec(id)], FOR_GOOD).await.unwrap();

    let dropped = loop {
        if let Event::Update(status) = tenant.events.next().await.expect("the session lasts") {
            break status;
        }
    };
    assert_eq!(dropped.state, TaskState::Dropped);
    assert!(dropped.message.contains("offers can be combined when they are for one role"), "{dropped:?}");
}

#[tokio::test]
async fn what_operators_decide_is_told_to_machines_by_every_command() {
    let (cluster, _) = two_cores().await;
    let told = async |args: &[&str]| lines(&cluster.haggle(&[args, &["--json"]].concat()).await).pop().unwrap();

    assert_eq!(told(&["weight", "eng", "3"]).await, json!({ "name": "eng", "weight": 3 }));
    assert_eq!(told(&["weight", "eng", "--default"]).await, json!({ "name": "eng", "weight": null }));
    let quota = told(&["quota", "set", "eng", "--limit", "cpus=1"]).await;
    assert_eq!((&quota["name"], &quota["quota"]["limit"]["cpus"]), (&json!("eng"), &json!(1.0)));
    assert_eq!(told(&["quota", "rm", "eng"]).await, json!({ "name": "eng", "quota": null }));
    assert_eq!(
        told(&["roles", "set", "eng", "--placement", "spread"]).await,
        json!({ "name": "eng", "placement": "spread" })
    );
    let reserved = told(&["reserve", "agent-1", "eng", "cpus=1,disk=2MiB"]).await;
    assert_eq!((&reserved["agent"], &reserved["role"]), (&json!("agent-1"), &json!("eng")));
    assert_eq!(reserved["resources"]["cpus"], 1.0);
    let volume = told(&["volume", "create", "agent-1", "eng", "data", "1MiB"]).await["id"].as_str().unwrap().to_owned();
    until("its agent has made it", async || (told(&["volume", "ls"]).await["state"] == "ready").then_some(())).await;
    assert_eq!(told(&["volume", "share", &volume]).await, json!({ "id": volume, "shared": true }));
    assert_eq!(told(&["volume", "rm", &volume]).await, json!({ "id": volume, "removed": true }));
    assert_eq!(told(&["drain", "agent-1", "--wait"]).await["id"], "agent-1");
    assert_eq!(told(&["undrain", "agent-1"]).await, json!({ "id": "agent-1", "state": "up" }));
    let window = told(&["maintenance", "schedule", "agent-1", "--start", "1h", "--for", "1h"]).await;
    let id = window["id"].as_str().unwrap().to_owned();
    assert_eq!(told(&["maintenance", "cancel", &id]).await, json!({ "id": id, "cancelled": true }));
}
