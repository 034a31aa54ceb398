//! Where tasks go: what agents say that they are and allow, what is asked of them, and how a role chooses.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use haggle_kit::{AgentFlags, Cluster, system, wasm};
use haggle_sdk::{Event, Framework, FrameworkInfo, Resources, Want};
use serde_json::json;
use tempfile::TempDir;

use crate::run::{assert_success, text};
use crate::said::lines;

const SMALL: AgentFlags = AgentFlags { cpus: "2", mem: "1GiB" };

/// A cluster of agents with these flags each, which have joined in this order.
async fn cluster(agents: &[&[&str]]) -> Cluster {
    let mut cluster = Cluster::start(&[]).await;
    for (before, more) in agents.iter().enumerate() {
        cluster.spawn_agent_with(&SMALL, more);
        cluster.registered(before + 1).await;
    }
    cluster
}

/// Runs so many tasks with these flags.
async fn run(cluster: &Cluster, flags: &[&str]) -> Output {
    let module = wasm("hello").display().to_string();
    let mut args = vec!["run", &module, "--json", "--mem", "16MiB", "--cpus", "0.5"];
    args.extend(flags);
    cluster.haggle(&args).await
}

/// On which agents they ran.
fn ran_on(output: &Output) -> BTreeSet<String> {
    lines(output).iter().map(|task| task["agent_name"].as_str().unwrap().to_owned()).collect()
}

fn only(agent: &str) -> BTreeSet<String> {
    [agent.to_owned()].into()
}

#[tokio::test]
async fn tasks_that_are_granted_a_folder_all_go_where_it_is_allowed() {
    let data = TempDir::new().unwrap();
    let (allowed, below) = (data.path().display().to_string(), data.path().join("below"));
    std::fs::create_dir(&below).unwrap();
    let cluster = cluster(&[&[], &["--allow-folder", &allowed], &[]]).await;

    let folder = format!("{}::/data", below.display());
    let output = run(&cluster, &["--instances", "12", "--host-dir", &folder]).await;

    assert_eq!(ran_on(&output), only("agent1"));
    assert_eq!(lines(&output).len(), 12);
}

#[tokio::test]
async fn where_no_agent_allows_what_is_granted_the_answer_names_who_lacks_what() {
    let cluster = cluster(&[&[], &["--allow-network"], &[]]).await;
    let began = Instant::now();

    let output = run(&cluster, &["--host-dir", "/srv::/data", "--allow-http", "api.example"]).await;

    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(began.elapsed() < Duration::from_secs(5), "it is told at once");
    let told = text(&output.stderr);
    assert!(told.contains("can run on no agent: agent0, agent2: no network is given to tasks"), "{told}");
    assert!(told.contains("agent1: tasks may not read /srv (haggle agent --allow-folder)"), "{told}");
}

#[tokio::test]
async fn tasks_with_a_network_go_to_agents_that_give_one() {
    let cluster = cluster(&[&[], &["--allow-network"]]).await;

    let output = run(&cluster, &["--instances", "6", "--allow-net", "db.example:5432"]).await;

    assert_eq!(ran_on(&output), only("agent1"));
}

#[tokio::test]
async fn constraints_choose_agents_by_attribute_and_by_name() {
    let cluster = cluster(&[&["--attribute", "zone=a"], &["--attribute", "zone=b", "--attribute", "gpu=a100"]]).await;
    for (constraint, agent) in [
        ("zone=a", "agent0"),
        ("zone!=a", "agent1"),
        ("gpu", "agent1"),
        ("!gpu", "agent0"),
        ("hostname=agent1", "agent1"),
        ("hostname!=agent1", "agent0"),
    ] {
        let output = run(&cluster, &["--instances", "4", "--constraint", constraint]).await;
        assert_eq!(ran_on(&output), only(agent), "{constraint}");
    }

    let nowhere = run(&cluster, &["--constraint", "zone=c"]).await;

    assert!(text(&nowhere.stderr).contains("agent0, agent1: zone = c is not met"), "{}", text(&nowhere.stderr));
}

