//! The ceiling of one task: a token bucket that is filled by the clock and emptied by CPU time.

use std::time::Duration;

use haggle_core::{MilliCpu, Now};

/// A task that may run again has earned what this much wall-clock time brings. It is the period of the
/// scheme: a task at its ceiling pauses this long, and is never further off its quota than half of this brings. Shorter
/// ones let it find less of its data in the cache each time; longer ones would show in its quota over a few seconds.
pub(super) const PERIOD: Duration = Duration::from_millis(25);

/// What a task that *wants* to run may save up while others keep it from running: enough to make good for a
/// machine that was busy for a moment. It stays below its quota over its life either way, and its weight,
/// not its savings, decides against neighbours.
const OWED: Duration = Duration::from_secs(1);

/// The least CPU time worth waking a task for; below it, changing tasks costs more than the task gets.
const WORTHWHILE: Duration = Duration::from_micros(200);

/// Tokens are thousandths of a nanosecond of CPU time, so that a task of 0.001 cpu earns whole tokens.
const TOKENS_PER_NANO: i128 = 1000;

/// One task's right to CPU time. Never holds more than it could have earned in [`OWED`], and falls below
/// zero by at most what the task did in one slice.
#[derive(Debug)]
pub(super) struct Bucket {
    milli: i128,
    level: i128,
    settled: Now,
}

impl Bucket {
    /// A half full bucket for a task that just came: a short task is not made to wait, and a long one, whose bucket is
    /// by turns full and empty, has had as much as it should have on average. One that may have nothing has an empty
    /// one for ever.
    pub(super) fn new(ceiling: MilliCpu, now: Now) -> Self {
        let mut bucket = Self { milli: i128::from(ceiling.get()), level: 0, settled: now };
        if bucket.milli > 0 {
            bucket.level = (bucket.enough() / 2).max(tokens(WORTHWHILE));
        }
        bucket
    }

    /// A task runs on one thread at a time, so a ceiling of a whole core or more never acts.
    fn is_unlimited(&self) -> bool {
        self.milli >= 1000
    }

    /// What a task that ran dry waits for.
    fn enough(&self) -> i128 {
        (self.earns(PERIOD)).max(tokens(WORTHWHILE))
    }

    fn earns(&self, time: Duration) -> i128 {
        i128::try_from(time.as_nanos()).unwrap_or(i128::MAX / 1_000_000) * self.milli
    }

    fn earn(&mut self, now: Now, at_most: i128) {
        let earned = self.earns(now - self.settled);
        self.level = (self.level + earned).min(at_most.max(self.level));
        self.settled = self.settled.max(now);
    }

    /// Counts the time until now, in which the task wanted to run.
    pub(super) fn waited(&mut self, now: Now) {
        let owed = self.earns(OWED).max(self.enough());
        self.earn(now, owed);
    }

    /// Counts the time until now, in which the task slept. Sleeping saves up no more than a period.
    pub(super) fn slept(&mut self, now: Now) {
        let enough = self.enough();
        self.level = self.level.min(enough);
        self.earn(now, enough);
    }

    /// Takes away what was used.
    pub(super) fn charge(&mut self, used: Duration) {
        self.level -= tokens(used);
    }

    /// How much CPU time the task may use before it has to wait; `None` when it has to wait now.
    pub(super) fn allowance(&self) -> Option<Duration> {
        if self.is_unlimited() {
            return Some(Duration::MAX);
        }
        let nanos = u64::try_from(self.level / TOKENS_PER_NANO).ok()?;
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Whether a task that ran dry need wait no longer.
    pub(super) fn has_enough(&self) -> bool {
        self.is_unlimited() || self.level >= self.enough()
    }

    /// How long it takes until the task has earned enough to run again; `None` when it never will have.
    pub(super) fn until_enough(&self) -> Option<Duration> {
        if self.milli == 0 {
            return None;
        }
        let missing = (self.enough() - self.level).max(0);
        let nanos = (missing + self.milli - 1) / self.milli;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

fn tokens(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX / 1_000_000) * TOKENS_PER_NANO
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: MilliCpu = MilliCpu::new(250);

    #[test]
    fn a_new_task_may_run_at_once_for_what_half_a_period_earns() {
        let bucket = Bucket::new(QUARTER, Now::ZERO);

        assert_eq!(bucket.allowance(), Some(PERIOD / 2 / 4));
    }

    #[test]
    fn a_task_that_ran_dry_waits_for_a_period() {
        let mut bucket = Bucket::new(QUARTER, Now::ZERO);

        bucket.charge(PERIOD / 2 / 4);

        assert_eq!(bucket.allowance(), None);
        assert_eq!(bucket.until_enough(), Some(PERIOD));
    }

    #[test]
    fn a_task_without_a_share_never_earns_one() {
        let mut bucket = Bucket::new(MilliCpu::ZERO, Now::ZERO);

        bucket.waited(Now::from_millis(60_000));

        assert_eq!((bucket.allowance(), bucket.until_enough()), (None, None));
    }

    #[test]
    fn sleeping_saves_up_one_period_only() {
        let mut bucket = Bucket::new(QUARTER, Now::ZERO);

        bucket.slept(Now::from_millis(60_000));

        assert_eq!(bucket.allowance(), Some(PERIOD / 4));
    }

    #[test]
    fn waiting_for_others_is_made_good_within_bounds() {
        let mut bucket = Bucket::new(QUARTER, Now::ZERO);

        bucket.waited(Now::from_millis(60_000));

        assert_eq!(bucket.allowance(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_whole_core_is_no_ceiling() {
        let mut bucket = Bucket::new(MilliCpu::from_cores(1), Now::ZERO);

        bucket.charge(Duration::from_secs(10));

        assert_eq!(bucket.allowance(), Some(Duration::MAX));
    }
}
