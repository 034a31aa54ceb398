//! Windows beside other systems in a cluster of several machines, which tokens let them into.

use std::fs;

use haggle_kit::{Machine, Master, wasm, windows_binary};

/// The id of the agent of this name.
fn id_of(master: &Master, name: &str) -> String {
    let agents = master.haggle(&["agents", "--json"]).json();
    let its = agents.iter().find(|agent| agent["name"] == name).expect("there is such an agent");
    its["id"].as_str().expect("it has an id").to_owned()
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn an_agent_and_a_laptop_on_windows_join_a_master_of_another_system_over_tls() {
    let master = Master::secure().await;
    let (other, windows) = (Machine::new(), Machine::of(windows_binary("haggle")));
    let laptop = Machine::of(windows_binary("haggle"));
    let join = master.token(&["--kind", "agent", "--uses", "2"]);
    let _beside = other.agent("other", &["--join", &other.keep(&join)]);
    let _agent = windows.agent("windows", &["--join", &windows.keep(&join)]);
    master.has_agents(2).await;

    let login = laptop.keep(&master.token(&["--kind", "operator", "--name", "me"]));
    let logged_in = laptop.haggle(&["login", &login]).well();
    let primes = wasm("primes").display().to_string();
    let ran = laptop.haggle(&["run", &primes, "--instances", "12", "--cpus", "0.5", "--json", "--", "20000"]).json();

    assert!(logged_in.starts_with("Logged in as me (operator)"), "{logged_in}");
    assert!(ran.iter().all(|task| task["state"] == "FINISHED"), "{ran:?}");
    let mut agents: Vec<_> = ran.iter().map(|task| task["agent"].to_string()).collect();
    agents.sort();
    agents.dedup();
    assert_eq!((ran.len(), agents.len()), (12, 2), "both agents had work: {ran:?}");
    let log = laptop.haggle(&["logs", ran[0]["id"].as_str().unwrap()]).well();
    assert!(log.contains("2262"), "there are 2262 primes below 20000: {log}");
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn an_agent_on_windows_that_has_joined_comes_back_as_the_same_when_its_token_is_gone() {
    let master = Master::secure().await;
    let windows = Machine::of(windows_binary("haggle"));
    let join = windows.keep(&master.token(&["--kind", "agent"]));
    let mut agent = windows.agent("windows", &["--join", &join]);
    master.has_agents(1).await;
    let first = id_of(&master, "windows");

    agent.kill();
    master.has_agents(0).await;
    fs::remove_file(windows.path("token")).unwrap();
    let _agent = windows.agent("windows", &["--join", &join]);

    master.has_agents(1).await;
    assert_eq!(id_of(&master, "windows"), first);
}
