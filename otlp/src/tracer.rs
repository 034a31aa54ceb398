//! What whoever records spans holds: a way to hand them over that never waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use haggle_core::TraceId;
use opentelemetry_otlp::ExporterBuildError;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::collector::{Collector, Ratio};
use crate::export::Export;
use crate::service::Service;
use crate::span::Span;

/// Spans that may wait for the collector: of some hundred tasks, and about a megabyte. More are dropped.
const WAITING_MAX: usize = 4096;

/// How long the last spans may take at the end of the program. A collector that answers takes milliseconds.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Records spans. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    spans: mpsc::Sender<Span>,
    counts: Arc<Counts>,
    ratio: Ratio,
}

/// The thread that carries spans to the collector. Dropped, it ends soon, and nobody waits for it.
#[derive(Debug)]
pub struct Exporting {
    deadline: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<()>,
}

/// Why spans cannot be carried anywhere.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no thread for it.
    #[error("no thread to send spans: {0}")]
    Thread(#[from] io::Error),
    /// The standard's variables ask for what is not done here.
    #[error("spans cannot be sent as the OTEL_ variables want it: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// What became of spans so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The collector took them.
    pub sent: u64,
    /// It did not, or not in time.
    pub dropped: u64,
}

/// The same, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
    /// Whether it was said that some are dropped, since the collector last took some.
    is_told: AtomicBool,
}

impl Counts {
    pub(crate) fn sent(&self, spans: u64) {
        self.sent.fetch_add(spans, Ordering::Relaxed);
        self.is_told.store(false, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}

impl Tracer {
    /// Begins to carry spans to this collector. It need not be there.
    ///
    /// # Errors
    /// When there is no thread for that, or the standard's variables want what is not done here.
    pub fn start(service: &Service, collector: Collector) -> Result<(Self, Exporting), StartError> {
        let (spans, waiting) = mpsc::channel(WAITING_MAX);
        let (deadline, told) = watch::channel(None);
        let (done, ended) = oneshot::channel();
        let (counts, ratio) = (Arc::<Counts>::default(), collector.ratio());
        tracing::info!(collector = %collector.url(), "traces of tasks are recorded");
        let export = Export::new(service, collector, waiting, told, Arc::clone(&counts))?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("haggle-otlp".to_owned()).spawn(move || {
            runtime.block_on(export.run());
            // Whoever waits may have gone.
            let _ = done.send(());
        })?;
        Ok((Self { spans, counts, ratio }, Exporting { deadline, ended }))
    }

    /// Whether a trace is recorded of which nobody else has decided that.
    pub fn samples(&self, trace: TraceId) -> bool {
        self.ratio.includes(trace)
    }

    /// Hands a span over, if its trace is recorded. Where the collector takes too few, it is dropped and counted.
    pub fn record(&self, span: Span) {
        if span.context.is_sampled && self.spans.try_send(span).is_err() {
            self.lose(1);
        }
    }

    /// Some could not even be recorded.
    pub fn lose(&self, spans: u64) {
        self.counts.dropped(spans);
        if !self.counts.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!("the collector takes spans too slowly: some are dropped, and counted");
        }
    }

    /// What became of spans so far.
    pub fn figures(&self) -> Figures {
        let Counts { sent, dropped, .. } = &*self.counts;
        Figures { sent: sent.load(Ordering::Relaxed), dropped: dropped.load(Ordering::Relaxed) }
    }
}

impl Exporting {
    /// Sends what is left, for a second at most.
    pub async fn finish(self) {
        self.deadline.send_replace(Some(Instant::now() + LAST_WAIT));
        // The thread may have ended by itself.
        let _ = self.ended.await;
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{ClusterId, FrameworkId, TaskId, TaskTrace};

    use super::*;
    use crate::export::BATCH_MAX;

    fn span(number: u64) -> Span {
        let id = TaskId { framework: FrameworkId(1), number };
        Span::of_task(&TaskTrace::begin(ClusterId(1), id, None, |_| true, 1), id, "count", 2)
    }

    #[tokio::test]
    async fn while_the_collector_is_away_a_bound_of_spans_waits_and_what_is_beyond_it_is_dropped_and_counted() {
        // Somebody was there, and is not any more.
        let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let service = Service { name: "haggle-test", version: "1", host: String::new(), agent: None };
        let collector = Collector::new(&format!("http://{away}"), |_| None).unwrap();
        let (tracer, exporting) = Tracer::start(&service, collector).unwrap();

        (0..10_000).for_each(|number| tracer.record(span(number)));

        let Figures { sent, dropped } = tracer.figures();
        let waits = 10_000 - usize::try_from(dropped).unwrap();
        assert_eq!(sent, 0);
        assert!((WAITING_MAX..=WAITING_MAX + BATCH_MAX).contains(&waits), "{waits} wait");
        // Nobody waits for it either.
        let began = Instant::now();
        exporting.finish().await;
        assert!(began.elapsed() < 5 * LAST_WAIT);
    }
}
