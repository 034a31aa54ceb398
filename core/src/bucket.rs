//! A budget that fills up again as time passes.

use core::ops::{Add, Sub};
use core::time::Duration;

use crate::time::Now;

/// A token bucket. Full at first, and full again once a whole period has passed without use.
///
/// Time is a machine's own, or any other that only goes on, as `std::time::Instant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket<Moment = Now> {
    /// When it is full again. `None`: it has never been used.
    full_at: Option<Moment>,
}

impl<Moment> Default for Bucket<Moment> {
    fn default() -> Self {
        Self { full_at: None }
    }
}

impl<Moment: Copy + Ord + Add<Duration, Output = Moment> + Sub<Output = Duration>> Bucket<Moment> {
    /// Takes that many out of a bucket that holds `most` and fills up within `period`.
    ///
    /// # Errors
    /// When there is not enough: after how long there is. Nothing is taken then.
    pub fn take(&mut self, now: Moment, amount: u64, most: u64, period: Duration) -> Result<(), Duration> {
        let full_at = self.full_again(now) + cost(amount, most, period);
        let missing = full_at - now;
        if missing > period + rounding(most, period) {
            return Err(missing - period);
        }
        self.full_at = Some(full_at);
        Ok(())
    }

    /// Takes that many in any case: what is missing is owed, a hundred periods of it at most.
    pub fn owe(&mut self, now: Moment, amount: u64, most: u64, period: Duration) {
        let full_at = self.full_again(now) + cost(amount, most, period);
        self.full_at = Some(full_at.min(now + 100 * period));
    }

    /// After how long no more than `part` of a period's fill is gone: whoever waits for that each time comes as evenly as the
    /// bucket fills up.
    pub fn wait(&self, now: Moment, part: Duration) -> Duration {
        self.missing(now).saturating_sub(part)
    }

    /// How much of `most` is gone.
    pub fn used(&self, now: Moment, most: u64, period: Duration) -> u64 {
        let used = self.missing(now).as_nanos() * u128::from(most) / period.as_nanos();
        u64::try_from(used).unwrap_or(u64::MAX).min(most)
    }

    /// Whether it is as good as new.
    pub fn is_full(&self, now: Moment) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }

    /// How long it takes to be full again.
    fn missing(&self, now: Moment) -> Duration {
        self.full_again(now) - now
    }

    fn full_again(&self, now: Moment) -> Moment {
        self.full_at.map_or(now, |at| at.max(now))
    }
}

/// How long that many take to fill up again: rounded up, so that many small ones are no way around. A thousand periods at
/// most, which is more than any bucket has.
fn cost(amount: u64, most: u64, period: Duration) -> Duration {
    let nanos = (u128::from(amount) * period.as_nanos()).div_ceil(u128::from(most.max(1)));
    let whole = period.saturating_mul(1_000);
    u64::try_from(nanos).map_or(whole, |nanos| Duration::from_nanos(nanos).min(whole))
}

/// By how much `most` of them cost more than a period because each is rounded up, a thousandth of it at most: the last of them is there
/// all the same.
fn rounding(most: u64, period: Duration) -> Duration {
    Duration::from_nanos(most).min(period / 1_000)
}

#[cfg(test)]
mod tests;
