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
use haggle_core::{
    AgentId, FrameworkId, InverseOffer, InverseOfferId, Member, Offer, OfferId, OfferOperation, QueueUpdate, Reason,
    Source, TaskId, TaskState, TaskStatus, UpdateId,
};
use haggle_proto::convert::Malformed;
use haggle_proto::v1::frameworks_client::FrameworksClient;
use haggle_proto::{MESSAGE_MAX, v1};
use haggle_tls::distrust;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::client::Client;
use crate::error::{CallError, call_error, is_connection_trouble, status_reason};
use crate::masters::Target;
use crate::outgoing::{Attempt, CallStream, Queue};
use crate::store::{Hold, StoreError};

/// How long a first subscription goes on trying while nobody answers.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a master may take to answer a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The same where there are others to ask: one that hangs must not hold up the search for the one that leads.
const SUBSCRIBE_TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(2);

/// What a framework hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Back with a master, after a [`Event::Disconnected`], under the same id. It was asked to tell where every task
    /// of the framework stands that it knows. What was said and not heard is said again, as far as it still means
    /// something: kills, acknowledgements, whether offers are wanted. A launch that may not have been heard is to be
    /// asked after with [`reconcile`](crate::Framework::reconcile).
    Subscribed(FrameworkId),
    /// It may take these.
    Offers(Vec<Offer>),
    /// These are no longer to be had.
    Rescinded(Vec<OfferId>),
    /// These agents, on which the framework has tasks or offers, will not be there: it is to
    /// [accept](crate::Framework::accept_inverse) to be off them in time, or to
    /// [decline](crate::Framework::decline_inverse). At the start of the window what still runs there is ended.
    InverseOffers(Vec<InverseOffer>),
    /// These inverse offers need no answer any more.
    InverseRescinded(Vec<InverseOfferId>),
    /// News of a task. To be acknowledged unless its update id is `UpdateId::UNACKNOWLEDGED`.
    Update(TaskStatus),
    /// News of the tasks in an allocation: see [`Framework::open`](crate::Framework::open). To be acknowledged as an update of
    /// the allocation, unless its update id is `UpdateId::UNACKNOWLEDGED`; [`QueueUpdate::ends`] tells of each task.
    Queue(Arc<QueueUpdate>),
    /// Something that it wanted done in an accept was not done. Told once.
    OperationDropped {
        /// What.
        operation: OfferOperation,
        /// What speaks against it.
        why: String,
    },
    /// An agent is gone on which the framework had tasks or offers; the tasks are told of one by one.
    AgentLost(AgentId),
    /// The master was lost, and why. All offers and inverse offers are void. The way back is tried for as long as the framework's
    /// failover timeout, as long as events are read; what it says meanwhile is sent then.
    Disconnected(String),
    /// The last event: the master wants nothing more of this framework, or did not come back.
    Error(String),
}

/// What a framework hears of what its master says: all but a subscription, which is no event of its own. `queue` takes
/// note of tasks that need no kill any more.
pub fn heard(queue: &Queue, event: FrameworkEvent) -> Option<Event> {
    if let FrameworkEvent::Update(status) = &event
        && (status.state.is_terminal() || status.state == TaskState::Unknown)
    {
        queue.ended(status.task);
    }
    if let FrameworkEvent::Queue(update) = &event {
        queue.ended_in_queue(update);
    }
    Some(match event {
        FrameworkEvent::Subscribed { .. } => return None,
        FrameworkEvent::Offers(offers) => Event::Offers(offers),
        FrameworkEvent::Rescinded(offers) => Event::Rescinded(offers),
        FrameworkEvent::InverseOffers(offers) => Event::InverseOffers(offers),
        FrameworkEvent::InverseRescinded(offers) => Event::InverseRescinded(offers),
        FrameworkEvent::Update(status) => Event::Update(status),
        FrameworkEvent::Queue(update) => Event::Queue(update),
        FrameworkEvent::OperationDropped { operation, why } => Event::OperationDropped { operation, why },
        FrameworkEvent::AgentLost(agent) => Event::AgentLost(agent),
        FrameworkEvent::Error(why) => Event::Error(why),
    })
}

/// The events of a framework, in order. Unread ones wait at the master, which bounds them.
pub struct Events {
    link: Link,
    client: Client,
    queue: Arc<Queue>,
    member: Member<FrameworkId>,
    info: FrameworkInfo,
    hold: Hold,
    ready: VecDeque<Event>,
}

