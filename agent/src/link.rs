//! The connection to the master: made, kept, made again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::ready;
use futures_util::{Stream, StreamExt, stream};
use haggle_core::Epoch;
use haggle_core::cluster::{AgentOrder, Rejection};
use haggle_proto::outbox::{Limits, Mail, outbox};
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::{LEADER, MESSAGE_MAX, ORDERS_MAX, v1};
use haggle_tls::{distrust, refusal};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tonic::transport::Uri;
use tonic::{Code, Status};

use crate::admission::Admission;
use crate::config::{self, Config};
use crate::dial::{DialError, connect_for_session};
use crate::inbox::Inbox;
use crate::join::JoinError;
use crate::masters::Masters;
use crate::message::{Message, Progress};
use crate::passes::Passes;
use crate::registration::Registration;

/// The longest pause between heartbeats that a master is granted.
const RHYTHM_MAX: Duration = Duration::from_secs(60);

/// How long a master may take to open a session where there are others to ask: one that hangs must not hold up the
/// search for the one that leads.
const OPEN_TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(2);

/// How long the master may take to close a session that the agent left.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Reports that may wait for the wire. A master so far behind is cut off; what is unacknowledged is sent again.
const REPORTS_WAITING: usize = 4096;

/// A report is some 256 KiB of updates or output at most, so their number bounds the bytes; a bound of bytes might cut off, again and again,
/// who has very many updates to repeat. Larger messages than these only add latency.
const LIMITS: Limits = Limits { items: REPORTS_WAITING, bytes: usize::MAX, message: 1 << 20 };

