//! One span, as whoever records it knows it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use haggle_core::{SpanId, TraceContext};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// A part of what a task went through, with its beginning and its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Itself.
    pub context: TraceContext,
    /// What it is a part of.
    pub parent: Option<SpanId>,
    /// What it is called: one of a few words.
    pub name: &'static str,
    /// On whose behalf.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Likewise; what is before the start counts as the start.
    pub end_ns: u64,
    /// What else is known. Never what a guest is given: its arguments, environment and input may be secrets.
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// How a span stands to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of something here.
    Internal,
    /// What somebody else asked for, and waits for.
    Server,
    /// What somebody else sent.
    Consumer,
}

/// What is said of a span under one name.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number of seconds.
    Seconds(f64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Seconds(time.as_secs_f64())
    }
}

impl Value {
    fn named(self, name: &'static str) -> KeyValue {
        match self {
            Self::Text(text) => KeyValue::new(name, text),
            Self::Number(number) => KeyValue::new(name, number),
            Self::Seconds(seconds) => KeyValue::new(name, seconds),
        }
    }
}

impl Span {
    /// A span within this one: it begins and ends when it is told to, and knows nothing else.
    pub fn part(of: TraceContext, name: &'static str, start_ns: u64, end_ns: u64) -> Self {
        Self {
            context: TraceContext { span: of.span.part(name), ..of },
            parent: Some(of.span),
            name,
            kind: Kind::Internal,
            start_ns,
            end_ns,
            attributes: Vec::new(),
            error: None,
        }
    }

    /// With one more thing that is known.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Gone wrong, if there is something that did.
    #[must_use]
    pub fn failed(self, error: Option<String>) -> Self {
        Self { error, ..self }
    }

    pub(crate) fn into_data(self) -> SpanData {
        let flags = TraceFlags::default().with_sampled(self.context.is_sampled);
        let trace = self.context.trace.get().into();
        let context = SpanContext::new(trace, self.context.span.get().into(), flags, false, TraceState::NONE);
        SpanData {
            span_context: context,
            parent_span_id: self.parent.map_or(0, SpanId::get).into(),
            // Of a part, the parent may be another daemon's; who looks at a trace does not care.
            parent_span_is_remote: self.kind != Kind::Internal,
            span_kind: match self.kind {
                Kind::Internal => SpanKind::Internal,
                Kind::Server => SpanKind::Server,
                Kind::Consumer => SpanKind::Consumer,
            },
            name: self.name.into(),
            start_time: time(self.start_ns),
            end_time: time(self.end_ns.max(self.start_ns)),
            attributes: self.attributes.into_iter().map(|(name, value)| value.named(name)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: self.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: InstrumentationScope::builder("haggle").build(),
        }
    }
}

fn time(ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> TraceContext {
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()
    }

    #[test]
    fn a_span_has_its_ids_and_its_parent() {
        let data = Span::part(context(), "run", 5, 9).into_data();

        assert_eq!(data.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(data.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(data.span_context.span_id().to_string(), context().span.part("run").to_string());
        assert!(data.span_context.is_sampled());
        assert_eq!(data.status, Status::Unset);
    }

    #[test]
    fn no_span_ends_before_it_begins() {
        let data = Span::part(context(), "send", 9, 5).into_data();

        assert_eq!(data.start_time, data.end_time);
    }

    #[test]
    fn what_went_wrong_is_its_status() {
        let data = Span::part(context(), "run", 5, 9).failed(Some("TRAP: unreachable".to_owned())).into_data();

        assert_eq!(data.status, Status::error("TRAP: unreachable"));
    }
}
