//! What whoever watches sees of tasks in queues.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use haggle_core::TaskState;
use haggle_kit::{guests, until};
use haggle_sdk::{Announcement, TaskId};
use tokio::time::timeout;

use super::{Owner, cluster, task, upload};
use crate::said::said;

#[tokio::test]
async fn each_task_of_a_queue_is_seen_to_wait_to_run_and_to_end() {
    let (_cluster, client) = cluster().await;
    let (noop, sleeper) = (upload(&client, guests::NOOP).await, upload(&client, guests::SLEEPER).await);
    let mut events = client.watch().await.unwrap();
    let mut owner = Owner::open(&client).await;

    owner.enqueue(task(noop), 10, 1_000, false).await;
    owner.hear(1_000, false).await;
    owner.enqueue(task(sleeper), 2_000, 2, false).await;

    let mut seen: BTreeMap<u64, Vec<TaskState>> = BTreeMap::new();
    let mut see = async |last: TaskId, state: TaskState| {
        loop {
            let event = timeout(Duration::from_secs(60), events.next()).await.unwrap().unwrap().unwrap();
            if let Announcement::Task(status) = event.what {
                assert!(status.agent.is_some(), "{status:?}");
                seen.entry(status.task.number).or_default().push(status.state);
                if (status.task, status.state) == (last, state) {
                    return seen.clone();
                }
            }
        }
    };
    see(owner.id(2_000), TaskState::Running).await;
    owner.framework.kill(owner.id(2_000)).await.unwrap();
    let seen = see(owner.id(2_000), TaskState::Killed).await;

    for number in 10..1_010 {
        let states = &seen[&number];
        assert_eq!((states.first(), states.last()), (Some(&TaskState::Staging), Some(&TaskState::Finished)));
        assert!(states.len() == 2 || states[1..states.len() - 1] == [TaskState::Running], "{states:?}");
    }
    let sleeper = [TaskState::Staging, TaskState::Running, TaskState::Killing, TaskState::Killed];
    assert_eq!(seen[&2_000], sleeper);
    owner.leave().await;
}

#[tokio::test]
async fn what_a_task_of_a_queue_uses_while_it_runs_is_told_as_of_any_other() {
    let (cluster, client) = cluster().await;
    let busy = upload(&client, guests::LOOP).await;
    let token = said(&cluster, &["token", "create", "--kind", "viewer", "--role", "*"]).await;
    let mut owner = Owner::open(&client).await;

    owner.enqueue(task(busy), 10, 1, false).await;

    until("it is told what the task uses", async || {
        let told = cluster.page(&format!("/tasks/{}/usage.json", owner.id(10)), token.trim()).await?;
        (told["is_over"] == false && told["usage"]["cpu_seconds"].as_f64()? > 0.0).then_some(())
    })
    .await;
    owner.framework.kill(owner.id(10)).await.unwrap();
    owner.hear(1, false).await;
    owner.leave().await;
}
