//! An agent on Windows in a cluster with others.

use std::fs;

use haggle_core::TaskState;
use haggle_kit::{AgentFlags, Cluster, guests, until, wasm, windows_binary};
use haggle_sdk::{Client, Runner, Session, Task, TaskHandle, TaskId};
use serde_json::Value;

use crate::text;

/// A master of this system, an agent of this system, and one on Windows.
async fn mixed() -> Cluster {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    cluster.spawn_agent_of(windows_binary("haggle"), &AgentFlags::default());
    cluster.registered(2).await;
    cluster
}

async fn windows() -> Cluster {
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_of(windows_binary("haggle"), &AgentFlags::default());
    cluster.registered(1).await;
    cluster
}

async fn submitted(client: &Client, session: &Session, module: &str) -> TaskHandle {
    let module = client.upload_bytes(guests::compile(module)).await.unwrap();
    session.submit(Task::new(module).cpus("0.2").mem("16MiB")).await.unwrap()
}

/// The first task of this framework that runs.
async fn running(client: &Client, session: &Session) -> TaskId {
    until("the task runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        let mut its = tasks.iter().filter(|task| task.id.framework == session.framework());
        its.find(|task| task.status.state == TaskState::Running).map(|task| task.id)
    })
    .await
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn an_array_runs_on_agents_of_both_systems_and_burns_the_same_fuel() {
    let cluster = mixed().await;
    let module = wasm("primes").display().to_string();

    let output = cluster.haggle(&["run", &module, "--instances", "12", "--cpus", "0.5", "--json", "--", "20000"]).await;

    let told: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 12, "{}", text(&output.stderr));
    assert!(told.iter().all(|task| task["state"] == "FINISHED"), "{told:?}");
    let different = |of: &dyn Fn(&Value) -> String| {
        let mut all: Vec<_> = told.iter().map(of).collect();
        all.sort();
        all.dedup();
        all
    };
    assert_eq!(different(&|task| task["agent"].to_string()).len(), 2, "both agents had work: {told:?}");
    assert_eq!(different(&|task| task["usage"]["fuel"].to_string()).len(), 1, "{told:?}");
    for task in [told.first(), told.last()].into_iter().flatten() {
        let log = cluster.haggle(&["logs", task["id"].as_str().unwrap()]).await;
        assert!(text(&log.stdout).contains("2262"), "there are 2262 primes below 20000: {log:?}");
    }
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn a_killed_agent_comes_back_to_its_tasks_and_a_kill_reaches_them() {
    let mut cluster = windows().await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("outliving").start().await.unwrap();
    let handle = submitted(&client, &session, guests::LOOP).await;
    let id = running(&client, &session).await;

    cluster.restart_agent(0, &AgentFlags::default());
    cluster.registered(1).await;

    assert_eq!(client.task(id).await.unwrap().unwrap().status.state, TaskState::Running);
    handle.kill().await.unwrap();
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);
    session.close().await;
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn what_wine_does_not_take_from_an_executor_is_logged_once() {
    let cluster = windows().await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("locked").start().await.unwrap();
    let handle = submitted(&client, &session, guests::LOOP).await;
    running(&client, &session).await;

    let executor = fs::read_dir(cluster.work_dir(0).join("executors")).unwrap().next().unwrap().unwrap();
    let log = fs::read_to_string(executor.path().join("log")).unwrap();

    let kept: Vec<&str> = log.lines().filter(|line| line.contains("could not be given up")).collect();
    assert_eq!(kept.len(), 1, "{log}");
    assert!(kept[0].contains("memory beyond its part") && kept[0].contains("writing to other files"), "{log}");
    handle.kill().await.unwrap();
    session.close().await;
}
