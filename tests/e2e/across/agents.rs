//! Agents with certificates: what they may come as, and how that ends.

use std::process::Stdio;

use haggle_kit::{until, wasm};

use super::{Machine, Master};

#[tokio::test]
async fn a_join_token_lets_in_as_many_agents_as_it_says() {
    let master = Master::secure().await;
    let (one, two) = (Machine::new(), Machine::new());
    let token = master.token(&["--kind", "agent"]);
    let _agent = one.agent("a", &["--join", &one.keep(&token)]);
    master.has_agents(1).await;

    let mut late = two.agent("a", &["--join", &two.keep(&token)]);

    assert!(!late.exited().await.success());
    assert!(late.log().contains("used up"), "{}", late.log());
    master.has_agents(1).await;
}

#[tokio::test]
async fn only_a_token_for_agents_lets_one_join() {
    let master = Master::secure().await;
    let machine = Machine::new();

    let mut agent = machine.agent("a", &["--join", &machine.keep(&master.token(&["--kind", "operator"]))]);

    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("this token is of kind operator"), "{}", agent.log());
}

#[tokio::test]
async fn an_agent_belongs_to_one_cluster() {
    let (one, other) = (Master::secure().await, Master::secure().await);
    let machine = Machine::new();
    let mut agent = machine.agent("a", &["--join", &machine.keep(&one.token(&["--kind", "agent"]))]);
    one.has_agents(1).await;
    agent.kill();

    let mut agent = machine.agent("a", &["--join", &machine.keep(&other.token(&["--kind", "agent"]))]);

    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("name another --work-dir"), "{}", agent.log());
}

#[tokio::test]
async fn an_address_that_is_another_clusters_keeps_nobody_from_the_master_at_the_next_one() {
    let (one, other) = (Master::secure().await, Master::secure().await);
    let machine = Machine::new();
    let masters = format!("{},{}", other.address, one.address);
    let (join, operator) = (one.token(&["--kind", "agent"]), one.token(&["--kind", "operator"]));

    let _agent = machine.agent("a", &["--join", &machine.keep(&join), "--master", &masters]);

    one.has_agents(1).await;
    machine.haggle(&["whoami", "--token", &operator, "--master", &masters]).well();
    let alone = machine.haggle(&["whoami", "--token", &operator, "--master", &other.address]);
    alone.refused(&["it is of another authority"]);
}

#[tokio::test]
async fn an_agent_that_is_removed_ends_its_tasks_and_cannot_come_back() {
    let master = Master::secure().await;
    let machine = Machine::new();
    let mut agent = machine.agent("a", &["--join", &machine.keep(&master.token(&["--kind", "agent"]))]);
    master.has_agents(1).await;
    let spinner = wasm("spinner").display().to_string();
    let mut run = master.machine.command(&["run", &spinner, "--master", &master.address]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the task runs", async || {
        let tasks = master.haggle(&["ps", "--json"]).json();
        tasks.iter().any(|task| task["state"] == "RUNNING").then_some(())
    })
    .await;

    master.haggle(&["agents", "rm", "agent-1"]).well();

    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("agent-1 was removed by an operator"), "{}", agent.log());
    let executors = machine.path("a").join("executors");
    assert_eq!(std::fs::read_dir(executors).unwrap().count(), 0, "its tasks have ended");
    let run = run.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success() && told.contains("GONE_BY_OPERATOR"), "{told}");

    let mut agent = machine.agent("a", &[]);
    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("its certificate is void"), "{}", agent.log());
    master.haggle(&["agents", "rm", "agent-7"]).refused(&["the master knows no agent-7"]);
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_told_to_whoever_has_not_joined() {
    let machine = Machine::new();

    let mut agent = machine.agent("a", &["--join", "@nowhere"]);

    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("cannot read the secret in nowhere"), "{}", agent.log());
}
