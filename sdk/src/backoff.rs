//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubling pauses with a ceiling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    /// A master on the same machine is up a few milliseconds after it was started.
    const FIRST: Duration = Duration::from_millis(2);
    /// A program should be back within a second of its master.
    const MOST: Duration = Duration::from_secs(1);

    /// With several masters another one leads within seconds, and its frameworks are not to be what takes longest: those
    /// that stand by answer at once.
    const MOST_OF_SEVERAL: Duration = Duration::from_millis(250);

    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST, most: Self::MOST }
    }

    /// For a search among so many masters.
    pub(crate) fn among(masters: usize) -> Self {
        Self { most: if masters > 1 { Self::MOST_OF_SEVERAL } else { Self::MOST }, ..Self::new() }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.most);
        pause
    }
}
