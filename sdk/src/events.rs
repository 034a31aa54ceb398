//! A framework's side of the bargain: what it hears, over every session it comes to have.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use haggle_core::cluster::{FrameworkCommand, FrameworkEvent, FrameworkInfo};
use haggle_core::{AgentId, FrameworkId, Offer, OfferId, TaskStatus};
use haggle_proto::v1::frameworks_client::FrameworksClient;
use haggle_proto::{MESSAGE_MAX, v1};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, Streaming};

use crate::backoff::Backoff;
use crate::client::Client;
use crate::error::{CallError, is_connection_trouble, status_reason};
use crate::outbox::{Outbox, Queue};

/// How long a first subscription goes on trying while nobody answers.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a master may take to answer a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a framework hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Back with the master, after a [`Event::Disconnected`], under the same id. The master was asked to tell
    /// where every task of the framework stands. A suppression is forgotten.
    Subscribed(FrameworkId),
    /// It may take these.
    Offers(Vec<Offer>),
    /// These are no longer to be had.
    Rescinded(Vec<OfferId>),
    /// News of a task. To be acknowledged unless its update id is `UpdateId::UNACKNOWLEDGED`.
    Update(TaskStatus),
    /// An agent is gone; its tasks are told of one by one.
    AgentLost(AgentId),
    /// The master was lost, and why. All offers are void. The way back is tried for as long as the framework's
    /// failover timeout, as long as events are read; what it says meanwhile is sent then.
    Disconnected(String),
    /// The last event: the master wants nothing more of this framework, or did not come back.
    Error(String),
}

impl From<FrameworkEvent> for Event {
    fn from(event: FrameworkEvent) -> Self {
        match event {
            FrameworkEvent::Subscribed(id) => Self::Subscribed(id),
            FrameworkEvent::Offers(offers) => Self::Offers(offers),
            FrameworkEvent::Rescinded(offers) => Self::Rescinded(offers),
            FrameworkEvent::Update(status) => Self::Update(status),
            FrameworkEvent::AgentLost(agent) => Self::AgentLost(agent),
            FrameworkEvent::Error(why) => Self::Error(why),
        }
    }
}

/// The events of a framework, in order. Unread ones wait at the master, which bounds them.
pub struct Events {
    link: Link,
    client: Client,
    queue: Arc<Queue>,
    id: FrameworkId,
    info: FrameworkInfo,
    ready: VecDeque<Event>,
}

enum Link {
    Up(Box<Streaming<v1::FrameworkEvents>>),
    Down(BoxFuture<'static, Result<Opened, CallError>>),
    Over,
}

/// A session that has begun, and what came along with its first word.
struct Opened {
    id: FrameworkId,
    inbound: Streaming<v1::FrameworkEvents>,
    events: VecDeque<Event>,
}

impl Events {
    pub(crate) async fn open(
        client: Client,
        queue: Arc<Queue>,
        id: Option<FrameworkId>,
        info: FrameworkInfo,
    ) -> Result<(FrameworkId, Self), CallError> {
        let opened = open_patiently(client.clone(), Arc::clone(&queue), id, info.clone(), JOIN_PATIENCE).await?;
        let Opened { id, inbound, events } = opened;
        Ok((id, Self { link: Link::Up(Box::new(inbound)), client, queue, id, info, ready: events }))
    }

