//! One task after another, with one framework.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::OptionFuture;
use haggle_core::{FrameworkId, TaskStatus};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::RunError;
use super::driver::Driver;
use super::progress::Progress;
use super::state::News;
use crate::client::Client;
use crate::task::Task;

/// Submissions that wait to be taken on. Who is faster than that has to wait.
const REQUESTS_MAX: usize = 4096;

/// Submissions taken on at once, for one decision.
const REQUESTS_AT_ONCE: usize = 1024;

enum Request {
    Submit { index: u64, task: Box<Task>, ended: oneshot::Sender<Result<TaskStatus, RunError>> },
    Kill { index: u64 },
}

/// A framework that takes one task after another, and keeps room for the next one in hand so that it starts at once, unless
/// somebody else waits for that room. Made by [`Runner::start`](super::Runner::start).
///
/// When it is dropped, its tasks are killed and its framework leaves, in the background; [`Self::close`] waits for
/// that.
#[derive(Debug)]
pub struct Session {
    client: Client,
    requests: mpsc::Sender<Request>,
    next: AtomicU64,
    framework: FrameworkId,
    server: JoinHandle<()>,
}

/// A task that was submitted.
#[derive(Debug)]
pub struct TaskHandle {
    index: u64,
    requests: mpsc::WeakSender<Request>,
    ended: oneshot::Receiver<Result<TaskStatus, RunError>>,
}

impl Session {
    pub(super) fn serve(
        client: Client,
        driver: Driver,
        grace: Duration,
        on_progress: impl FnMut(&Progress) + Send + 'static,
    ) -> Self {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let framework = driver.framework();
        let server = tokio::spawn(serve(driver, inbox, grace, on_progress));
        Self { client, requests, next: AtomicU64::new(0), framework, server }
    }

    /// The framework's name in the cluster.
    pub fn framework(&self) -> FrameworkId {
        self.framework
    }

    /// Hands a task over. It is launched as soon as an agent has room for it, and what it has of a [source](Task::from_source) is
    /// fetched.
    ///
    /// # Errors
    /// When the task is wrong, what it needs cannot be fetched, or the session is over.
    pub async fn submit(&self, task: Task) -> Result<TaskHandle, RunError> {
        let task = self.client.resolve(task).await?;
        task.check()?;
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let (ended, ending) = oneshot::channel();
        self.requests.send(Request::Submit { index, task: Box::new(task), ended }).await.map_err(|_| RunError::Over)?;
        Ok(TaskHandle { index, requests: self.requests.downgrade(), ended: ending })
    }

    /// Asks for the end of the task with this [number](TaskHandle::index); its handle tells how that went. One that has ended
    /// is left as it is.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn kill(&self, index: u64) -> Result<(), RunError> {
        self.requests.send(Request::Kill { index }).await.map_err(|_| RunError::Over)
    }

    /// Ends the session: kills what has not ended, waits a little for it, and leaves the master.
    pub async fn close(self) {
        let Self { requests, server, .. } = self;
        drop(requests);
        // A panic in there is a bug of ours, and was printed where it happened.
        let _ = server.await;
    }
}

impl TaskHandle {
    /// Its number among the tasks of its session, from 0; as in [`Progress`].
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Waits for its end. A task that was retried has ended after its last try.
    ///
    /// # Errors
    /// When no agent could ever run it, it was killed before it was launched, or the session ended first.
    pub async fn ended(self) -> Result<TaskStatus, RunError> {
        self.ended.await.unwrap_or(Err(RunError::Over))
    }

    /// Asks for its end; [`Self::ended`] tells how that went.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn kill(&self) -> Result<(), RunError> {
        let requests = self.requests.upgrade().ok_or(RunError::Over)?;
        requests.send(Request::Kill { index: self.index }).await.map_err(|_| RunError::Over)
    }
}

async fn serve(
    mut driver: Driver,
    mut inbox: mpsc::Receiver<Request>,
    grace: Duration,
    mut on_progress: impl FnMut(&Progress) + Send,
) {
    let mut ends: HashMap<u64, oneshot::Sender<Result<TaskStatus, RunError>>> = HashMap::new();
    let mut requests = Vec::new();
    let mut closing: Option<Instant> = None;
    let why = loop {
        match driver.flush() {
            Ok(news) => news.into_iter().for_each(|news| tell(news, &mut ends, &mut on_progress)),
            Err(error) => break error,
        }
        if closing.is_some() && driver.state().unfinished() == 0 {
            break RunError::Over;
        }
        let too_late = OptionFuture::from(closing.map(sleep_until));
        tokio::select! {
            heard = driver.wait() => if let Err(error) = heard {
                break error;
            },
            taken = inbox.recv_many(&mut requests, REQUESTS_AT_ONCE), if closing.is_none() => {
                if taken == 0 {
                    driver.state().cancel();
                    closing = Some(Instant::now() + grace);
                }
                for request in requests.drain(..) {
                    match request {
                        Request::Submit { index, task, ended } => {
                            ends.insert(index, ended);
                            driver.submit(index, *task);
                        }
                        Request::Kill { index } => driver.state().kill(index),
                    }
                }
            }
            Some(()) = too_late => break RunError::Over,
        }
    };
    inbox.close();
    driver.leave().await;
    for (_, ended) in ends {
        let _ = ended.send(Err(why.clone()));
    }
}

/// Whoever has dropped a handle does not want to know.
fn tell(
    news: News,
    ends: &mut HashMap<u64, oneshot::Sender<Result<TaskStatus, RunError>>>,
    on_progress: &mut impl FnMut(&Progress),
) {
    let (index, end) = match news {
        News::Refused { index, why } => (index, Err(why.into())),
        News::Progress(progress) => {
            on_progress(&progress);
            match progress {
                Progress::Ended(outcome) => (outcome.index, outcome.status.ok_or(RunError::Cancelled)),
                _ => return,
            }
        }
    };
    if let Some(ended) = ends.remove(&index) {
        let _ = ended.send(end);
    }
}
