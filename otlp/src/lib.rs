//! Spans of tasks, and their way to an OpenTelemetry collector: OTLP over HTTP, in protobuf.
//!
//! Whoever records a span hands it to a [`Tracer`], which never waits: what the collector does not take in time is dropped,
//! and counted. A thread of its own carries the rest.
#![warn(missing_docs)]

mod collector;
mod export;
mod http_client;
mod service;
mod span;
mod task;
mod tracer;

pub use collector::{BadCollector, Collector, Ratio};
pub use service::Service;
pub use span::{Kind, Span, Value};
pub use tracer::{Exporting, Figures, StartError, Tracer};

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, by this machine's clock.
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
