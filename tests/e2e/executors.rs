//! Agents and executors that are killed, and what becomes of tasks.

use haggle_core::{Reason, TaskState};
use haggle_kit::{AgentFlags, Cluster, first_running, guests, until};
use haggle_sdk::{Client, OutputStream, Runner, Session, Task, TaskHandle, TaskId};

async fn submitted(client: &Client, session: &Session, module: &str) -> TaskHandle {
    let module = client.upload_bytes(guests::compile(module)).await.unwrap();
    session.submit(Task::new(module).cpus("0.2").mem("16MiB")).await.unwrap()
}

async fn output(client: &Client, task: TaskId) -> Vec<u8> {
    let mut text = Vec::new();
    let mut pieces = client.log(task, OutputStream::Stdout, false);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => text.extend_from_slice(&piece),
            // Its agent is away.
            Err(_) => return Vec::new(),
        }
    }
    text
}

#[tokio::test]
async fn a_task_outlives_its_killed_agent_and_its_output_is_whole() {
    const LINES: u32 = 400;
    let mut cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("outliving").start().await.unwrap();
    let handle = submitted(&client, &session, &guests::ticker(LINES)).await;
    let id = first_running(&client, &session).await;
    until("a part of the output is in a file", async || (output(&client, id).await.len() > 20_000).then_some(())).await;

    cluster.restart_agent(0, &AgentFlags::default());
    let end = handle.ended().await.unwrap();

    assert_eq!((end.state, end.task), (TaskState::Finished, id), "{}", end.message);
    let whole = guests::ticks(LINES);
    let written = until("its output can be read", async || {
        let text = output(&client, id).await;
        (text.len() >= whole.len()).then_some(text)
    })
    .await;
    assert!(written == whole, "{} bytes, and {} were written", written.len(), whole.len());
    session.close().await;
}

#[tokio::test]
async fn a_killed_executor_ends_the_tasks_of_its_framework_and_no_others() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let [hit, spared] = ["hit", "spared"].map(|name| Runner::new(&client).name(name).start());
    let (hit, spared) = (hit.await.unwrap(), spared.await.unwrap());
    let victim = submitted(&client, &hit, guests::LOOP).await;
    let survivor = submitted(&client, &spared, guests::LOOP).await;
    first_running(&client, &hit).await;
    let survives = first_running(&client, &spared).await;

    cluster.kill_executors(0, Some(hit.framework().0));

    let end = victim.ended().await.unwrap();
    assert_eq!((end.state, end.reason), (TaskState::Failed, Some(Reason::ExecutorTerminated)));
    assert!(end.message.starts_with(cluster.obituary(0)), "{}", end.message);
    assert_eq!(client.task(survives).await.unwrap().unwrap().status.state, TaskState::Running);
    let next = submitted(&client, &hit, guests::NOOP).await;
    assert_eq!(next.ended().await.unwrap().state, TaskState::Finished);
    survivor.kill().await.unwrap();
    assert_eq!(survivor.ended().await.unwrap().state, TaskState::Killed);
    hit.close().await;
    spared.close().await;
}
