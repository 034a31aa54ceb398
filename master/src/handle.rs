//! What everyone but the driver holds: a way to tell it something, and to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haggle_core::SessionId;
use haggle_core::cluster::{Announcement, Cluster, Command, FrameworkEvent, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tonic::Status;

use crate::agent_mail::AgentMail;
use crate::outbox::Outbox;

/// Messages that wait for the driver, and so messages in one batch. Above this, who sends waits, and the wire
/// pushes back: latency would grow, and throughput no longer does.
pub(crate) const INPUTS: usize = 256;

/// Agents and frameworks that may be connected at once. What each may hold in memory is bounded, and so the whole.
const SESSIONS: usize = 4_096;

/// One thing for the driver.
pub(crate) enum Input {
    /// A peer connected.
    Open(SessionId, Peer),
    /// A peer said this, in one message.
    Said(SessionId, Vec<Command>),
    /// A peer's connection ended.
    Ended(SessionId),
    /// Somebody wants this decided, and to know the verdict.
    Decide(Command, oneshot::Sender<Result<(), Refusal>>),
    /// Somebody wants to know something.
    Ask(Question),
    /// End every session, remember the time, and return.
    Stop,
}

/// Runs on the driver's thread, between two batches.
pub(crate) type Question = Box<dyn FnOnce(&Cluster) + Send>;

/// Where to put what a peer is to hear.
pub(crate) enum Peer {
    Agent(Outbox<AgentMail>),
    Framework(Outbox<FrameworkEvent>),
}

/// The driver takes no more: the master is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master is stopping")]
pub(crate) struct Stopping;

impl From<Stopping> for Status {
    fn from(stopping: Stopping) -> Self {
        Self::unavailable(stopping.to_string())
    }
}

/// Something that happened, for watchers.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// Milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// What.
    pub(crate) what: Announcement,
}

/// Talks to the driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    inputs: mpsc::Sender<Input>,
    /// Weak, so that watchers' streams end with the driver.
    happenings: broadcast::WeakSender<Happening>,
    last_session: Arc<AtomicU64>,
    room: Arc<Semaphore>,
}

impl Handle {
    pub(crate) fn new(inputs: mpsc::Sender<Input>, happenings: broadcast::WeakSender<Happening>) -> Self {
        Self { inputs, happenings, last_session: Arc::default(), room: Arc::new(Semaphore::new(SESSIONS)) }
    }

    /// Begins a session. Whatever is said on it comes after. The permit is its place among the sessions.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many, `UNAVAILABLE` when the master is stopping.
    pub(crate) async fn open(&self, peer: Peer) -> Result<(SessionId, OwnedSemaphorePermit), Status> {
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{SESSIONS} agents and frameworks are connected, more are not taken"))
        })?;
        let session = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        self.send(Input::Open(session, peer)).await?;
        Ok((session, place))
    }

    /// Passes on what a peer said in one message. Waits while the driver is behind.
    pub(crate) async fn say(&self, session: SessionId, commands: Vec<Command>) -> Result<(), Stopping> {
        self.send(Input::Said(session, commands)).await
    }

    /// Ends a session.
    pub(crate) async fn end(&self, session: SessionId) -> Result<(), Stopping> {
        self.send(Input::Ended(session)).await
    }

    /// Has a command decided that came in on no session.
    pub(crate) async fn decide(&self, command: Command) -> Result<Result<(), Refusal>, Stopping> {
        let (verdict, heard) = oneshot::channel();
        self.send(Input::Decide(command, verdict)).await?;
        heard.await.map_err(|_| Stopping)
    }

    /// Looks at the cluster between two batches. `question` runs on the driver's thread: it copies, and no more.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (answer, heard) = oneshot::channel();
        let ask = move |cluster: &Cluster| {
            // Who asked may have gone meanwhile.
            let _ = answer.send(question(cluster));
        };
        self.send(Input::Ask(Box::new(ask))).await?;
        heard.await.map_err(|_| Stopping)
    }

    /// What happens from now on.
    pub(crate) fn watch(&self) -> Result<broadcast::Receiver<Happening>, Stopping> {
        Ok(self.happenings.upgrade().ok_or(Stopping)?.subscribe())
    }

    /// Has the driver end.
    pub(crate) async fn stop(&self) -> Result<(), Stopping> {
        self.send(Input::Stop).await
    }

    async fn send(&self, input: Input) -> Result<(), Stopping> {
        self.inputs.send(input).await.map_err(|_| Stopping)
    }
}
