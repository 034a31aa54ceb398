//! How long somebody may think about an offer that somebody else waits for.

use core::time::Duration;

/// At first, and at most. A scheduler that works answers within milliseconds.
const MOST: Duration = Duration::from_millis(100);

/// Enough for the way to a framework and back.
const LEAST: Duration = Duration::from_millis(1);

/// The rest of whoever let its first offer lapse, and of whoever lets all of them.
const LEAST_REST: Duration = Duration::from_millis(100);
const MOST_REST: Duration = Duration::from_secs(5);

/// Halved by each offer that lapsed while somebody waited for it, doubled by each that was used: who lets offers lie about
/// gets less time for them, and all who share a role share that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Patience {
    pub(super) fn get(self) -> Duration {
        self.0
    }

    /// For how long whoever let an offer lapse is not asked about as much there. Long enough that who waits is served, and the
    /// longer the less patience is left: who does not answer is not told the same ten times a second.
    pub(super) fn rest(self) -> Duration {
        let lapses = MOST.as_nanos() / self.0.as_nanos().max(1);
        LEAST_REST.saturating_mul(u32::try_from(lapses).unwrap_or(u32::MAX)).min(MOST_REST)
    }

    pub(super) fn lapsed(&mut self) {
        self.0 = (self.0 / 2).max(LEAST);
    }

    pub(super) fn used(&mut self) {
        self.0 = (self.0 * 2).min(MOST);
    }
}
