//! Sessions of frameworks.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use haggle_core::access::{Kind, Principal};
use haggle_core::cluster::{Command, FrameworkCall};
use haggle_proto::v1;
use haggle_proto::v1::framework_call::Call;
use tonic::{Request, Response, Status, Streaming};

use super::{intake, session};
use crate::access::caller;
use crate::handle::{Handle, Peer};
use crate::inbox::Speaker;
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
        let intake = intake::of(&request)?;
        let caller = caller(&request)?;
        let peer = Peer::Framework(outbox.clone());
        let (mut speaker, place) = self.handle.open(caller.clone(), peer, intake).await?;
        let calls = request.into_inner();
        tokio::spawn(async move {
            let mut subscribed = false;
            let understand =
                |message, speaker: &mut Speaker| understand(speaker, caller.who.as_ref(), message, &mut subscribed);
            session::read(calls, &mut speaker, &outbox, understand).await;
            // A driver that has stopped has ended every session.
            let _ = speaker.end();
            drop(place);
        });
        let events = mail.map(|batch| {
            batch.map(|events| v1::FrameworkEvents { events: events.into_iter().map(Into::into).collect() })
        });
        Ok(Response::new(events.boxed()))
    }
}

fn understand(
    speaker: &mut Speaker,
    who: Option<&Principal>,
    message: v1::FrameworkCalls,
    subscribed: &mut bool,
) -> Result<Vec<Command>, Status> {
    let mut commands = Vec::with_capacity(message.calls.len());
    for call in message.calls {
        if !*subscribed {
            speaker.introduce(&share(who, introduction(call.call.as_ref())?));
            *subscribed = true;
        }
        commands.push(Command::Framework(speaker.session(), FrameworkCall::try_from(call)?));
    }
    Ok(commands)
}

/// Who takes turns with others at being heard, as one: all frameworks of a principal; of those who may use every role,
/// all of a role. No role is taken for a principal, for it has no space in it.
pub(crate) fn share(who: Option<&Principal>, role: &str) -> String {
    match who {
        Some(Principal { name, kind: Kind::Framework(_), .. }) => format!("principal {name}"),
        _ => role.to_owned(),
    }
}

/// The first role in which a framework introduces itself.
fn introduction(first: Option<&Call>) -> Result<&str, Status> {
    let name = match first {
        Some(Call::Subscribe(subscribe)) => {
            session::check_size("framework", subscribe.info.as_ref())?;
            let roles = subscribe.info.as_ref().map_or(&[][..], |info| &info.roles);
            return Ok(roles.first().map_or("", String::as_str));
        }
        Some(Call::Accept(_)) => "accept",
        Some(Call::LaunchGroup(_)) => "launch_group",
        Some(Call::Open(_)) => "open",
        Some(Call::Enqueue(_)) => "enqueue",
        Some(Call::Decline(_)) => "decline",
        Some(Call::AcceptInverse(_)) => "accept_inverse",
        Some(Call::DeclineInverse(_)) => "decline_inverse",
        Some(Call::Revive(_)) => "revive",
        Some(Call::Suppress(_)) => "suppress",
        Some(Call::Demand(_)) => "demand",
        Some(Call::Update(_)) => "update",
        Some(Call::Kill(_)) => "kill",
        Some(Call::Acknowledge(_)) => "acknowledge",
        Some(Call::Reconcile(_)) => "reconcile",
        Some(Call::Teardown(_)) => "teardown",
        None => "none",
    };
    Err(Status::failed_precondition(format!("the first call of a session must be subscribe, it is {name}")))
}
