//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubling pauses with a ceiling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// A master on the same machine is up a few milliseconds after it was started.
    const FIRST: Duration = Duration::from_millis(10);
    /// A program should be back within a second of its master.
    const MOST: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Self::MOST);
        pause
    }
}
