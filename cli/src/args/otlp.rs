//! What can be typed of traces.

use clap::Args;
use haggle_master::{BadCollector, Collector, Ratio};

/// Where traces of tasks are told. What else a collector wants to be told, like a token, is a secret and comes by the variable.
#[derive(Args, Clone, Debug)]
pub(crate) struct OtlpArgs {
    /// Record what becomes of tasks as traces, and tell this OpenTelemetry collector: http://HOST:4318 or https://…
    ///
    /// By OTLP over HTTP, in protobuf. Each task is a trace, or a part of the one that TRACEPARENT named where it was asked for, and its guest
    /// finds TRACEPARENT too. A collector that is away or slow holds nothing up: spans wait, and are dropped when too many do.
    /// OTEL_EXPORTER_OTLP_HEADERS holds headers for it, OTEL_EXPORTER_OTLP_CERTIFICATE a file of authorities to believe it by.
    /// Without this flag OTEL_EXPORTER_OTLP_ENDPOINT names one; without that, nothing is recorded.
    #[arg(long, value_name = "URL", help_heading = "Traces", value_parser = url)]
    otlp: Option<String>,
    /// How many of all traces are recorded, from 0 to 1, where no caller has decided that: the same ones everywhere
    #[arg(long, value_name = "RATIO", help_heading = "Traces", default_value = "1", value_parser = ratio)]
    otlp_sample: Ratio,
}

impl OtlpArgs {
    /// The collector, if there is one to be told.
    ///
    /// # Errors
    /// When the variables name none that there can be.
    pub(crate) fn collector(&self) -> Result<Option<Collector>, BadCollector> {
        let named = match &self.otlp {
            Some(url) => Some(Collector::new(url, env)?),
            None => Collector::of_env(env)?,
        };
        Ok(named.map(|collector| collector.told_of(self.otlp_sample)))
    }

    /// Whether the command line itself names one.
    pub(crate) fn is_given(&self) -> bool {
        self.otlp.is_some()
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn url(text: &str) -> Result<String, BadCollector> {
    Collector::new(text, |_| None).map(|_| text.to_owned())
}

fn ratio(text: &str) -> Result<Ratio, BadCollector> {
    text.parse()
}
