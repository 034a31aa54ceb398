//! Waiting for a condition, never for a time.

use std::net::{TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use haggle_sdk::{Client, Session, TaskId, TaskState};

/// How long anything may take on a slow and busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is `Some`.
///
/// # Panics
/// After [`PATIENCE`], saying what did not happen.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "gave up waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nobody listens there any more. What a killed program for Windows had is Wine's for some time.
///
/// # Panics
/// After [`PATIENCE`].
pub(crate) async fn until_free(address: impl ToSocketAddrs + Copy) {
    until("its port is free", async || TcpListener::bind(address).is_ok().then_some(())).await;
}

/// The first task of a session's framework that runs, once one does.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn first_running(client: &Client, session: &Session) -> TaskId {
    let framework = session.framework();
    until("the task runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        let mut its = tasks.iter().filter(|task| task.id.framework == framework);
        its.find(|task| task.status.state == TaskState::Running).map(|task| task.id)
    })
    .await
}