#[tokio::test]
async fn agents_show_what_they_say_of_themselves() {
    let cluster = cluster(&[&["--allow-network", "--attribute", "rack=b7"]]).await;

    let agent = &lines(&cluster.haggle(&["agents", "--json"]).await)[0];

    let said = &agent["attributes"];
    assert_eq!((&said["rack"], &said["haggle.net"]), (&json!("b7"), &json!("allowed")), "{agent}");
    assert_eq!(said["haggle.os"], system(), "{agent}");
    assert_eq!(said["haggle.arch"], std::env::consts::ARCH, "{agent}");
    let refused = cluster.haggle(&["agent", "--attribute", "haggle.net=allowed"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("the agent says it of itself"), "{}", text(&refused.stderr));
}

#[tokio::test]
async fn resources_of_an_operators_own_making_are_held_by_tasks_and_limited_by_quotas() {
    let cluster = cluster(&[&[], &["--resources", "gpu=2,licence=0.5"]]).await;
    let agents = lines(&cluster.haggle(&["agents", "--json"]).await);
    assert_eq!(agents[1]["resources"]["scalars"], json!({ "gpu": 2.0, "licence": 0.5 }), "{agents:?}");

    let output = run(&cluster, &["--instances", "6", "--resources", "gpu=1"]).await;
    assert_eq!(ran_on(&output), only("agent1"));

    let too_many = run(&cluster, &["--resources", "gpu=3"]).await;
    assert!(text(&too_many.stderr).contains("3.000 gpu, more than any agent has"), "{}", text(&too_many.stderr));
    assert_success(&cluster.haggle(&["quota", "set", "eng", "--limit", "gpu=1,cpus=2"]).await);
    let quotas = lines(&cluster.haggle(&["quota", "ls", "--json"]).await);
    assert_eq!(quotas[0]["quota"]["limit"], json!({ "cpus": 2.0, "scalars": { "gpu": 1.0 } }), "{quotas:?}");
}

#[tokio::test]
async fn a_role_is_placed_as_its_operator_said_and_so_after_a_restart() {
    let mut cluster = cluster(&[&[], &[]]).await;
    let set = ["roles", "set", "eng", "--placement", "spread", "--min-allocatable", "cpus=0.5,mem=64MiB"];
    let said = cluster.haggle(&set).await;
    assert_success(&said);
    assert_eq!(text(&said.stdout), "eng is placed by spread\neng is offered cpus=0.5,mem=64MiB or more\n");
    assert_eq!(agents_of_two_tasks(&cluster, "ops").await, 1, "by default agents are filled");
    assert_eq!(agents_of_two_tasks(&cluster, "eng/batch").await, 2);

    cluster.restart_master().await;
    cluster.registered(2).await;

    let roles = lines(&cluster.haggle(&["roles", "--json"]).await);
    let eng = roles.iter().find(|role| role["name"] == "eng").unwrap();
    assert_eq!((&eng["placement"], &eng["min_allocatable"]["cpus"]), (&json!("spread"), &json!(0.5)), "{eng}");
    assert_eq!(agents_of_two_tasks(&cluster, "eng").await, 2);
    assert_success(&cluster.haggle(&["roles", "set", "eng", "--placement", "default"]).await);
    assert_eq!(agents_of_two_tasks(&cluster, "eng").await, 1);
}

/// On how many agents a framework in this role is offered room for two tasks.
async fn agents_of_two_tasks(cluster: &Cluster, role: &str) -> usize {
    let info = FrameworkInfo { name: "two".to_owned(), roles: vec![role.to_owned()], failover_timeout: Duration::ZERO };
    let resources = Resources::new("0.5".parse().unwrap(), "16MiB".parse().unwrap(), "0".parse().unwrap());
    let client = cluster.client().await;
    let (framework, mut events) = Framework::connect(&client, info).await.unwrap();
    framework
        .demand([Want { resources, constraints: Vec::new(), volumes: Vec::new(), waiting: 2, spare: 0, gang: 0 }])
        .await
        .unwrap();
    let (mut agents, mut milli) = (BTreeSet::new(), 0);
    while milli < 1000 {
        match events.next().await.expect("the session lasts") {
            Event::Offers(offers) => {
                // Whole agents were offered before it was heard what is wanted.
                let (whole, parts): (Vec<_>, Vec<_>) =
                    offers.into_iter().partition(|offer| offer.resources.cpus.get() > 1000);
                framework.decline(whole.iter().map(|offer| offer.id), Duration::ZERO).await.unwrap();
                for offer in parts {
                    agents.insert(offer.agent);
                    milli += offer.resources.cpus.get();
                }
            }
            other => drop(other),
        }
    }
    framework.teardown(events).await.unwrap();
    agents.len()
}

#[tokio::test]
async fn a_task_that_lives_from_a_burst_alone_runs_where_no_cpus_are_free() {
    let cluster = cluster(&[&[]]).await;
    let sleeper = wasm("sleeper").display().to_string();
    let mut busy = cluster.command(&["run", &sleeper, "--cpus", "2", "--mem", "16MiB", "--", "3600"]).spawn().unwrap();
    haggle_kit::until("the sleeper runs", async || {
        let agents = lines(&cluster.haggle(&["agents", "--json"]).await);
        (agents[0]["used"]["cpus"] == json!(2.0)).then_some(())
    })
    .await;

    let hello = wasm("hello").display().to_string();
    let output = cluster.haggle(&["run", &hello, "--cpus", "0", "--burst", "1", "--mem", "16MiB"]).await;

    assert_success(&output);
    busy.kill().unwrap();
    busy.wait().unwrap();
}
