//! Sessions of frameworks.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use haggle_core::SessionId;
use haggle_core::cluster::{Command, FrameworkCall};
use haggle_proto::v1;
use haggle_proto::v1::framework_call::Call;
use tonic::{Request, Response, Status, Streaming};

use super::session;
use crate::access::caller;
use crate::handle::{Handle, Kind, Peer};
use crate::outbox::outbox;

pub(super) struct Frameworks {
    handle: Handle,
}

impl Frameworks {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl v1::frameworks_server::Frameworks for Frameworks {
    type SessionStream = BoxStream<'static, Result<v1::FrameworkEvents, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FrameworkCalls>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbox, mail) = outbox();
        let (session, place) = self.handle.open(caller(&request)?, Peer::Framework(outbox.clone())).await?;
        let handle = self.handle.clone();
        tokio::spawn(async move {
            let mut subscribed = false;
            let understand = |message| understand(session, message, &mut subscribed);
            session::read(request.into_inner(), (session, Kind::Framework), &handle, &outbox, understand).await;
            // A driver that has stopped has ended every session.
            let _ = handle.end(session).await;
            drop(place);
        });
        let events = mail.map(|batch| {
            batch.map(|events| v1::FrameworkEvents { events: events.into_iter().map(Into::into).collect() })
        });
        Ok(Response::new(events.boxed()))
    }
}

fn understand(session: SessionId, message: v1::FrameworkCalls, subscribed: &mut bool) -> Result<Vec<Command>, Status> {
    let mut commands = Vec::with_capacity(message.calls.len());
    for call in message.calls {
        if !*subscribed {
            introduction(call.call.as_ref())?;
            *subscribed = true;
        }
        commands.push(Command::Framework(session, FrameworkCall::try_from(call)?));
    }
    Ok(commands)
}

fn introduction(first: Option<&Call>) -> Result<(), Status> {
    let name = match first {
        Some(Call::Subscribe(subscribe)) => {
            return session::check_size("framework", subscribe.info.as_ref());
        }
        Some(Call::Accept(_)) => "accept",
        Some(Call::Decline(_)) => "decline",
        Some(Call::Revive(_)) => "revive",
        Some(Call::Suppress(_)) => "suppress",
        Some(Call::Kill(_)) => "kill",
        Some(Call::Acknowledge(_)) => "acknowledge",
        Some(Call::Reconcile(_)) => "reconcile",
        Some(Call::Teardown(_)) => "teardown",
        None => "none",
    };
    Err(Status::failed_precondition(format!("the first call of a session must be subscribe, it is {name}")))
}
