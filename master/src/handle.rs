//! What everyone but the driver holds: a way to tell it something, and to ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use haggle_core::access::Principal;
use haggle_core::cluster::{Cluster, FrameworkEvent, OperatorCommand, Recovered, Refusal};
use haggle_core::{AgentId, ClusterId, Epoch, MaintenanceId, Member, Now, RequestId, SessionId, VolumeId};
use haggle_otlp::Tracer;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tonic::Status;

use crate::access::Caller;
use crate::again::Specs;
use crate::agent_mail::AgentMail;
use crate::happenings::{Happenings, Watcher};
use crate::inbox::{Hearing, Intake, Kind, Speaker, Speakers, inbox};
use crate::limits::House;
use crate::metrics::Timings;
use crate::outbox::{Level, Outbox};

/// Requests that wait for the driver: one for each call that an operator has open.
pub(crate) const REQUESTS: usize = 256;

/// What waits for an answer, and what begins a session. Apart from what peers say, so that it is taken also while that
/// has to wait.
pub(crate) enum Request {
    /// A peer connected.
    Open(SessionId, Caller, Peer),
    /// Somebody wants this decided, and to know the verdict.
    Decide(Principal, Option<RequestId>, OperatorCommand, oneshot::Sender<Verdict>),
    /// Somebody wants to know something.
    Ask(Question),
    /// Somebody wants to know what waits to be sent.
    Levels(oneshot::Sender<Levels>),
    /// End every session, remember the time, and return.
    Stop,
}

/// What became of a command that was not said on a session.
pub(crate) type Verdict = Result<Result<Option<Answer>, Refusal>, NoRoom>;

/// What is told beside that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To a machine that joined: which agent it is.
    Enrolled(Member<AgentId>),
    /// To whoever made a maintenance window: which one.
    Scheduled(MaintenanceId),
    /// To whoever had a volume made: which one.
    VolumeCreated(VolumeId),
}

/// Runs in the driver, between two batches.
pub(crate) type Question = Box<dyn FnOnce(&Cluster, Now) + Send>;

/// What waits to be sent to all peers of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) agents: Level,
    pub(crate) frameworks: Level,
}

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

/// Nothing new is decided, for it could not be remembered: the disk is full. The text says which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master takes nothing new until its disk has room again: {0}")]
pub(crate) struct NoRoom(pub(crate) String);

impl From<NoRoom> for Status {
    fn from(no_room: NoRoom) -> Self {
        Self::unavailable(no_room.to_string())
    }
}

/// Whether the driver takes anything new. It writes this, everybody else reads it.
#[derive(Clone, Default)]
pub(crate) struct Room(Arc<Mutex<Option<NoRoom>>>);

impl Room {
    /// From now on, this is why not; `None` when it does.
    pub(crate) fn set(&self, lacking: Option<NoRoom>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lacking;
    }

    fn check(&self) -> Result<(), NoRoom> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(lacking) => Err(lacking.clone()),
            None => Ok(()),
        }
    }
}

/// Which cluster a master leads, as which of its masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) cluster: ClusterId,
    pub(crate) epoch: Epoch,
}

impl From<&Recovered> for Reign {
    fn from(recovered: &Recovered) -> Self {
        Self { cluster: recovered.cluster, epoch: recovered.epoch }
    }
}

/// Talks to the driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    reign: Reign,
    speakers: Speakers,
    requests: mpsc::Sender<Request>,
    /// Weak, so that watchers' streams end with the driver.
    happenings: Weak<Happenings>,
    room: Room,
    last_session: Arc<AtomicU64>,
    house: House,
    timings: Timings,
    /// Records traces, if anybody wants them.
    tracer: Option<Tracer>,
    specs: Specs,
}

/// The driver's end of a [`Handle`].
pub(crate) struct Inbox {
    pub(crate) sayings: Hearing,
    pub(crate) requests: mpsc::Receiver<Request>,
}

impl Handle {
    pub(crate) fn new(
        reign: Reign,
        room: Room,
        happenings: Weak<Happenings>,
        house: House,
        timings: Timings,
    ) -> (Self, Inbox) {
        let (speakers, said) = inbox();
        let (requests, requested) = mpsc::channel(REQUESTS);
        let (last_session, tracer, specs) = (Arc::default(), None, Specs::default());
        let handle = Self { reign, speakers, requests, happenings, room, last_session, house, timings, tracer, specs };
        (handle, Inbox { sayings: said, requests: requested })
    }

