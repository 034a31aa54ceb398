//! Families of metrics as text, in the OpenMetrics format.

use std::fmt;
use std::time::Duration;

use haggle_core::Histogram;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// Labels of one metric: each with its value.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes one family after another.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// Something that grows and shrinks.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: impl Into<f64>) -> fmt::Result {
        self.begin(name, help, None, MetricType::Gauge)?.encode_gauge(&value.into())
    }

    /// The same, for each of these labels.
    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        unit: Option<&'static Unit>,
        rows: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, unit, MetricType::Gauge)?;
        rows.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// Something that only grows, until the master starts again.
    pub(super) fn counter(&mut self, name: &'static str, help: &str, value: u64) -> fmt::Result {
        self.begin(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// The same, for each of these labels.
    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        unit: Option<&'static Unit>,
        rows: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, unit, MetricType::Counter)?;
        rows.into_iter().try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    /// How long something took.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) -> fmt::Result {
        let bound = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets: Vec<_> = histogram.buckets().map(|(upper, count)| (bound(upper), count)).collect();
        self.begin(name, help, Some(&Unit::Seconds), MetricType::Histogram)?.encode_histogram::<NoLabelSet>(
            histogram.sum().as_secs_f64(),
            histogram.count(),
            &buckets,
            None,
        )
    }

    /// What does not change, in labels.
    pub(super) fn info<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        labels: &Labels<'_, N>,
    ) -> fmt::Result {
        self.begin(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn begin(
        &mut self,
        name: &'static str,
        help: &str,
        unit: Option<&'static Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }
}
