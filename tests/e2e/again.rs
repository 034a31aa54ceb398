//! `haggle again`: a task that runs once more, and what becomes of it when another master leads.

use haggle_kit::{AgentFlags, Cluster, until, wasm};
use haggle_sdk::{Client, Runner, Task, TaskId, TaskState};

use crate::said::{refused, said};

async fn state(client: &Client, id: TaskId) -> Option<TaskState> {
    client.task(id).await.ok()?.map(|task| task.status.state)
}

async fn reaches(client: &Client, id: TaskId, wanted: TaskState) {
    until(&format!("{id} is {wanted}"), async || (state(client, id).await == Some(wanted)).then_some(())).await;
}

/// The first of all tasks that are known.
async fn first(client: &Client) -> TaskId {
    until("a task is known", async || Some(client.tasks(true).await.ok()?.first()?.id)).await
}

#[tokio::test]
async fn a_task_runs_again_with_its_arguments_its_environment_and_its_inputs() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let words = cluster.log("words.txt");
    std::fs::write(&words, "one two two").unwrap();
    let (module, input) = (wasm("wordcount").display().to_string(), format!("/words.txt={}", words.display()));
    let ran = said(&cluster, &["run", "--role", "eng", &module, "--input", &input, "--", "map", "/words.txt"]).await;

    let id = first(&client).await;
    let again = said(&cluster, &["again", &id.to_string()]).await;
    let again: TaskId = again.trim().parse().unwrap();
    reaches(&client, again, TaskState::Finished).await;

    assert!(ran.contains("two\t2"), "{ran}");
    assert_eq!(said(&cluster, &["logs", &again.to_string()]).await, ran);
    assert_eq!(client.task(again).await.unwrap().unwrap().role, "eng");
    until("its framework has left", async || client.frameworks().await.ok()?.is_empty().then_some(())).await;
    // What is run again can be run again.
    let third = said(&cluster, &["again", "--json", &again.to_string()]).await;
    let third: serde_json::Value = serde_json::from_str(&third).unwrap();
    let id: TaskId = third["task"].as_str().unwrap().parse().unwrap();
    assert_eq!(third["framework"], id.framework.to_string());
    reaches(&client, id, TaskState::Finished).await;
}

#[tokio::test]
async fn one_of_an_array_runs_again_alone_and_knows_which_it_was() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let hello = wasm("hello").display().to_string();
    said(&cluster, &["run", "--instances", "20", "--cpus", "0.1", &hello]).await;
    let tasks = client.tasks(true).await.unwrap();
    let allocation = tasks.iter().find(|task| task.is_allocation).map(|task| task.id);
    let one = tasks.iter().rfind(|task| !task.is_allocation).unwrap().id;

    let again: TaskId = said(&cluster, &["again", &one.to_string()]).await.trim().parse().unwrap();

    reaches(&client, again, TaskState::Finished).await;
    assert!(said(&cluster, &["logs", &again.to_string()]).await.contains("hello, world"));
    if let Some(allocation) = allocation {
        let why = refused(&cluster, &["again", &allocation.to_string()]).await;
        assert!(why.contains("is an allocation"), "{why}");
    }
}

#[tokio::test]
async fn a_task_that_runs_again_outlives_the_master_and_another_one_says_what_it_does_not_know() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("first").start().await.unwrap();
    let sleeper = client.upload(wasm("sleeper")).await.unwrap();
    let sleeps = Task::new(sleeper).cpus("0.1").mem("32MiB").args(["3600"]);
    let handle = session.submit(sleeps).await.unwrap();
    let id = first(&client).await;
    // One that runs is run again as well as one that has ended.
    let again: TaskId = said(&cluster, &["again", &id.to_string()]).await.trim().parse().unwrap();
    reaches(&client, again, TaskState::Running).await;

    cluster.restart_master().await;
    cluster.registered(1).await;

    reaches(&client, again, TaskState::Running).await;
    let why = refused(&cluster, &["again", &again.to_string()]).await;
    assert!(why.contains("nothing of what an earlier master launched"), "{why}");
    said(&cluster, &["kill", &again.to_string()]).await;
    reaches(&client, again, TaskState::Killed).await;
    handle.kill().await.unwrap();
    handle.ended().await.unwrap();
    session.close().await;
}
