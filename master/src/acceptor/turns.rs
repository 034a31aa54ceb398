//! How often each source may shake hands: a handshake costs the master half a millisecond before anybody is known. Time is an
//! argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::limits::{Bucket, HANDSHAKES_A_SECOND, Source};

/// As many as come in so long may come at once: 64.
const AT_ONCE: Duration = Duration::from_millis(320);

const SECOND: Duration = Duration::from_secs(1);

/// With fewer sources than these, none need be forgotten.
const FEW: usize = 1_024;

/// When whose handshake has its turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Of those who came within a second or some, and of some before.
    sources: HashMap<Source, Bucket>,
    forget_at: usize,
}

impl Turns {
    /// One more from there: after how long it has its turn.
    pub(super) fn next(&mut self, source: Source, now: Instant) -> Duration {
        if self.sources.len() >= self.forget_at.max(FEW) {
            self.sources.retain(|_, bucket| !bucket.is_full(now));
            self.forget_at = 2 * self.sources.len();
        }
        let bucket = self.sources.entry(source).or_default();
        bucket.owe(now, 1, HANDSHAKES_A_SECOND, SECOND);
        bucket.wait(now, AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn from(last: u32) -> Source {
        Source::of(IpAddr::from((0x0a00_0000 + last).to_be_bytes()))
    }

    #[test]
    fn many_of_one_source_have_their_turns_evenly_and_others_at_once() {
        let (mut turns, now) = (Turns::default(), Instant::now());

        let waits: Vec<_> = (0..1_000).map(|_| turns.next(from(1), now)).collect();

        assert!(waits[..64].iter().all(Duration::is_zero));
        assert_eq!((waits[64], waits[999]), (SECOND / 200, Duration::from_millis(4_680)));
        assert_eq!(turns.next(from(2), now), Duration::ZERO);
    }

    #[test]
    fn whoever_came_long_ago_is_forgotten() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());

        for host in 0..100_000 {
            turns.next(from(host), now);
            now += SECOND / 1_000;
        }

        assert!(turns.sources.len() <= 2 * FEW, "{}", turns.sources.len());
    }
}