    /// The same where somebody wants traces.
    pub(crate) fn traced_by(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// What became of the spans that were recorded.
    pub(crate) fn spans(&self) -> haggle_otlp::Figures {
        self.tracer.as_ref().map(Tracer::figures).unwrap_or_default()
    }

    /// What the last tasks were launched with.
    pub(crate) fn specs(&self) -> &Specs {
        &self.specs
    }

    /// Whom it serves.
    pub(crate) fn reign(&self) -> Reign {
        self.reign
    }

    /// Where the messages of a connection come in that has just been made.
    pub(crate) fn intake(&self, kind: Kind) -> Intake {
        self.speakers.intake(kind)
    }

    /// Begins a session, whose messages come by this intake. Whatever is said on it comes after. The permit is its place
    /// among the sessions of its kind.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many, `UNAVAILABLE` when the master is stopping or has no room.
    pub(crate) async fn open(
        &self,
        caller: Caller,
        peer: Peer,
        intake: Intake,
    ) -> Result<(Speaker, OwnedSemaphorePermit), Status> {
        self.room.check()?;
        let (kind, place) = match peer {
            Peer::Agent(_) => (Kind::Agent, self.house.agent()?),
            Peer::Framework(_) => (Kind::Framework, self.house.framework()?),
        };
        let session = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        self.request(Request::Open(session, caller, peer)).await?;
        Ok((self.speakers.speaker(kind, session, intake), place))
    }

    /// Has a command decided that is not said on a session.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the master is stopping or has no room.
    pub(crate) async fn decide(
        &self,
        who: Principal,
        request: Option<RequestId>,
        command: OperatorCommand,
    ) -> Result<Result<Option<Answer>, Refusal>, Status> {
        self.room.check()?;
        let (verdict, heard) = oneshot::channel();
        self.request(Request::Decide(who, request, command, verdict)).await?;
        Ok(heard.await.map_err(|_| Stopping)??)
    }

    /// Looks at the cluster between two batches, and at its time. `question` runs in the driver, and sessions wait for it: it copies a
    /// little, and no more.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Cluster, Now) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (answer, heard) = oneshot::channel();
        let ask = move |cluster: &Cluster, now| {
            // Who asked may have gone meanwhile.
            let _ = answer.send(question(cluster, now));
        };
        self.request(Request::Ask(Box::new(ask))).await?;
        heard.await.map_err(|_| Stopping)
    }

    /// What waits to be sent to peers. Takes time in proportion to them.
    pub(crate) async fn levels(&self) -> Result<Levels, Stopping> {
        let (answer, heard) = oneshot::channel();
        self.request(Request::Levels(answer)).await?;
        heard.await.map_err(|_| Stopping)
    }

    /// What agents and what frameworks have said that the driver has not heard yet: messages, or pieces of large ones.
    pub(crate) fn unheard(&self) -> [usize; 2] {
        self.speakers.unheard()
    }

    /// What happens from now on and `who` may see.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many watch, `UNAVAILABLE` when the master is stopping.
    pub(crate) fn watch(&self, who: &Principal) -> Result<Watcher, Status> {
        let happenings = self.happenings.upgrade().ok_or(Stopping)?;
        Ok(happenings.watch(who.clone(), self.house.watch()?))
    }

    /// How many watch what happens.
    pub(crate) fn watchers(&self) -> usize {
        self.happenings.upgrade().map_or(0, |happenings| happenings.watchers())
    }

    /// What the driver measures of itself.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Requests that the driver has not taken yet.
    pub(crate) fn requests_waiting(&self) -> usize {
        REQUESTS - self.requests.capacity()
    }

    /// Who has which place at this master.
    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    /// Has the driver end.
    pub(crate) async fn stop(&self) -> Result<(), Stopping> {
        self.request(Request::Stop).await
    }

    async fn request(&self, request: Request) -> Result<(), Stopping> {
        self.requests.send(request).await.map_err(|_| Stopping)
    }
}
