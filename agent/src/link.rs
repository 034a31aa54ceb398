//! The connection to the master: made, kept, made again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use haggle_core::cluster::AgentOrder;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::{MESSAGE_MAX, v1};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::backoff::Backoff;
use crate::config::Config;
use crate::driver::{Message, Progress};
use crate::inbox::Inbox;

/// How long a connection may take to come about. On loopback it takes none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the master may take to close a session that the agent left.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Reports that may wait for the wire. A master so far behind is cut off; what is unacknowledged is sent again.
const REPORTS_WAITING: usize = 4096;

/// What one message carries at most, give or take one report. Larger ones only add latency.
const MESSAGE_TARGET: usize = 1 << 20;

/// One session with the master, as the driver sees it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Everything that waits here goes out in one message.
    pub(crate) reports: mpsc::Sender<v1::AgentReport>,
    /// Ends the session, when the driver found no room.
    pub(crate) cut: Arc<Notify>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionEnd {
    #[error("cannot connect: {}", innermost(.0))]
    Connect(#[from] tonic::transport::Error),
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
}

/// tonic's own text is "transport error"; what happened is at the end of the chain.
fn innermost(error: &tonic::transport::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Keeps a session with the master for as long as the agent lives.
pub(crate) struct Link {
    pub(crate) endpoint: Endpoint,
    pub(crate) heartbeat: Duration,
    pub(crate) inbox: Arc<Inbox<Message>>,
    pub(crate) progress: watch::Receiver<Progress>,
}

/// How the master is connected to.
pub(crate) fn endpoint(master: &Uri) -> Endpoint {
    Channel::builder(master.clone()).tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT)
}

impl Link {
    /// Returns when the agent has left or failed.
    pub(crate) async fn run(self) {
        let mut progress = self.progress.clone();
        let mut backoff = Backoff::default();
        loop {
            let mut answered = false;
            let end = tokio::select! {
                end = self.session(&mut answered) => end,
                () = over(&mut progress) => return,
            };
            if progress.borrow().is_final() {
                return;
            }
            self.inbox.push(Message::Disconnected);
            if answered {
                backoff.reset();
            }
            let pause = backoff.next();
            tracing::warn!(master = %self.endpoint.uri(), reason = %end, retry_in = ?pause, "no session with the master");
            tokio::select! {
                () = sleep(pause) => {}
                () = over(&mut progress) => return,
            }
        }
    }

    /// One session, from connecting to its end. `answered` becomes true when the master took the agent in.
    async fn session(&self, answered: &mut bool) -> SessionEnd {
        match self.try_session(answered).await {
            Ok(()) => SessionEnd::Closed,
            Err(end) => end,
        }
    }

    async fn try_session(&self, answered: &mut bool) -> Result<(), SessionEnd> {
        let silence = self.heartbeat * Config::SILENT_HEARTBEATS;
        let mut master = AgentsClient::new(self.endpoint.connect().await?)
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        let (reports, waiting) = mpsc::channel(REPORTS_WAITING);
        let cut = Arc::new(Notify::new());
        // The driver answers with the registration, the first report of the session.
        self.inbox.push(Message::Connected(Session { reports: reports.clone(), cut: Arc::clone(&cut) }));
        let opened = timeout(silence, master.session(batches(waiting))).await;
        let mut orders = opened.map_err(|_| SessionEnd::Silent(silence))??.into_inner();

        // Not at once: the registration comes first.
        let mut heartbeat = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                // What has come counts before the silence is measured.
                biased;
                message = orders.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    heard = Instant::now();
                    *answered = true;
                    self.inbox.push_when_room(messages(message)?).await;
                }
                () = cut.notified() => return Err(SessionEnd::Slow),
                _ = heartbeat.tick() => {
                    if heard.elapsed() > silence {
                        return Err(SessionEnd::Silent(silence));
                    }
                    // Where there is no room, enough else is about to be said.
                    let _ = reports.try_send(v1::AgentReport { report: Some(Report::Heartbeat(v1::Heartbeat {})) });
                }
            }
        }
    }
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

/// What the driver is to hear of one message. Heartbeats have done their work by coming.
fn messages(message: v1::AgentOrders) -> Result<Vec<Message>, SessionEnd> {
    let mut heard = Vec::with_capacity(message.orders.len());
    for order in message.orders {
        heard.push(match order.order {
            Some(Order::Heartbeat(_)) => continue,
            Some(Order::ReadLog(order)) => Message::ReadLog(order),
            _ => Message::Order(AgentOrder::try_from(order)?),
        });
    }
    Ok(heard)
}

/// Everything that waits, in one message; ends after a farewell.
fn batches(reports: mpsc::Receiver<v1::AgentReport>) -> impl Stream<Item = v1::AgentReports> {
    stream::unfold(Some(reports), |reports| async move {
        let mut reports = reports?;
        let mut batch = vec![reports.recv().await?];
        let mut size = batch.iter().map(size).sum::<usize>();
        while size < MESSAGE_TARGET
            && let Ok(report) = reports.try_recv()
        {
            size += self::size(&report);
            batch.push(report);
        }
        let farewell = batch.iter().any(|report| matches!(report.report, Some(Report::Leave(_))));
        Some((v1::AgentReports { reports: batch }, (!farewell).then_some(reports)))
    })
}

/// About how many bytes a report takes on the wire.
fn size(report: &v1::AgentReport) -> usize {
    /// Everything in a status but its message.
    const STATUS: usize = 128;
    match &report.report {
        Some(Report::Log(chunk)) => chunk.data.len(),
        Some(Report::Updates(updates)) => updates.statuses.iter().map(|status| STATUS + status.message.len()).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

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
        let (reports, waiting) = mpsc::channel(8);
        for len in [1, 2, 3] {
            reports.try_send(log(len)).unwrap();
        }

        let mut batches = std::pin::pin!(batches(waiting));

        assert_eq!(batches.next().await.unwrap().reports, [log(1), log(2), log(3)]);
    }

    #[tokio::test]
    async fn a_message_does_not_grow_beyond_its_target() {
        let (reports, waiting) = mpsc::channel(8);
        for _ in 0..3 {
            reports.try_send(log(MESSAGE_TARGET / 2 + 1)).unwrap();
        }

        let mut batches = std::pin::pin!(batches(waiting));

        assert_eq!(batches.next().await.unwrap().reports.len(), 2);
        assert_eq!(batches.next().await.unwrap().reports.len(), 1);
    }

    #[tokio::test]
    async fn nothing_follows_a_farewell() {
        let (reports, waiting) = mpsc::channel(8);
        reports.try_send(leave()).unwrap();

        let mut batches = std::pin::pin!(batches(waiting));

        assert_eq!(batches.next().await.unwrap().reports, [leave()]);
        assert_eq!(batches.next().await, None);
    }
}
