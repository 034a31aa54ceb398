//! What is logged of strangers, who must not be able to fill the log.

use std::fmt;
use std::time::{Duration, Instant};

use tracing::warn;

/// One line in so much time.
const EVERY: Duration = Duration::from_secs(1);

/// Says something once a second, and then how much it has not said.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<Instant>,
    kept: u64,
}

impl Complaints {
    pub(super) fn say(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        match self.due(now) {
            None => {}
            Some(0) => warn!("{what}"),
            Some(kept) => warn!("{what}; and {kept} more since the last such line"),
        }
    }

    /// How many were kept before this one; `None` when this one is kept too.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + EVERY) {
            self.kept += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_line_and_the_next_one_counts_the_others() {
        let start = Instant::now();
        let mut complaints = Complaints::default();

        let said = [0, 1, 999, 1_000, 1_500, 2_000].map(|ms| complaints.due(start + Duration::from_millis(ms)));

        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
