//! `POST /api/v1/scheduler`.

use std::sync::Arc;

use futures_util::StreamExt;
use haggle_core::FrameworkId;
use haggle_core::cluster::{Cluster, FrameworkEvent};
use haggle_mesos::Format;
use haggle_mesos::meaning::{Dialect, Introduction, introduction};
use haggle_mesos::wire::scheduler::{Call, CallType, Event};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{Request, Response};

use super::answer::{empty, text};
use super::body::{self, accepted, content, receive};
use super::session::{Session, Words, speak, words};
use super::stream::{self, Events};
use super::{Mesos, STREAM_ID};
use crate::access::Caller;
use crate::grpc::share;
use crate::handle::Peer;
use crate::inbox::Kind;
use crate::outbox::outbox;

/// The answer to a call that is refused.
type Refused = Box<Response<Body>>;

pub(super) async fn answer(mesos: Mesos, caller: Caller, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let answered = match head.headers.get(STREAM_ID) {
        Some(stream) => call(&mesos, &caller, &head, stream.to_str().unwrap_or_default(), body).await,
        None => return subscribe(mesos, caller, &head, body).await,
    };
    Ok(answered.unwrap_or_else(|refused| *refused))
}

fn bad(why: impl std::fmt::Display) -> Refused {
    Box::new(text(400, format!("{why}\n")))
}

/// A call of a session.
async fn call(
    mesos: &Mesos,
    caller: &Caller,
    head: &Parts,
    stream: &str,
    body: Body,
) -> Result<Response<Body>, Refused> {
    let format = content(&head.headers)?;
    let session = mesos.0.sessions.get(stream);
    let turns = |session: &Arc<Session>| [&session.large, &session.large_of_principal, &mesos.0.large].map(Arc::clone);
    let turns = session.as_ref().map(turns);
    let body = receive(body, turns).await?;
    let call: Call = format.read(&body.bytes).map_err(bad)?;
    if call.r#type() == CallType::Subscribe {
        return Err(bad("Subscribe calls should not include the 'Mesos-Stream-Id' header"));
    }
    let Some(framework) = call.framework_id.as_ref().map(|id| id.value.clone()) else {
        return Err(bad("expecting 'framework_id' to be present"));
    };
    let Some(session) = session else {
        return Err(no_session(mesos, caller, &framework).await);
    };
    let Session { dialect, who, names, outbox, calls, .. } = &*session;
    if dialect.ids.framework(dialect.framework) != framework {
        return Err(bad(format_args!("the stream ID {stream} is of another framework than {framework}")));
    }
    if caller.who.as_ref().map(haggle_core::access::Principal::id).as_ref() != Some(who) {
        return Err(bad(format_args!("{framework} was subscribed by somebody else")));
    }
    let is_update = call.r#type() == CallType::UpdateFramework;
    let said = dialect.understand(call).map_err(bad)?;
    names.mention(said.mentioned);
    if !said.refused.is_empty() {
        // Who has fallen behind hears of its end on its stream.
        let _ = outbox.put(&mut said.refused.into_iter().map(FrameworkEvent::Update).collect());
    }
    let words = Words { commands: said.commands, bytes: body.bytes.len(), places: body.places };
    calls.send(words).await.map_err(|_| Box::new(text(403, format!("{framework} is not subscribed\n"))))?;
    Ok(empty(if is_update { 200 } else { 202 }))
}

/// What is answered to a call of a stream that there is not.
async fn no_session(mesos: &Mesos, caller: &Caller, framework: &str) -> Refused {
    let unknown = || bad(format_args!("framework {framework} cannot be found"));
    let Ok(member) = mesos.ids().read_framework(framework) else { return unknown() };
    if mesos.0.sessions.has(member.id) {
        return bad(
            "the stream ID in this request's 'Mesos-Stream-Id' header is not that of the framework's subscription",
        );
    }
    let tenant = mesos.0.handle.ask(move |cluster: &Cluster, _| cluster.tenant_of(member.id)).await.ok().flatten();
    let may_see = |tenant: &haggle_core::access::Tenant| {
        caller.who.as_ref().is_some_and(|who| who.may(haggle_core::access::Verb::ListFrameworks, tenant))
    };
    match tenant.filter(|tenant| may_see(tenant)) {
        Some(_) => Box::new(text(403, format!("framework {framework} is not subscribed\n"))),
        None => unknown(),
    }
}