enum Link {
    Up(Box<(Streaming<v1::FrameworkEvents>, Target)>),
    Down(BoxFuture<'static, Result<Opened, CallError>>),
    Over,
}

/// A session that has begun, and what came along with its first word.
struct Opened {
    member: Member<FrameworkId>,
    target: Target,
    inbound: Streaming<v1::FrameworkEvents>,
    /// Launches that were said when the connection was lost, and were never sent.
    void: Vec<TaskId>,
    events: VecDeque<Event>,
}

impl Events {
    pub(crate) async fn open(
        client: Client,
        queue: Arc<Queue>,
        member: Option<Member<FrameworkId>>,
        info: FrameworkInfo,
        hold: Hold,
    ) -> Result<(Member<FrameworkId>, Self), CallError> {
        let (who, patience) = ((member, info.clone()), JOIN_PATIENCE);
        let opened = open_patiently(client.clone(), Arc::clone(&queue), who, hold.clone(), patience).await?;
        let Opened { member, target, inbound, events, .. } = opened;
        let link = Link::Up(Box::new((inbound, target)));
        Ok((member, Self { link, client, queue, member, info, hold, ready: events }))
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
                Link::Up(up) => match ready!(Pin::new(&mut up.0).poll_next(cx)) {
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
        match read(&self.queue, message) {
            Ok(events) => events,
            Err((mut events, Unreadable::Error(why))) => {
                // In the middle of a session: somebody else has subscribed with this id. Whoever holds the store is right.
                let mut last = if self.hold.can_be_lost() { self.come_back(why) } else { self.last_word(why) };
                events.append(&mut last);
                events
            }
            Err((mut events, Unreadable::Malformed(malformed))) => {
                events.append(&mut self.last_word(self.client.garbled(malformed).to_string()));
                events
            }
        }
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
        if let Link::Up(up) = &self.link {
            let (_, target) = &**up;
            tracing::warn!(framework = %self.member.id, url = target.url, %reason, "lost the master");
            // Another one is asked first, if there is one: it knows who leads, and this one may hang.
            self.client.masters().move_on(target, status);
        }
        self.come_back(reason)
    }

    fn come_back(&mut self, reason: String) -> VecDeque<Event> {
        self.info = self.queue.info().unwrap_or_else(|| self.info.clone());
        self.link = Link::Down(Box::pin(open_patiently(
            self.client.clone(),
            Arc::clone(&self.queue),
            (Some(self.member), self.info.clone()),
            self.hold.clone(),
            self.info.failover_timeout,
        )));
        VecDeque::from([Event::Disconnected(reason)])
    }

    fn back(&mut self, opened: Opened) -> VecDeque<Event> {
        let Opened { member, target, inbound, void, events } = opened;
        self.link = Link::Up(Box::new((inbound, target)));
        let mut heard = back_again(member.id, void);
        heard.extend(events);
        heard
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

impl Drop for Events {
    fn drop(&mut self) {
        // Who hears nothing any more has nothing to say.
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
        f.debug_struct("Events").field("framework", &self.member.id).finish_non_exhaustive()
    }
}

/// Whether the master means it: anything else is put down to the connection, or to having been too slow, and
/// subscribing again mends it.
fn is_final(status: &Status) -> bool {
    if distrust(status).is_some() {
        return true;
    }
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

/// What ends a session in place of an event.
enum Unreadable {
    Error(String),
    Malformed(Malformed),
}

/// The events of a message; on what they end, if that is the session's end as well.
fn read(queue: &Queue, message: v1::FrameworkEvents) -> Result<VecDeque<Event>, (VecDeque<Event>, Unreadable)> {
    let mut events = VecDeque::with_capacity(message.events.len());
    for wire in message.events {
        match FrameworkEvent::try_from(wire) {
            Ok(FrameworkEvent::Error(why)) => return Err((events, Unreadable::Error(why))),
            Ok(event) => events.extend(heard(queue, event)),
            Err(malformed) => return Err((events, Unreadable::Malformed(malformed))),
        }
    }
    Ok(events)
}

async fn open_patiently(
    client: Client,
    queue: Arc<Queue>,
    (member, info): (Option<Member<FrameworkId>>, FrameworkInfo),
    hold: Hold,
    patience: Duration,
) -> Result<Opened, CallError> {
    let mut search = client.search(patience);
    let within = if client.masters().are_several() { SUBSCRIBE_TIMEOUT_OF_SEVERAL } else { SUBSCRIBE_TIMEOUT };
    loop {
        let target = search.target();
        let attempt = async {
            match hold.confirm().await {
                Ok(()) => open_once(&target, &queue, member, &info).await,
                Err(lost @ StoreError::Lost { .. }) => Ok(Err(CallError::NotHeld(lost.to_string()))),
                Err(unknown) => Err(Status::unavailable(unknown.to_string())),
            }
        };
        let status = match timeout(within, attempt).await {
            Ok(Ok(opened)) => return opened,
            Ok(Err(status)) if search.comes_anew(&target, &status) => continue,
            Ok(Err(status)) if is_final(&status) && !search.may_hear_yet(&status) => {
                return Err(call_error(&target.shown(), &status));
            }
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable(format!("no answer to a subscription within {within:?}")),
        };
        if !search.go_on(&target, &status).await {
            return Err(CallError::Unreachable { url: target.shown(), reason: status_reason(&status) });
        }
    }
}

/// Subscribes. The inner result is the master's answer; the outer one whether it could give any.
async fn open_once(
    target: &Target,
    queue: &Arc<Queue>,
    member: Option<Member<FrameworkId>>,
    info: &FrameworkInfo,
) -> Result<Result<Opened, CallError>, Status> {
    let mut opening = vec![FrameworkCommand::Subscribe { member, info: info.clone() }];
    if member.is_some() {
        // Whatever was said of its tasks while it was away is said again.
        opening.push(FrameworkCommand::Reconcile(Vec::new()));
    }
    let mut frameworks = FrameworksClient::new(target.channel.clone())
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let calls = CallStream::begin(queue, opening);
    let attempt = Attempt::at(&calls);
    let mut inbound = frameworks.session(calls).await?.into_inner();
    let closed = || Status::unavailable("it closed the connection");
    let garbled = |source| CallError::Garbled { url: target.url.clone(), source };
    let mut message = inbound.message().await?.ok_or_else(closed)?;
    while message.events.is_empty() {
        message = inbound.message().await?.ok_or_else(closed)?;
    }
    let (epoch, last_call, given) = match FrameworkEvent::try_from(message.events.remove(0)) {
        Ok(FrameworkEvent::Subscribed { member, epoch, last_call }) => (epoch, last_call, member),
        Ok(FrameworkEvent::Error(why)) => return Ok(Err(CallError::Refused(why))),
        Ok(other) => {
            let said = format!("the master began a session with {other:?}, wanted its subscription");
            return Ok(Err(CallError::Refused(said)));
        }
        Err(malformed) => return Ok(Err(garbled(malformed))),
    };
    if let Some(member) = member.filter(|&member| member != given) {
        let said = format!("{} of {} came back, and the master took it for {}", member.id, member.cluster, given.id);
        return Ok(Err(CallError::Refused(said)));
    }
    // A master that was followed by another one is as good as none.
    let void = queue.admit(given, epoch, last_call).map_err(|stale| Status::unavailable(stale.to_string()))?;
    let events = match read(queue, message) {
        Ok(events) => events,
        Err((_, Unreadable::Error(why))) => return Ok(Err(CallError::Refused(why))),
        Err((_, Unreadable::Malformed(malformed))) => return Ok(Err(garbled(malformed))),
    };
    attempt.admitted();
    Ok(Ok(Opened { member: given, target: target.clone(), inbound, void, events }))
}

/// What a framework hears first when it is back with a master. The launches that were never sent come before: whoever asks
/// after its launches then asks not after these.
pub fn back_again(framework: FrameworkId, void: Vec<TaskId>) -> VecDeque<Event> {
    let mut heard: VecDeque<Event> = void.into_iter().map(never_sent).collect();
    heard.push_back(Event::Subscribed(framework));
    heard
}

/// What becomes of a launch that was said when the connection was lost, and its offers with it.
fn never_sent(task: TaskId) -> Event {
    let status = TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, TaskState::Dropped, Source::Master);
    let message = "its offer was void: the connection to the master was lost before the launch was sent".to_owned();
    Event::Update(TaskStatus { reason: Some(Reason::InvalidOffers), message, ..status })
}
