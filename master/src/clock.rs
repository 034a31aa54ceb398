//! The cluster's own time: goes on from where the last master stopped, and only while somebody looks.

use std::time::{Duration, Instant};

use haggle_core::Now;

/// The most that counts of the time between two looks. A driver that did not run for longer (a stopped process, a
/// paused machine, a slow disk) has heard nobody meanwhile, so nobody was silent.
const CREDIT_MAX: Duration = Duration::from_secs(1);

/// How often to look at least, so that time is not lost while the machine is idle. A quarter of [`CREDIT_MAX`]: a
/// thread that waits its turn for long on a busy machine loses nothing yet.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Counts from what the registry last knew, by the process's monotonic clock as its caller read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    now: Now,
    looked: Instant,
}

impl Clock {
    /// Time goes on from `base`, which is at `at`.
    pub(crate) fn starting_at(base: Now, at: Instant) -> Self {
        Self { now: base, looked: at }
    }

    /// The time at `at`.
    pub(crate) fn look(&mut self, at: Instant) -> Now {
        let passed = at.saturating_duration_since(self.looked).min(CREDIT_MAX);
        self.looked = self.looked.max(at);
        self.now = self.now + passed;
        self.now
    }

    /// What passed since the last look does not count: nobody was listened to.
    pub(crate) fn skip(&mut self, at: Instant) {
        self.looked = self.looked.max(at);
    }

    /// The time at the last look.
    pub(crate) fn now(&self) -> Now {
        self.now
    }

    /// When to look again: at `then`, and within [`LOOK_EVERY`].
    pub(crate) fn next_look(&self, then: Option<Now>) -> Instant {
        let wait = then.map_or(LOOK_EVERY, |then| then.since(self.now).min(LOOK_EVERY));
        self.looked + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn time_goes_on_from_where_it_stopped() {
        let start = Instant::now();
        let mut clock = Clock::starting_at(Now::from_millis(5_000), start);

        assert_eq!(clock.look(start + ms(250)), Now::from_millis(5_250));
        assert_eq!(clock.look(start + ms(1_250)), Now::from_millis(6_250));
        assert_eq!(clock.now(), Now::from_millis(6_250));
    }

    #[test]
    fn of_a_pause_no_more_than_a_second_counts() {
        let start = Instant::now();
        let mut clock = Clock::starting_at(Now::ZERO, start);

        assert_eq!(clock.look(start + ms(60_000)), Now::from_millis(1_000));
        assert_eq!(clock.look(start + ms(60_100)), Now::from_millis(1_100));
    }

    #[test]
    fn time_that_is_skipped_does_not_count_at_all() {
        let start = Instant::now();
        let mut clock = Clock::starting_at(Now::ZERO, start);

        clock.skip(start + ms(900));

        assert_eq!(clock.look(start + ms(1_000)), Now::from_millis(100));
    }

    #[test]
    fn a_look_comes_at_the_deadline_and_never_late() {
        let start = Instant::now();
        let clock = Clock::starting_at(Now::from_millis(50), start);

        assert_eq!(clock.next_look(Some(Now::from_millis(150))), start + ms(100));
        assert_eq!(clock.next_look(Some(Now::from_millis(9_000))), start + LOOK_EVERY);
        assert_eq!(clock.next_look(Some(Now::ZERO)), start);
        assert_eq!(clock.next_look(None), start + LOOK_EVERY);
    }
}
