//! Sessions of the SDK that linger, and whoever comes beside them.

use std::time::Duration;

use haggle_core::cluster::OfferView;
use haggle_core::{Digest, TaskState};
use haggle_kit::{AgentFlags, Cluster, guests, until};
use haggle_sdk::{Client, Runner, Session, Task};

/// Longer than any test takes.
const FOR_GOOD: Duration = Duration::from_secs(3600);

/// A cluster of one agent with two cores, whose offers do not end by themselves; and a task that does nothing.
async fn two_cores() -> (Cluster, Client, Digest) {
    let cluster = Cluster::start_with(&["--offer-timeout", "1h"], &[AgentFlags { cpus: "2", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    let noop = client.upload_bytes(guests::compile(guests::NOOP)).await.unwrap();
    (cluster, client, noop)
}

async fn finished(session: &Session, noop: Digest, cpus: &str) {
    let task = session.submit(Task::new(noop).cpus(cpus).mem("16MiB")).await.unwrap();
    let end = task.ended().await.unwrap();
    assert_eq!(end.state, TaskState::Finished, "{}", end.message);
}

async fn held(client: &Client, session: &Session) -> Vec<OfferView> {
    let offers = client.offers().await.unwrap();
    offers.into_iter().filter(|offer| offer.framework == session.framework()).collect()
}

#[tokio::test]
async fn a_session_without_tasks_is_offered_nothing() {
    let (_cluster, client, _) = two_cores().await;

    let session = Runner::new(&client).start().await.unwrap();

    assert_eq!(held(&client, &session).await, []);
    session.close().await;
}

#[tokio::test]
async fn a_session_that_lingers_holds_what_its_last_task_used_and_gives_way_to_whoever_waits() {
    let (_cluster, client, noop) = two_cores().await;
    let idle = Runner::new(&client).name("idle").linger(FOR_GOOD).start().await.unwrap();
    finished(&idle, noop, "0.5").await;
    let offers = until("room for one more is held", async || {
        Some(held(&client, &idle).await).filter(|offers| !offers.is_empty())
    })
    .await;
    assert_eq!(offers.len(), 1, "{offers:?}");
    assert_eq!(&offers[0].resources, Task::new(noop).cpus("0.5").mem("16MiB").wants());

    // It needs the whole agent, which it only gets if the room is taken back.
    let other = Runner::new(&client).name("other").start().await.unwrap();
    finished(&other, noop, "2").await;

    finished(&idle, noop, "0.5").await;
    other.close().await;
    idle.close().await;
}
