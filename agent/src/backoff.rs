//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Short enough that a master's restart goes unnoticed.
const FIRST: Duration = Duration::from_millis(50);

/// A master that is back finds its agents within this, unless another bound is given.
const MAX: Duration = Duration::from_secs(5);

/// Doubles from attempt to attempt up to a bound; each wait is between half of that and all of it, so that the agents
/// of a restarted master do not all knock at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    attempts: u32,
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(MAX)
    }
}

impl Backoff {
    /// With this as the longest wait.
    pub(crate) fn up_to(max: Duration) -> Self {
        Self { attempts: 0, max }
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let random = RandomState::new().hash_one(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        wait(self.attempts, random).min(self.max)
    }

    /// It worked: begins anew.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

fn wait(attempt: u32, random: u64) -> Duration {
    let full = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(MAX);
    let half = full / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let longest: Vec<_> = (1..=10).map(|attempt| wait(attempt, u64::MAX).as_millis()).collect();

        assert_eq!(longest, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(wait(u32::MAX, u64::MAX), MAX);
    }

    #[test]
    fn chance_takes_up_to_half_of_a_wait() {
        assert_eq!(wait(3, 0), Duration::from_millis(100));
        assert_eq!(wait(3, u64::MAX), Duration::from_millis(200));
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.next();
        }

        backoff.reset();

        assert!(backoff.next() <= FIRST);
    }
}
