//! What traces cost where they are recorded, where no caller wants them, and where nobody asked for them: such clusters beside one
//! without.
//!
//! Without `--otlp` each place where something could be recorded looks whether anybody wants it, and does nothing more; there is no
//! build without that look. It is a part of what `--otlp-sample 0` does. So two clusters without are compared as well: what these
//! differ by is chance, and where `--otlp-sample 0` differs by no more, the look costs nothing that can be measured.

use haggle_kit::{AgentFlags, Cluster, Collector};

use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::sides::{Side, compare};

/// How much dearer tasks may be of which all is recorded, and those of which nothing is.
const RECORDED: f64 = 1.25;
const SAMPLED_OUT: f64 = 1.05;

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let collector = Collector::start();
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let plain = Side::new("no traces", cluster.client().await).await?;
    let mut figures = Vec::new();
    let same = Cluster::start(&[AgentFlags::default()]).await;
    let another = Side::new("no traces, another cluster", same.client().await).await?;
    figures.extend(compare(&plain, &another, Goal::Below(SAMPLED_OUT), effort).await?);
    for (name, ratio, goal) in [("all traces", "1", RECORDED), ("--otlp-sample 0", "0", SAMPLED_OUT)] {
        let traced = traced(&collector, ratio).await;
        let traced_side = Side::new(name, traced.client().await).await?;
        figures.extend(compare(&plain, &traced_side, Goal::Below(goal), effort).await?);
    }
    Ok(figures)
}

async fn traced(collector: &Collector, ratio: &'static str) -> Cluster {
    // As long as the process, which ends with the measurement.
    let url: &'static str = Box::leak(collector.url().into_boxed_str());
    let flags: &'static [&'static str] = Box::leak(Box::new(["--otlp", url, "--otlp-sample", ratio]));
    let mut cluster = Cluster::start_with(flags, &[]).await;
    cluster.spawn_agent_with(&AgentFlags::default(), flags);
    cluster.registered(1).await;
    cluster
}
