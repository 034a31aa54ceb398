//! CPU time finer than the system's steps, where its steps are too long for a turn of a task.

use std::time::Duration;

/// What is known of one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coarse {
    /// When it was last asked, by the clock on the wall.
    asked: Duration,
    /// What it was last told to have used.
    estimate: Duration,
    /// The same, as the system counts it.
    counted: Duration,
    /// When the system was last asked.
    counted_at: Duration,
}

impl Coarse {
    /// A thread that was never asked.
    pub(super) const NEW: Self =
        Self { asked: Duration::ZERO, estimate: Duration::ZERO, counted: Duration::ZERO, counted_at: Duration::ZERO };

    /// A thread that was away for longer has slept: one that runs asks at the end of each slice.
    const AWAY: Duration = Duration::from_millis(4);

    /// How long what the system said is good for: asking it may take some ten microseconds.
    const FRESH: Duration = Duration::from_millis(2);

    /// What is told in any case.
    const LEAST: Duration = Duration::from_nanos(1);

    /// The thread has slept until this time on the wall: what has passed since it last asked was not used. Without this a
    /// short sleep counts as work, of nobody in particular, which is then missing from what is told of the work itself.
    pub(super) fn slept(&mut self, time: Duration) {
        self.asked = time;
    }

    /// CPU time that the thread has used, at this time on the wall: it never goes back, it is never behind what the
    /// system counts, and never more than two steps and what is fresh ahead of it. So what a thread uses is off by that
    /// much once, however long it runs.
    ///
    /// `count` asks the system, whose clock goes in such steps. Between them, time on the wall is taken for used as long as
    /// that can be, so that short work is told as well.
    pub(super) fn at(&mut self, time: Duration, step: Duration, count: impl FnOnce() -> Duration) -> Duration {
        if time.saturating_sub(self.counted_at) >= Self::FRESH || self.asked.is_zero() {
            self.counted = count();
            self.counted_at = time;
        }
        let passed = time.saturating_sub(self.asked);
        let passed = if passed > Self::AWAY { Duration::ZERO } else { passed };
        let possible = (self.estimate + passed).min(self.counted + 2 * step);
        // Whoever asks has done something, however little.
        self.estimate = (self.estimate + Self::LEAST).max(possible).max(self.counted);
        self.asked = time;
        self.estimate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// What a thread seems to have used that runs for `on` of every `period`, asked every 500 µs while it runs, after so
    /// many periods; and what it has used.
    fn seems(on: u64, period: u64, periods: u64) -> (Duration, Duration) {
        let (mut coarse, mut used, mut seems) = (Coarse::NEW, 0, Duration::ZERO);
        for number in 0..periods {
            for at in (0..on).step_by(500) {
                let time = Duration::from_micros(1_000_000 + number * period + at);
                let counted = STEP * u32::try_from((used + at) / 10_000).unwrap();
                let before = seems;
                seems = coarse.at(time, STEP, || counted);
                assert!(seems >= before && seems >= coarse.counted);
            }
            used += on;
        }
        (seems, Duration::from_micros(used))
    }

    #[test]
    fn a_thread_that_always_runs_uses_what_passes() {
        let (seems, used) = seems(1_000_000, 1_000_000, 5);

        assert!(seems.abs_diff(used) <= 3 * STEP, "{seems:?} of {used:?}");
    }

    #[test]
    fn short_work_is_told_before_the_system_counts_it() {
        let mut coarse = Coarse::NEW;
        coarse.at(Duration::from_secs(5), STEP, || Duration::ZERO);
        let began = coarse.at(Duration::from_secs(9), STEP, || Duration::ZERO);

        let ended = coarse.at(Duration::from_millis(9_003), STEP, || Duration::ZERO);

        assert_eq!(ended - began, Duration::from_millis(3));
        assert!(coarse.at(Duration::from_secs(20), STEP, || Duration::ZERO) > ended, "it has asked, at least");
    }

    #[test]
    fn work_between_short_sleeps_is_told_as_work() {
        let (mut coarse, mut used, mut charged) = (Coarse::NEW, 0, Duration::ZERO);
        for period in 0..2_000 {
            let began = 1_000_000 + period * 4_000;
            let counted = |used: u64| STEP * u32::try_from(used / 10_000).unwrap();
            coarse.slept(Duration::from_micros(began));
            let before = coarse.at(Duration::from_micros(began), STEP, || counted(used));
            used += 3_000;
            charged += coarse.at(Duration::from_micros(began + 3_000), STEP, || counted(used)) - before;
        }

        assert!(charged.abs_diff(Duration::from_micros(used)) <= 3 * STEP, "{charged:?} of {used} µs");
    }

    #[test]
    fn what_a_thread_uses_is_off_by_some_steps_at_most_however_it_sleeps() {
        for (on, period) in [(1_000, 100_000), (5_000, 20_000), (24_000, 240_000), (3_000, 4_000)] {
            let (seems, used) = seems(on, period, 2_000);

            assert!(seems.abs_diff(used) <= 3 * STEP, "{on} of {period}: {seems:?} of {used:?}");
        }
    }
}
