//! When the registry is written: seldom enough that a decision which needs no write does not wait for those of others.
//!
//! Nothing is decided while the registry is written, for what is decided next may rest on it. Where many come at once, as
//! when a thousand frameworks subscribe, that would be all of the time. So the driver rests from writing behind such
//! writes, and whatever asks for one meanwhile is decided together at the rest's end.

use std::time::{Duration, Instant};

/// How many times as long as a write the rest for it is. So others wait for a write one time in five at most.
const REST: u32 = 4;

/// The longest rest for one write: where writes are slow, whoever asks for one still has it soon.
const REST_MAX: Duration = Duration::from_millis(50);

/// Rest that was not needed, and may be left out later: who comes alone and leaves again waits for no rest.
const SAVED_MAX: Duration = Duration::from_millis(100);

/// The rest from writing.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The end of it. In the past, what was saved since then.
    until: Option<Instant>,
}

impl Pace {
    /// A write took from then to then.
    pub(super) fn wrote(&mut self, from: Instant, to: Instant) {
        let took = to.saturating_duration_since(from);
        let saved = from.checked_sub(SAVED_MAX).unwrap_or(from);
        let rested = self.until.map_or(saved, |until| until.max(saved));
        self.until = Some(rested + took + took.saturating_mul(REST).min(REST_MAX));
    }

    /// Until when nothing should be written, if that is still to come.
    pub(super) fn rests_at(&self, at: Instant) -> Option<Instant> {
        self.until.filter(|until| at < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// How long a driver rests after each of so many writes, of which each begins when it may.
    fn rests(writes: usize, each: Duration) -> Vec<Duration> {
        let (mut pace, mut at) = (Pace::default(), Instant::now() + SAVED_MAX);
        let mut write = || {
            pace.wrote(at, at + each);
            at += each;
            let rest = pace.rests_at(at).map_or(Duration::ZERO, |until| until - at);
            at += rest;
            rest
        };
        (0..writes).map(|_| write()).collect()
    }

    #[test]
    fn who_writes_now_and_then_does_not_rest() {
        assert_eq!(rests(2, ms(5)), [Duration::ZERO; 2]);
    }

    #[test]
    fn who_writes_without_end_writes_one_fifth_of_the_time() {
        let rests = rests(1_000, ms(5));

        assert_eq!(rests.last(), Some(&ms(20)));
    }

    #[test]
    fn behind_slow_writes_the_rest_is_short() {
        let rests = rests(10, ms(400));

        assert_eq!(rests.last(), Some(&REST_MAX));
    }
}
