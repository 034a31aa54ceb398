//! How long somebody may think about an offer that somebody else waits for.

use core::time::Duration;

/// At first, and at most. A scheduler that works answers within milliseconds.
const MOST: Duration = Duration::from_millis(100);

/// Enough for the way to a framework and back.
const LEAST: Duration = Duration::from_millis(1);

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

    pub(super) fn lapsed(&mut self) {
        self.0 = (self.0 / 2).max(LEAST);
    }

    pub(super) fn used(&mut self) {
        self.0 = (self.0 * 2).min(MOST);
    }
}
