//! What the thread does that carries spans: collects some, sends them, and counts.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::collector::Collector;
use crate::http_client::{Client, Deadline};
use crate::service::Service;
use crate::span::Span;
use crate::tracer::Counts;

/// Spans in one request, as OpenTelemetry's own exporters have it.
pub(crate) const BATCH_MAX: usize = 512;

/// How long the first of them waits for others: somebody may be looking.
const GATHER: Duration = Duration::from_millis(500);

/// Longer than anybody waits. It is a bound between two tries, and here there is one.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// Carries spans to one collector.
pub(crate) struct Export {
    exporter: SpanExporter,
    spans: mpsc::Receiver<Span>,
    deadline: Deadline,
    counts: Arc<Counts>,
}

impl Export {
    pub(crate) fn new(
        service: &Service,
        collector: Collector,
        spans: mpsc::Receiver<Span>,
        deadline: Deadline,
        counts: Arc<Counts>,
    ) -> Result<Self, ExporterBuildError> {
        let url = collector.url().to_string();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(collector, deadline.clone()))
            .with_endpoint(url)
            .with_protocol(Protocol::HttpBinary)
            // The client tries again by itself, for as long as it takes.
            .with_retry_policy(RetryPolicy::disabled())
            .with_timeout(FOREVER)
            .build()?;
        exporter.set_resource(&service.resource());
        Ok(Self { exporter, spans, deadline, counts })
    }

    /// Until the deadline is set, and then what is left, up to that.
    pub(crate) async fn run(mut self) {
        let mut is_refused = false;
        while let Some(batch) = self.gather().await {
            let count = batch.len() as u64;
            let batch = batch.into_iter().map(Span::into_data).collect();
            match self.exporter.export(batch).await {
                Ok(()) => {
                    is_refused = false;
                    self.counts.sent(count);
                }
                Err(error) => {
                    self.counts.dropped(count);
                    if !is_refused {
                        is_refused = true;
                        tracing::warn!("{count} spans are lost: {error}");
                    }
                }
            }
        }
    }

    /// The next ones; `None` at the end.
    async fn gather(&mut self) -> Option<Vec<Span>> {
        let mut batch = Vec::new();
        let first = tokio::select! {
            biased;
            span = self.spans.recv() => span,
            _ = self.deadline.wait_for(Option::is_some) => self.spans.try_recv().ok(),
        };
        batch.push(first?);
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH_MAX {
            let taken = tokio::select! {
                biased;
                taken = timeout_at(until, self.spans.recv()) => taken.ok().flatten(),
                _ = self.deadline.wait_for(Option::is_some) => self.spans.try_recv().ok(),
            };
            match taken {
                Some(span) => batch.push(span),
                None => break,
            }
        }
        Some(batch)
    }
}