/// Reads the first call of a session.
async fn first(head: &Parts, body: Body) -> Result<(Format, Introduction, usize), Refused> {
    let format = content(&head.headers)?;
    let body::Whole { bytes, .. } = receive(body, None).await?;
    let call: Call = format.read(&bytes).map_err(bad)?;
    if call.r#type() != CallType::Subscribe {
        return Err(bad("All non-subscribe calls should include the 'Mesos-Stream-Id' header"));
    }
    let accepted = accepted(&head.headers)?;
    let on_top = call.framework_id.map(|id| id.value).filter(|id| !id.is_empty());
    let subscribe =
        call.subscribe.ok_or_else(|| bad("a call of type SUBSCRIBE has a field subscribe, and this one has not"))?;
    let mut introduction = introduction(subscribe).map_err(bad)?;
    match (&introduction.id, on_top) {
        (Some(one), Some(other)) if *one != other => {
            return Err(bad("'framework_id' differs from 'subscribe.framework_info.id'"));
        }
        (None, on_top) => introduction.id = on_top,
        _ => {}
    }
    Ok((accepted, introduction, bytes.len()))
}

/// Begins a session. What is wrong with a framework, other than with its call, is told on its stream.
async fn subscribe(mesos: Mesos, caller: Caller, head: &Parts, body: Body) -> Result<Response<Body>, Status> {
    let (format, introduction, bytes) = match first(head, body).await {
        Ok(first) => first,
        Err(refused) => return Ok(*refused),
    };
    let handle = &mesos.0.handle;
    let member = match introduction.id.as_deref().map(|id| mesos.ids().read_framework(id)).transpose() {
        Ok(member) => member,
        Err(none) => return Ok(stream::of_one(format, &Event::error(none.to_string()))),
    };
    let copes = introduction.copes;
    let role = introduction.info.roles.first().cloned().unwrap_or_default();
    let who = caller.principal()?.id();

    let (outbox, mut mail) = outbox();
    let intake = handle.intake(Kind::Framework);
    let (mut speaker, place) = handle.open(caller.clone(), Peer::Framework(outbox.clone()), intake).await?;
    speaker.introduce(&share(caller.who.as_ref(), &role));
    let (calls, said) = words();
    // From here on the session ends by itself when whoever asks has gone.
    tokio::spawn(speak(speaker, outbox.clone(), said, place));
    let first = Words { commands: introduction.commands(member), bytes, places: Vec::new() };
    calls.send(first).await.map_err(|_| Status::unavailable("the master is stopping"))?;

    let mut batch = match mail.next().await {
        Some(Ok(batch)) => batch.into_iter(),
        Some(Err(status)) if stream::is_passing(&status) => return Err(status),
        Some(Err(status)) => return Ok(stream::of_one(format, &Event::error(status.message()))),
        None => return Err(Status::unavailable("the session ended at once")),
    };
    let framework = match batch.next() {
        Some(FrameworkEvent::Subscribed { member, .. }) => member.id,
        Some(FrameworkEvent::Error(why)) => {
            let dialect = Dialect { ids: mesos.ids(), framework: FrameworkId(0), copes };
            let told = dialect.events(FrameworkEvent::Error(why), |task| (task.to_string(), None), 0.0);
            return Ok(stream::of_one(format, &told[0]));
        }
        _ => return Err(Status::internal("a session began with something else than its subscription; this is a bug")),
    };
    let dialect = Dialect { ids: mesos.ids(), framework, copes };
    let names = Arc::default();
    let session = Session {
        dialect,
        who,
        names: Arc::clone(&names),
        outbox,
        large: Arc::new(Semaphore::new(1)),
        large_of_principal: Arc::new(Semaphore::new(body::LARGE_OF_PRINCIPAL)),
        calls,
    };
    let entered = mesos.0.sessions.enter(session)?;
    let events = Events { handle: handle.clone(), dialect, names, format };
    stream::of_session(events, &mesos.0.master, entered, batch.collect(), mail).await
}