/// How often in a row each master turns an agent away before it stops: the first may be the work of a master that is
/// starting, the second of a certificate that is to be renewed.
const TURNED_AWAY_MAX: usize = 3;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionEnd {
    #[error(transparent)]
    Connect(#[from] DialError),
    #[error("no certificate: {0}")]
    Join(#[from] JoinError),
    #[error("the master said: {} ({:?})", .0.message(), .0.code())]
    Status(#[from] Status),
    #[error("the master closed the session")]
    Closed,
    #[error("the master was silent for {0:?}")]
    Silent(Duration),
    #[error("the master takes reports too slowly: {REPORTS_WAITING} are waiting")]
    Slow,
    #[error("the master sent what cannot be understood: {0}")]
    Malformed(#[from] haggle_proto::convert::Malformed),
    #[error("the master is not to be obeyed: it is of {has}, and this agent has heard one of {highest}{}", word(.said))]
    Superseded { has: Epoch, highest: Epoch, said: Option<String> },
    #[error("the master wants this agent to try again later: {0}")]
    Later(String),
}

impl SessionEnd {
    /// The leader, when one that stands by has named it. Of another machine only where such a one is spoken to.
    fn leader(&self, goes_abroad: bool) -> Option<Uri> {
        let Self::Status(status) = self else { return None };
        let named = status.metadata().get(LEADER).filter(|_| status.code() == Code::Unavailable)?;
        let leader = config::master_uri(named.to_str().ok()?);
        let sought = leader.and_then(|leader| {
            if !goes_abroad {
                config::on_this_machine(std::slice::from_ref(&leader))?;
            }
            Ok(leader)
        });
        sought.inspect_err(|error| tracing::warn!(%error, "a master names a leader that is not sought")).ok()
    }

    /// Why the agent was not let in, or did not let itself in with who answered, if that is what happened.
    fn turned_away(&self) -> Option<String> {
        match self {
            Self::Connect(DialError::Dial(error)) => distrust(error),
            Self::Join(JoinError::Refused(why) | JoinError::Distrusted(why)) => Some(why.clone()),
            Self::Status(status) => match status.code() {
                Code::Unauthenticated | Code::PermissionDenied => Some(status.message().to_owned()),
                _ => distrust(status).or_else(|| refusal(status)),
            },
            _ => None,
        }
    }
}

fn word(said: &Option<String>) -> String {
    said.as_ref().map(|said| format!("; it says: {said}")).unwrap_or_default()
}

/// Keeps a session with the master for as long as the agent lives.
pub(crate) struct Link {
    pub(crate) masters: Masters,
    pub(crate) admission: Admission,
    /// Whoever has a session with the agent, for those who want something else of it.
    pub(crate) current: watch::Sender<Uri>,
    /// What comes with launches, for whoever fetches what they name.
    pub(crate) passes: Passes,
    /// Of all masters that have taken the agent in.
    pub(crate) highest: Epoch,
    pub(crate) heartbeat: Duration,
    pub(crate) inbox: Arc<Inbox<Message>>,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Link {
    /// Returns when the agent has left or failed.
    pub(crate) async fn run(mut self) {
        let mut progress = self.progress.clone();
        let mut turned_away = 0;
        loop {
            let master = self.masters.current().clone();
            let end = tokio::select! {
                end = self.session(&master, turned_away > 0) => end,
                () = over(&mut progress) => return,
            };
            if progress.borrow().is_final() {
                return;
            }
            self.inbox.push(Message::Disconnected);
            turned_away = if end.turned_away().is_some() { turned_away + 1 } else { 0 };
            if let Some(why) = end.turned_away()
                && (turned_away == TURNED_AWAY_MAX * self.masters.count() || matches!(end, SessionEnd::Join(_)))
            {
                return self.inbox.push(Message::TurnedAway(why));
            }
            let pause = match &end {
                SessionEnd::Later(_) => self.masters.again(),
                end => self.masters.next(end.leader(self.admission.goes_abroad())),
            };
            let next = self.masters.current();
            tracing::warn!(%master, reason = %end, %next, retry_in = ?pause, "no session with the master");
            tokio::select! {
                () = sleep(pause) => {}
                () = over(&mut progress) => return,
            }
        }
    }

    /// One session, from connecting to its end.
    async fn session(&mut self, master: &Uri, turned_away: bool) -> SessionEnd {
        match self.try_session(master, turned_away).await {
            Ok(()) => SessionEnd::Closed,
            Err(end) => end,
        }
    }

    async fn try_session(&mut self, uri: &Uri, turned_away: bool) -> Result<(), SessionEnd> {
        // As the master wants it, should that be less often.
        let mut every = self.heartbeat;
        let mut silence = every * Config::SILENT_HEARTBEATS;
        self.admission.prepare(turned_away).await?;
        let mut renewal = self.admission.renewal();
        let pass = self.admission.dialer().pass(uri);
        let mut master = AgentsClient::new(connect_for_session(uri, &pass, self.masters.are_several()).await?)
            .max_decoding_message_size(ORDERS_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        let (reports, mail) = outbox(LIMITS);
        let (register, registration) = oneshot::channel();
        self.inbox.push(Message::Connected(reports.clone(), register));
        let (told, telling) = watch::channel(Instant::now());
        let within = if self.masters.are_several() { OPEN_TIMEOUT_OF_SEVERAL } else { silence };
        let opened = timeout(within, master.session(messages(registration, mail, told))).await;
        let mut orders = opened.map_err(|_| SessionEnd::Silent(within))??.into_inner();

        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut is_hastened = false;
        loop {
            tokio::select! {
                // What has come counts before the silence is measured.
                biased;
                message = orders.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    heard = Instant::now();
                    if let Some(wanted) = wanted_rhythm(&message).map(|wanted| wanted.max(self.heartbeat))
                        && wanted != every
                    {
                        every = wanted;
                        silence = every * Config::SILENT_HEARTBEATS;
                        heartbeat = interval_at(heard + every, every);
                        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    }
                    if !is_hastened && wants_renewal(&message) {
                        tracing::info!("the authority of the agent's certificate is ending: it will be renewed");
                        is_hastened = true;
                        renewal = self.admission.hastened_renewal();
                    }
                    self.hear(uri, message).await?;
                }
                () = reports.cut_off() => return Err(SessionEnd::Slow),
                credentials = &mut renewal => {
                    self.admission.renewed(credentials);
                    renewal = self.admission.renewal();
                    is_hastened = false;
                }
                _ = heartbeat.tick() => {
                    // A master that takes a long registration piece by piece lives.
                    if heard.max(*telling.borrow()).elapsed() > silence {
                        return Err(SessionEnd::Silent(silence));
                    }
                    self.inbox.push(Message::Heartbeat);
                    // Where there is no room, enough else is about to be said.
                    if reports.has_room() {
                        let heartbeat = Report::Heartbeat(v1::Heartbeat::default());
                        let _ = reports.push(v1::AgentReport { report: Some(heartbeat) });
                    }
                }
            }
        }
    }

    /// Passes on what the master says, unless another has taken its place.
    async fn hear(&mut self, master: &Uri, message: v1::AgentOrders) -> Result<(), SessionEnd> {
        let epoch = Epoch(message.epoch);
        let mut news = Vec::with_capacity(message.orders.len());
        let mut end = None;
        let mut taken_in = None;
        for order in message.orders {
            news.push(match order.order {
                // Heartbeats have done their work by coming.
                Some(Order::Heartbeat(_)) => continue,
                Some(Order::ReadLog(order)) => Message::ReadLog(order),
                Some(Order::ReadUsage(order)) => Message::ReadUsage(order),
                _ => {
                    let order = AgentOrder::try_from(order)?;
                    match &order {
                        AgentOrder::Registered { epoch, .. } => taken_in = Some(*epoch),
                        AgentOrder::Refused(rejection) => end = Some(rejection.clone()),
                        _ => {}
                    }
                    Message::Order(order)
                }
            });
        }
        let lowest = taken_in.map_or(epoch, |taken_in| taken_in.min(epoch));
        // Epochs of different clusters cannot be compared.
        if lowest < self.highest && !matches!(end, Some(Rejection::OtherCluster(_))) {
            let said = end.map(|rejection| rejection.why().to_owned());
            return Err(SessionEnd::Superseded { has: lowest, highest: self.highest, said });
        }
        if let Some(epoch) = taken_in {
            self.highest = epoch;
            self.masters.answered();
            self.current.send_replace(master.clone());
        }
        self.passes.keep(message.passes);
        self.inbox.push_when_room(news).await;
        match end {
            Some(Rejection::Later(why)) => Err(SessionEnd::Later(why)),
            _ => Ok(()),
        }
    }
}

/// Whether the master asks for a renewal of the agent's certificate.
fn wants_renewal(message: &v1::AgentOrders) -> bool {
    heartbeats(message).any(|heartbeat| heartbeat.renew)
}

/// How often the master wants to hear from the agent, if it says so.
fn wanted_rhythm(message: &v1::AgentOrders) -> Option<Duration> {
    let told = heartbeats(message).last()?.every_ms;
    Some(Duration::from_millis(told.into()).min(RHYTHM_MAX))
}

fn heartbeats(message: &v1::AgentOrders) -> impl Iterator<Item = &v1::Heartbeat> {
    message.orders.iter().filter_map(|order| match &order.order {
        Some(Order::Heartbeat(heartbeat)) => Some(heartbeat),
        _ => None,
    })
}

/// Resolves when there is nothing left to link: at once after a failure, and after a farewell when the master has
/// had time to hear it.
async fn over(progress: &mut watch::Receiver<Progress>) {
    // An error means that the driver is gone.
    let last = progress.wait_for(Progress::is_final).await.map(|last| last.clone());
    if matches!(last, Ok(Progress::Left)) {
        sleep(LEAVE_TIMEOUT).await;
    }
}

/// What the agent says in one session: the registration, and then everything that waits. Nothing else is said before
/// the last piece of the registration. `told` becomes the time of the latest piece.
fn messages(
    registration: oneshot::Receiver<Registration>,
    mail: Mail<v1::AgentReport>,
    told: watch::Sender<Instant>,
) -> impl Stream<Item = v1::AgentReports> {
    let pieces = stream::once(async move {
        // Without a driver there is nobody to register.
        let pieces = registration.await.ok().map(Registration::pieces);
        stream::iter(pieces.into_iter().flatten().map(move |piece| {
            told.send_replace(Instant::now());
            v1::AgentReports { reports: vec![piece] }
        }))
    });
    pieces.flatten().chain(batches(mail))
}

/// Everything that waits, in one message. Nothing more is said to a master that was cut off.
fn batches(mail: Mail<v1::AgentReport>) -> impl Stream<Item = v1::AgentReports> {
    mail.filter_map(|batch| ready(batch.ok().map(|reports| v1::AgentReports { reports })))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use haggle_proto::outbox::FellBehind;

    use super::*;

    fn log(len: usize) -> v1::AgentReport {
        v1::AgentReport {
            report: Some(Report::Log(v1::LogChunk { data: vec![0; len].into(), ..v1::LogChunk::default() })),
        }
    }

    fn leave() -> v1::AgentReport {
        v1::AgentReport { report: Some(Report::Leave(v1::Leave {})) }
    }

    #[tokio::test]
    async fn everything_that_waits_goes_in_one_message() {
        let (reports, mail) = outbox(LIMITS);
        for len in [1, 2, 3] {
            reports.push(log(len)).unwrap();
        }

        let mut batches = batches(mail);

        assert_eq!(batches.next().await.unwrap().reports, [log(1), log(2), log(3)]);
    }

    #[tokio::test]
    async fn a_message_does_not_grow_beyond_its_target() {
        let (reports, mail) = outbox(LIMITS);
        for _ in 0..3 {
            reports.push(log(LIMITS.message / 2)).unwrap();
        }

        let mut batches = batches(mail);

        assert_eq!(batches.next().await.unwrap().reports.len(), 2);
        assert_eq!(batches.next().await.unwrap().reports.len(), 1);
    }

    #[tokio::test]
    async fn nothing_follows_a_farewell() {
        let (reports, mail) = outbox(LIMITS);
        reports.push(leave()).unwrap();
        reports.close();
        reports.push(log(1)).unwrap();

        let mut batches = batches(mail);

        assert_eq!(batches.next().await.unwrap().reports, [leave()]);
        assert_eq!(batches.next().await, None);
    }

    #[tokio::test]
    async fn a_master_that_takes_reports_too_slowly_is_cut_off() {
        let (reports, mail) = outbox(LIMITS);
        for _ in 0..REPORTS_WAITING {
            reports.push(log(1)).unwrap();
        }
        assert_eq!(reports.cut_off().now_or_never(), None);

        assert_eq!(reports.push(log(1)), Err(FellBehind));

        reports.cut_off().await;
        assert_eq!(batches(mail).next().await, None);
    }
}
