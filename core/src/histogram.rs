//! How long something took, counted in buckets.

use core::time::Duration;

/// The upper bounds of the buckets but the last, which has none.
const BOUNDS: [Duration; 24] = [
    Duration::from_micros(1),
    Duration::from_nanos(2_500),
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Durations, each in the first bucket whose bound is not below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        self.counts[BOUNDS.partition_point(|&bound| bound < took)] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What they make together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// A time below which so many of a million are, or at which: the bound of a bucket, and the largest bound for what is above all.
    /// `None` when there are none.
    pub fn quantile(&self, of_a_million: u64) -> Option<Duration> {
        let wanted = self.count().saturating_mul(of_a_million).div_ceil(1_000_000).max(1);
        let mut so_far = 0;
        let mut reached = self.buckets().skip_while(|&(_, count)| {
            so_far += count;
            so_far < wanted
        });
        reached.next().map(|(bound, _)| bound.unwrap_or(BOUNDS[BOUNDS.len() - 1]))
    }

    /// The bound of each bucket and how many are in it; the last has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        BOUNDS.into_iter().map(Some).chain([None]).zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_has_room_for_it() {
        let mut histogram = Histogram::default();
        for took in [Duration::ZERO, Duration::from_millis(1), Duration::from_nanos(1_000_001), Duration::MAX] {
            histogram.record(took);
        }

        let filled: Vec<_> = histogram.buckets().filter(|&(_, count)| count > 0).collect();

        let millis = |millis: u64| Some(Duration::from_micros(millis));
        assert_eq!(filled, [(millis(1), 1), (millis(1_000), 1), (millis(2_500), 1), (None, 1)]);
        assert_eq!((histogram.count(), histogram.sum()), (4, Duration::MAX));
    }

    #[test]
    fn a_quantile_is_the_bound_below_which_so_many_are() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), None);
        (0..98).for_each(|_| histogram.record(Duration::from_micros(700)));
        histogram.record(Duration::from_millis(40));
        histogram.record(Duration::from_secs(600));

        let quantiles =
            [0, 500, 980, 981, 990, 991, 1_000].map(|part| histogram.quantile(part * 1_000).unwrap().as_millis());

        assert_eq!(quantiles, [1, 1, 1, 50, 50, 60_000, 60_000]);
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS.is_sorted());
    }
}
