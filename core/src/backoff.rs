//! How long to wait before something is tried again: twice as long each time, up to a bound.

use core::time::Duration;

/// The waits between attempts at one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// The first wait, and the longest one.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// How long to wait now.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = Self::longer(pause, self.most);
        pause
    }

    /// The same, less up to half of it: where many wait for one thing, each with another `random` number, they do not all come at once.
    pub fn pause_apart(&mut self, random: u64) -> Duration {
        let half = self.pause() / 2;
        let thousandths = u32::try_from(random % 1001).unwrap_or(1000);
        half + half * thousandths / 1000
    }

    /// It worked: begins anew.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }

    /// The wait after one, for whoever keeps nothing but the wait.
    pub fn longer(wait: Duration, most: Duration) -> Duration {
        wait.saturating_mul(2).min(most)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(5);

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_once_it_worked() {
        let mut backoff = Backoff::new(FIRST, MOST);

        let waits: Vec<_> = (0..10).map(|_| backoff.pause().as_millis()).collect();
        backoff.reset();

        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff.pause(), FIRST);
        assert_eq!(Backoff::longer(Duration::MAX, MOST), MOST);
    }

    #[test]
    fn chance_takes_up_to_half_of_a_wait() {
        let waits = |random| {
            let mut backoff = Backoff::new(FIRST * 2, MOST);
            backoff.pause_apart(random)
        };

        assert_eq!((waits(0), waits(1000)), (FIRST, FIRST * 2));
        assert!((0..5000).all(|random| (FIRST..=FIRST * 2).contains(&waits(random))));
    }
}
