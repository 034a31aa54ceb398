//! Masters and agents that go and come back.

use haggle_core::{Digest, Reason, TaskState};
use haggle_kit::{AgentFlags, Cluster, first_running, guests, until, wasm};
use haggle_sdk::{Client, Runner, Session, Task, TaskHandle, TaskId};

async fn running(client: &Client, session: &Session, module: Digest) -> (TaskHandle, TaskId) {
    let task = Task::new(module).cpus("0.5").mem("32MiB");
    let handle = session.submit(task).await.unwrap();
    (handle, first_running(client, session).await)
}

async fn spinner(client: &Client) -> Digest {
    client.upload(wasm("spinner")).await.unwrap()
}

#[tokio::test]
async fn a_running_task_survives_a_restart_of_the_master() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("survivor").start().await.unwrap();
    let (handle, id) = running(&client, &session, spinner(&client).await).await;

    cluster.restart_master().await;
    cluster.registered(1).await;

    let client = cluster.client().await;
    let task = until("the new master knows the task", async || client.task(id).await.ok().flatten()).await;
    assert_eq!(task.status.state, TaskState::Running);
    until("the framework is back", async || {
        let frameworks = client.frameworks().await.ok()?;
        frameworks.iter().any(|framework| framework.connected && framework.id == id.framework).then_some(())
    })
    .await;
    handle.kill().await.unwrap();
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Killed);
    session.close().await;
}

#[tokio::test]
async fn an_agent_that_is_asked_to_end_ends_its_tasks_reports_and_leaves() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("drained").start().await.unwrap();
    let (handle, _) = running(&client, &session, spinner(&client).await).await;

    cluster.agents[0].terminate();
    let status = handle.ended().await.unwrap();
    let exit = cluster.agents[0].exited().await;

    assert_eq!((status.state, status.reason), (TaskState::Killed, Some(Reason::AgentDraining)), "{}", status.message);
    assert!(exit.success(), "{exit}: {}", cluster.agents[0].log());
    until("the agent is gone", async || client.agents().await.ok()?.is_empty().then_some(())).await;
    session.close().await;
}

#[tokio::test]
async fn a_task_of_an_agent_that_came_back_without_it_is_lost_and_a_retry_finishes_elsewhere() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("retried").retries(1).start().await.unwrap();
    let module = client.upload_bytes(guests::compile(guests::FIRST_FOR_EVER)).await.unwrap();
    let (handle, first) = running(&client, &session, module).await;

    cluster.spawn_agent(&AgentFlags::default());
    cluster.registered(2).await;
    cluster.agents[0].kill();
    cluster.kill_executors(0, None);
    cluster.restart_agent(0, &AgentFlags::default());

    let status = handle.ended().await.unwrap();
    assert_eq!(status.state, TaskState::Finished, "{}", status.message);
    assert_ne!(status.task, first, "it was launched again under another name");
    session.close().await;
}

#[tokio::test]
async fn tasks_of_a_framework_that_leaves_are_killed() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("leaver").start().await.unwrap();
    let (_handle, id) = running(&client, &session, spinner(&client).await).await;

    session.close().await;

    until("its task has ended", async || {
        let task = client.task(id).await.ok()?;
        task.is_none_or(|task| task.status.state.is_terminal()).then_some(())
    })
    .await;
    until("its resources are free", async || {
        let agents = client.agents().await.ok()?;
        agents.iter().all(|agent| agent.used.is_empty() && agent.tasks == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_an_operator_declares_gone_takes_its_tasks_along_and_may_not_come_back() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("stranded").start().await.unwrap();
    let (handle, _) = running(&client, &session, spinner(&client).await).await;
    let agent = client.agents().await.unwrap()[0].id.to_string();
    let refused = cluster.haggle(&["agents", "gone", &agent]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is connected"), "{refused:?}");

    cluster.agents[0].kill();
    until("the operator is believed", async || {
        cluster.haggle(&["agents", "gone", &agent]).await.status.success().then_some(())
    })
    .await;
    let status = handle.ended().await.unwrap();
    assert_eq!(status.state, TaskState::GoneByOperator, "{}", status.message);

    cluster.restart_agent(0, &AgentFlags::default());
    let exit = cluster.agents[0].exited().await;
    assert!(!exit.success());
    assert!(cluster.agents[0].log().contains("declared gone"), "{}", cluster.agents[0].log());
    session.close().await;
}

#[tokio::test]
async fn an_agent_of_another_cluster_is_told_so_and_leaves_its_tasks_running() {
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("elsewhere").start().await.unwrap();
    let _running = running(&client, &session, spinner(&client).await).await;

    cluster.lose_registry().await;

    let exit = cluster.agents[0].exited().await;
    assert!(!exit.success());
    let log = cluster.agents[0].log();
    assert!(log.contains("belongs to cluster-") && log.contains("and this is cluster-"), "{log}");
    assert!(!cluster.executors(0).is_empty(), "its executors wait for an agent");
    cluster.kill_executors(0, None);
}
