//! When the master is asked for what: what changed soon, what did not seldom, and never more than a twentieth of the time.

use std::time::{Duration, Instant};

/// Something that the master is asked for in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    Master,
    Agents,
    Roles,
    Frameworks,
    Tasks,
    /// The one that is looked at.
    Task,
}

impl Feed {
    const COUNT: usize = 6;
}

/// Between two askings for the same, when it has changed.
const CHANGED: Duration = Duration::from_secs(1);

/// Between two askings for the same, when nothing was heard of it: not everything that changes is told, like ages and shares.
pub(super) const CALM: Duration = Duration::from_secs(30);

/// How often as long as an answer took it is not asked again. A list of everything costs the master as much as it is long.
const REST: u32 = 20;

/// What was asked for when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    feeds: [Asked; Feed::COUNT],
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    has_changed: bool,
    /// When the last answer came, how long it took, and how long it holds if nothing is heard.
    answered: Option<(Instant, Duration, Duration)>,
}

impl Pace {
    /// What is shown of it is not true any more.
    pub(super) fn changed(&mut self, feed: Feed) {
        self.of(feed).has_changed = true;
    }

    /// All of it, since nothing was heard for a while.
    pub(super) fn all_changed(&mut self) {
        self.feeds.iter_mut().for_each(|asked| asked.has_changed = true);
    }

    /// Something else is wanted of it from now on.
    pub(super) fn forget(&mut self, feed: Feed) {
        *self.of(feed) = Asked::default();
    }

    /// It was asked for just now: what is heard from here on is news.
    pub(super) fn asked(&mut self, feed: Feed) {
        self.of(feed).has_changed = false;
    }

    /// An answer came, or none: both are not asked for again at once.
    pub(super) fn answered(&mut self, feed: Feed, now: Instant, took: Duration, holds: Duration) {
        self.of(feed).answered = Some((now, took, holds));
    }

    /// What of these to ask for first, and from when on.
    pub(super) fn next(&self, wanted: &[Feed], now: Instant) -> Option<(Feed, Instant)> {
        let due = |&feed: &Feed| {
            let asked = self.feeds[feed as usize];
            let at = asked.answered.map_or(now, |(answered, took, holds)| {
                let pause = if asked.has_changed { CHANGED } else { holds };
                answered + pause.max(took * REST)
            });
            (feed, at)
        };
        wanted.iter().map(due).min_by_key(|(_, at)| *at)
    }

    fn of(&mut self, feed: Feed) -> &mut Asked {
        &mut self.feeds[feed as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_was_never_asked_for_is_asked_for_at_once_and_only_if_it_is_shown() {
        let (pace, now) = (Pace::default(), Instant::now());

        assert_eq!(pace.next(&[Feed::Agents], now), Some((Feed::Agents, now)));
        assert_eq!(pace.next(&[], now), None);
    }

    #[test]
    fn what_changes_all_the_time_is_asked_for_once_a_second_and_what_does_not_every_half_minute() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.asked(Feed::Agents);
        pace.answered(Feed::Agents, now, MS, CALM);
        let wanted = [Feed::Agents];

        assert_eq!(pace.next(&wanted, now), Some((Feed::Agents, now + CALM)));
        pace.changed(Feed::Agents);
        assert_eq!(pace.next(&wanted, now), Some((Feed::Agents, now + CHANGED)));
    }

    #[test]
    fn a_list_that_takes_a_second_is_asked_for_three_times_a_minute_at_most() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.answered(Feed::Tasks, now, Duration::from_secs(1), CALM);
        pace.all_changed();

        assert_eq!(pace.next(&[Feed::Tasks], now), Some((Feed::Tasks, now + Duration::from_secs(20))));
    }

    #[test]
    fn whatever_is_due_first_is_asked_for_first() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.answered(Feed::Agents, now, MS, CALM);
        pace.answered(Feed::Roles, now + MS, MS, CALM);
        let wanted = [Feed::Roles, Feed::Agents];

        assert_eq!(pace.next(&wanted, now).map(|(feed, _)| feed), Some(Feed::Agents));
        pace.changed(Feed::Roles);
        assert_eq!(pace.next(&wanted, now).map(|(feed, _)| feed), Some(Feed::Roles));
        pace.forget(Feed::Agents);
        assert_eq!(pace.next(&wanted, now).map(|(feed, _)| feed), Some(Feed::Agents));
    }
}
