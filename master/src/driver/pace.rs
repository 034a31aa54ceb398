//! When the registry is written: seldom enough that a decision which needs no write does not wait for those of others.
//!
//! Nothing is decided while the registry is written, for what is decided next may rest on it. Where many come at once, as
//! when a thousand frameworks subscribe, that would be all of the time. So the driver rests from writing after each write,
//! and whatever asks for one meanwhile is decided together at the rest's end.

use std::time::{Duration, Instant};

/// How many times as long as a write the rest after it is. So others wait for a write one time in nine.
const REST: u32 = 8;

/// The longest rest: where writes are slow, whoever asks for one still has it soon.
const REST_MAX: Duration = Duration::from_millis(50);

/// The rest from writing.
#[derive(Debug, Default)]
pub(super) struct Pace {
    until: Option<Instant>,
}

impl Pace {
    /// A write took from then to then.
    pub(super) fn wrote(&mut self, from: Instant, to: Instant) {
        let took = to.saturating_duration_since(from);
        self.until = Some(to + took.saturating_mul(REST).min(REST_MAX));
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

    #[test]
    fn writes_take_one_part_in_nine_of_the_time() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.rests_at(start), None);

        pace.wrote(start, start + ms(2));

        assert_eq!(pace.rests_at(start + ms(2)), Some(start + ms(18)));
        assert_eq!(pace.rests_at(start + ms(18)), None);
    }

    #[test]
    fn after_a_slow_write_the_next_one_is_soon() {
        let start = Instant::now();
        let mut pace = Pace::default();

        pace.wrote(start, start + ms(400));

        assert_eq!(pace.rests_at(start + ms(400)), Some(start + ms(450)));
    }
}
