//! Sessions of agents.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use haggle_core::access::{Kind, Principal};
use haggle_core::cluster::{AgentCommand, Command, answers_each, heartbeat_every};
use haggle_core::{AgentId, SessionId};
use haggle_proto::v1;
use haggle_proto::v1::agent_report::Report;
use tonic::{Request, Response, Status, Streaming};

use super::{intake, session};
use crate::acceptor::Remote;
use crate::access::{ENDED, Passes, caller};
use crate::agent_mail::AgentMail;
use crate::handle::{Handle, Peer};
use crate::inbox::Speaker;
use crate::limits::Taken;
use crate::logs::LogRelay;
use crate::metrics::AgentFigures;
use crate::outbox::{Outbox, outbox};
use crate::security::Security;

pub(super) struct Agents {
    handle: Handle,
    logs: Arc<LogRelay>,
    figures: Arc<AgentFigures>,
    /// `None`: in plain text nobody has a certificate, and agents come as the owner.
    security: Option<Arc<Security>>,
    passes: Option<Arc<Passes>>,
}

impl Agents {
    pub(super) fn new(
        handle: Handle,
        logs: Arc<LogRelay>,
        figures: Arc<AgentFigures>,
        security: Option<Arc<Security>>,
        passes: Option<Arc<Passes>>,
    ) -> Self {
        Self { handle, logs, figures, security, passes }
    }
}

#[tonic::async_trait]
impl v1::agents_server::Agents for Agents {
    type SessionStream = BoxStream<'static, Result<v1::AgentOrders, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentReports>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbox, mail) = outbox();
        let intake = intake::of(&request)?;
        let caller = caller(&request)?;
        let certified = match caller.who {
            Some(Principal { kind: Kind::Agent(id), .. }) => self.passes.clone().map(|passes| (passes, id)),
            _ => None,
        };
        let (mut speaker, place) = self.handle.open(caller, Peer::Agent(outbox.clone()), intake).await?;
        let (logs, figures) = (Arc::clone(&self.logs), Arc::clone(&self.figures));
        let shown = Shown::of(&request, self.security.as_ref());
        let agents = self.handle.house().agents();
        let reports = request.into_inner();
        tokio::spawn(async move {
            let session = speaker.session();
            logs.joined(session, outbox.clone());
            let mut listener = Listener {
                session,
                registered: false,
                unanswered: 0,
                outbox: &outbox,
                logs: &logs,
                figures: &figures,
                shown: &shown,
                agents: &agents,
            };
            let understand = |message, speaker: &mut Speaker| listener.understand(message, speaker);
            tokio::select! {
                () = session::read(reports, &mut speaker, &outbox, understand) => {}
                () = shown.void() => outbox.fail(Status::unauthenticated(ENDED)),
            }
            logs.left(session);
            figures.left(session);
            // A driver that has stopped has ended every session.
            let _ = speaker.end();
            drop(place);
        });
        let epoch = self.handle.reign().epoch.0;
        let orders = mail.map(move |batch| {
            batch.map(|mail| {
                let passes = certified.as_ref().map_or_else(Vec::new, |(passes, id)| passes.of(*id, &mail));
                v1::AgentOrders { orders: mail.into_iter().map(Into::into).collect(), epoch, passes }
            })
        });
        Ok(Response::new(orders.boxed()))
    }
}

/// The certificate with which an agent came.
struct Shown(Option<(Arc<Security>, AgentId)>);

impl Shown {
    fn of<T>(request: &Request<T>, security: Option<&Arc<Security>>) -> Self {
        let remote = request.extensions().get::<Remote>();
        let shown = remote.and_then(|remote| Some((remote.agent?, remote.signer.as_ref()?.authority)));
        Self(security.zip(shown).map(|(security, (agent, signer))| {
            security.held().note(agent, signer);
            (Arc::clone(security), agent)
        }))
    }

    /// Whether the agent is to have another one.
    fn must_be_renewed(&self) -> bool {
        self.0.as_ref().is_some_and(|(security, agent)| security.must_renew(*agent))
    }

    /// Waits until it is of no use any more, and the agent has no other.
    async fn void(&self) {
        match &self.0 {
            Some((security, agent)) => security.void(*agent).await,
            None => std::future::pending().await,
        }
    }
}

struct Listener<'a> {
    session: SessionId,
    registered: bool,
    /// Heartbeats since the last that was answered, that one among them; 0 when the next is.
    unanswered: u32,
    outbox: &'a Outbox<AgentMail>,
    logs: &'a LogRelay,
    figures: &'a AgentFigures,
    shown: &'a Shown,
    agents: &'a Taken,
}

impl Listener<'_> {
    /// Answers what the shell can answer, and passes on the rest.
    fn understand(&mut self, message: v1::AgentReports, speaker: &Speaker) -> Result<Vec<Command>, Status> {
        let mut commands = Vec::with_capacity(message.reports.len());
        for v1::AgentReport { report } in message.reports {
            if !self.registered {
                introduction(report.as_ref())?;
                self.registered = true;
            }
            match report {
                Some(Report::Log(chunk)) => self.logs.answered(self.session, chunk),
                Some(Report::Usage(usage)) => self.logs.told_usage(self.session, usage),
                Some(Report::Counters(news)) => self.figures.told(self.session, &news),
                Some(Report::Heartbeat(_)) => {
                    speaker.beat();
                    self.answer_now_and_then();
                }
                report => {
                    let command = AgentCommand::try_from(v1::AgentReport { report })?;
                    commands.push(Command::Agent(self.session, command));
                }
            }
        }
        Ok(commands)
    }

    /// An agent waits for four of its heartbeats before it takes a master for dead, so that it need not hear of each. To answer is
    /// most of what an idle agent costs.
    fn answer_now_and_then(&mut self) {
        let agents = self.agents.now();
        self.unanswered = (self.unanswered + 1) % answers_each(agents);
        // The first is answered.
        if self.unanswered == 1 {
            // From here, not from the driver: a busy master is not a dead one. An agent that has fallen behind is cut off by
            // this, which ends the session.
            let (renew, every) = (self.shown.must_be_renewed(), heartbeat_every(agents));
            let _ = self.outbox.put(&mut vec![AgentMail::Heartbeat { renew, every }]);
        }
    }
}

fn introduction(first: Option<&Report>) -> Result<(), Status> {
    let name = match first {
        Some(Report::Register(register)) => {
            // In the registry, this marks an agent that has shown no key yet.
            if !register.key.is_empty() && register.key.iter().all(|&byte| byte == 0) {
                return Err(Status::invalid_argument("the key of an agent is drawn at random, and is not zero"));
            }
            return session::check_size("agent", register.info.as_ref());
        }
        Some(Report::Heartbeat(_)) => "heartbeat",
        Some(Report::Updates(_)) => "updates",
        Some(Report::HoldsQueues(_)) => "holds_queues",
        Some(Report::QueueUpdates(_)) => "queue_updates",
        Some(Report::Volumes(_)) => "volumes",
        Some(Report::UnusedMilliCpus(_)) => "unused_milli_cpus",
        Some(Report::Drain(_)) => "drain",
        Some(Report::Leave(_)) => "leave",
        Some(Report::Log(_)) => "log",
        Some(Report::Counters(_)) => "counters",
        Some(Report::Usage(_)) => "usage",
        Some(Report::Holds(_)) => "holds",
        None => "none",
    };
    Err(Status::failed_precondition(format!("the first report of a session must be register, it is {name}")))
}