    /// The next event; `None` after the last. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next events, all that came in one message; `None` after the last. May be dropped and called again.
    pub async fn next_batch(&mut self) -> Option<VecDeque<Event>> {
        poll_fn(|cx| self.poll_batch(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(event));
            }
            match ready!(self.poll_batch(cx)) {
                Some(batch) => self.ready = batch,
                None => return Poll::Ready(None),
            }
        }
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<VecDeque<Event>>> {
        if !self.ready.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.ready)));
        }
        loop {
            let batch = match &mut self.link {
                Link::Over => return Poll::Ready(None),
                Link::Up(inbound) => match ready!(Pin::new(inbound).poll_next(cx)) {
                    Some(Ok(message)) => self.read(message),
                    Some(Err(status)) => self.lost(&status),
                    None if self.queue.is_over() => {
                        self.over();
                        return Poll::Ready(None);
                    }
                    None => self.lost(&Status::unavailable("it closed the connection")),
                },
                Link::Down(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(opened) => self.back(opened),
                    Err(error) => self.last_word(error.to_string()),
                },
            };
            if !batch.is_empty() {
                return Poll::Ready(Some(batch));
            }
        }
    }

    fn read(&mut self, message: v1::FrameworkEvents) -> VecDeque<Event> {
        let mut batch = VecDeque::with_capacity(message.events.len());
        for event in message.events {
            match FrameworkEvent::try_from(event) {
                Ok(FrameworkEvent::Error(why)) => {
                    batch.append(&mut self.last_word(why));
                    break;
                }
                Ok(event) => batch.push_back(event.into()),
                Err(malformed) => {
                    batch.append(&mut self.last_word(self.client.garbled(malformed).to_string()));
                    break;
                }
            }
        }
        batch
    }

    fn lost(&mut self, status: &Status) -> VecDeque<Event> {
        if self.queue.is_over() {
            self.over();
            return VecDeque::new();
        }
        if is_final(status) {
            return self.last_word(status.message().to_owned());
        }
        let reason = status_reason(status);
        tracing::warn!(framework = %self.id, url = self.client.url(), %reason, "lost the master");
        self.link = Link::Down(Box::pin(open_patiently(
            self.client.clone(),
            Arc::clone(&self.queue),
            Some(self.id),
            self.info.clone(),
            self.info.failover_timeout,
        )));
        VecDeque::from([Event::Disconnected(reason)])
    }

    fn back(&mut self, opened: Opened) -> VecDeque<Event> {
        let Opened { id, inbound, mut events } = opened;
        self.link = Link::Up(Box::new(inbound));
        self.id = id;
        events.push_front(Event::Subscribed(id));
        events
    }

    fn last_word(&mut self, why: String) -> VecDeque<Event> {
        self.over();
        VecDeque::from([Event::Error(why)])
    }

    fn over(&mut self) {
        self.link = Link::Over;
        self.queue.close();
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll_event(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("framework", &self.id).finish_non_exhaustive()
    }
}

/// Whether the master means it: anything else is put down to the connection, or to having been too slow, and
/// subscribing again mends it.
fn is_final(status: &Status) -> bool {
    !is_connection_trouble(status)
        && matches!(
            status.code(),
            Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented
                | Code::NotFound
                | Code::OutOfRange
        )
}

async fn open_patiently(
    client: Client,
    queue: Arc<Queue>,
    id: Option<FrameworkId>,
    info: FrameworkInfo,
    patience: Duration,
) -> Result<Opened, CallError> {
    let deadline = Instant::now() + patience;
    let mut backoff = Backoff::new();
    loop {
        let attempt = open_once(&client, &queue, id, &info);
        let status = match timeout(SUBSCRIBE_TIMEOUT, attempt).await {
            Ok(Ok(opened)) => return opened,
            Ok(Err(status)) if is_final(&status) => return Err(client.error(&status)),
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable(format!("no answer to a subscription within {SUBSCRIBE_TIMEOUT:?}")),
        };
        let pause = backoff.pause();
        if Instant::now() + pause > deadline {
            return Err(CallError::Unreachable { url: client.url().to_owned(), reason: status_reason(&status) });
        }
        sleep(pause).await;
    }
}

/// Subscribes. The inner result is the master's answer; the outer one whether it could give any.
async fn open_once(
    client: &Client,
    queue: &Arc<Queue>,
    id: Option<FrameworkId>,
    info: &FrameworkInfo,
) -> Result<Result<Opened, CallError>, Status> {
    let mut opening = vec![FrameworkCommand::Subscribe { id, info: info.clone() }];
    if id.is_some() {
        // Whatever was said of its tasks while it was away is said again.
        opening.push(FrameworkCommand::Reconcile(Vec::new()));
    }
    let mut frameworks = FrameworksClient::new(client.channel())
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let mut inbound = frameworks.session(Outbox::begin(queue, opening)).await?.into_inner();
    loop {
        let message = inbound.message().await?.ok_or_else(|| Status::unavailable("it closed the connection"))?;
        let mut events = VecDeque::with_capacity(message.events.len());
        for event in message.events {
            match FrameworkEvent::try_from(event) {
                Ok(FrameworkEvent::Error(why)) => return Ok(Err(CallError::Refused(why))),
                Ok(event) => events.push_back(Event::from(event)),
                Err(malformed) => return Ok(Err(client.garbled(malformed))),
            }
        }
        match events.pop_front() {
            Some(Event::Subscribed(id)) => return Ok(Ok(Opened { id, inbound, events })),
            Some(other) => {
                let said = format!("the master began a session with {other:?}, wanted its subscription");
                return Ok(Err(CallError::Refused(said)));
            }
            None => {}
        }
    }
}
