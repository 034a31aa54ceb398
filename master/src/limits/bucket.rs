//! A budget that fills up again as time passes.

use std::time::{Duration, Instant};

/// A token bucket. Full at first, and full again once a whole period has passed without use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// When it is full again. `None`: it has never been used.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes that many out of a bucket that holds `most` and fills up within `period`.
    ///
    /// # Errors
    /// When there is not enough: after how long there is. Nothing is taken then.
    pub(crate) fn take(&mut self, now: Instant, amount: u64, most: u64, period: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + cost(amount, most, period);
        let missing = full_at.duration_since(now);
        if missing > period {
            return Err(missing - period);
        }
        self.full_at = Some(full_at);
        Ok(())
    }

    /// Takes that many in any case: what is missing is owed, a hundred periods of it at most.
    pub(crate) fn owe(&mut self, now: Instant, amount: u64, most: u64, period: Duration) {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + cost(amount, most, period);
        self.full_at = Some(full_at.min(now + 100 * period));
    }

    /// After how long no more than `part` of a period's fill is gone: whoever waits for that each time comes as evenly as the
    /// bucket fills up.
    pub(crate) fn wait(&self, now: Instant, part: Duration) -> Duration {
        self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now).saturating_sub(part))
    }

    /// How much of `most` is gone.
    pub(crate) fn used(&self, now: Instant, most: u64, period: Duration) -> u64 {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let used = missing.as_nanos() * u128::from(most) / period.as_nanos();
        u64::try_from(used).unwrap_or(u64::MAX).min(most)
    }

    /// Whether it is as good as new.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// How long that many take to fill up again: rounded up, so that many small ones are no way around. A thousand periods at
/// most, which is more than any bucket has.
fn cost(amount: u64, most: u64, period: Duration) -> Duration {
    let nanos = (u128::from(amount) * period.as_nanos()).div_ceil(u128::from(most.max(1)));
    let whole = period.saturating_mul(1_000);
    u64::try_from(nanos).map_or(whole, |nanos| Duration::from_nanos(nanos).min(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn as_many_as_it_holds_may_come_at_once_and_then_as_many_as_time_brings() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        for _ in 0..10 {
            bucket.take(start, 1, 10, SECOND).unwrap();
        }

        assert_eq!(bucket.take(start, 1, 10, SECOND), Err(SECOND / 10));
        assert_eq!(bucket.used(start, 10, SECOND), 10);
        let later = start + SECOND / 10;
        assert_eq!(bucket.take(later, 1, 10, SECOND), Ok(()));
        assert_eq!(bucket.take(later, 1, 10, SECOND), Err(SECOND / 10));
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        bucket.take(start, 6, 10, SECOND).unwrap();

        for _ in 0..100 {
            assert!(bucket.take(start, 5, 10, SECOND).is_err());
        }

        assert_eq!(bucket.take(start, 4, 10, SECOND), Ok(()));
    }

    #[test]
    fn idleness_saves_nothing_up() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        bucket.take(start, 1, 10, SECOND).unwrap();
        let later = start + 100 * SECOND;

        assert!(bucket.is_full(later) && !bucket.is_full(start));
        assert!(bucket.take(later, 11, 10, SECOND).is_err());
        assert_eq!(bucket.take(later, 10, 10, SECOND), Ok(()));
    }

    #[test]
    fn many_small_ones_are_no_way_around_a_large_limit() {
        let (start, mut bucket, most) = (Instant::now(), Bucket::default(), 32 << 30);

        let taken = (0..1_000_000).filter(|_| bucket.take(start, 1, most, DAY).is_ok()).count() as u64;

        assert!(bucket.used(start, most, DAY) >= taken);
    }

    #[test]
    fn whoever_waits_each_time_comes_as_evenly_as_it_fills_up() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        let waits: Vec<_> = (0..30)
            .map(|_| {
                bucket.owe(start, 1, 20, SECOND);
                bucket.wait(start, SECOND / 4)
            })
            .collect();

        assert_eq!(waits[..5], [Duration::ZERO; 5]);
        let evenly: Vec<_> = (1..=25).map(|count| count * SECOND / 20).collect();
        assert_eq!(waits[5..], evenly);
        assert_eq!(bucket.wait(start + 2 * SECOND, SECOND / 4), Duration::ZERO);
    }

    #[test]
    fn no_debt_lasts_for_ever() {
        let (start, mut bucket) = (Instant::now(), Bucket::default());
        for _ in 0..100 {
            bucket.owe(start, u64::MAX, 1, SECOND);
        }

        assert_eq!(bucket.wait(start, Duration::ZERO), 100 * SECOND);
    }

    #[test]
    fn more_than_it_ever_holds_is_refused() {
        let mut bucket = Bucket::default();
        assert!(bucket.take(Instant::now(), u64::MAX, 1, DAY).is_err());
        assert!(bucket.take(Instant::now(), 2, 1, DAY).is_err());
    }
}
