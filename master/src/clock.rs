//! The cluster's own time: goes on from where the last master stopped.

use std::time::Instant;

use haggle_core::Now;

/// Counts from what the registry last knew, by this process's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Now,
    started: Instant,
}

impl Clock {
    /// Time goes on from `base`, now.
    pub(crate) fn starting_at(base: Now) -> Self {
        Self { base, started: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        self.base + self.started.elapsed()
    }

    /// When it will be `then`; `None` when no `Instant` is that late.
    pub(crate) fn instant(&self, then: Now) -> Option<Instant> {
        self.started.checked_add(then.since(self.base))
    }
}
