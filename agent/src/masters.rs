//! Which of the masters is spoken to, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use haggle_core::Backoff;
use tonic::transport::Uri;

/// Short enough that a master's restart goes unnoticed.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);

/// A master that is back finds its agents within this.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// With several masters one takes over within seconds, and the agents are not to be what takes longest. Those that stand
/// by answer at once: 5,000 agents ask 30,000 cheap questions a second at worst.
const SEVERAL_BACKOFF_MAX: Duration = Duration::from_millis(250);

/// The masters of one cluster, of which one leads.
#[derive(Debug)]
pub(crate) struct Masters {
    /// At least one.
    named: Vec<Uri>,
    /// The one whose turn it is.
    turn: usize,
    /// Named as the leader by one that stands by. Instead of the one whose turn it is, and maybe none of the named.
    leader: Option<Uri>,
    /// Turns since the last pause.
    turns: usize,
    /// Leaders followed since the last pause. Masters that name each other must not be asked without end.
    followed: usize,
    backoff: Backoff,
}

impl Masters {
    /// `named` has at least one.
    pub(crate) fn new(named: Vec<Uri>) -> Self {
        let backoff = Backoff::new(BACKOFF_FIRST, if named.len() > 1 { SEVERAL_BACKOFF_MAX } else { BACKOFF_MAX });
        Self { named, turn: 0, leader: None, turns: 0, followed: 0, backoff }
    }

    /// Whether there are others to ask when one does not answer.
    pub(crate) fn are_several(&self) -> bool {
        self.count() > 1
    }

    /// How many were named.
    pub(crate) fn count(&self) -> usize {
        self.named.len()
    }

    /// The one to speak to.
    pub(crate) fn current(&self) -> &Uri {
        self.leader.as_ref().unwrap_or(&self.named[self.turn])
    }

    /// The current one has taken the agent in.
    pub(crate) fn answered(&mut self) {
        self.backoff.reset();
        self.turns = 0;
        self.followed = 0;
    }

    /// The current one is of no use, and named this leader if one. Gives the wait before the next, which is current
    /// from now on: none until each has had its turn.
    pub(crate) fn next(&mut self, leader: Option<Uri>) -> Duration {
        if let Some(leader) = leader
            && leader != *self.current()
            && self.followed < self.named.len()
        {
            self.followed += 1;
            self.leader = Some(leader);
            return Duration::ZERO;
        }
        // A leader that was followed and is silent is not to be the next of the list as well.
        let failed = self.leader.take().and_then(|leader| self.named.iter().position(|named| *named == leader));
        self.turn = (failed.unwrap_or(self.turn) + 1) % self.named.len();
        self.turns += 1;
        if self.turns < self.named.len() { Duration::ZERO } else { self.pause() }
    }

    /// The current one wants to be asked again later. Gives the wait.
    pub(crate) fn again(&mut self) -> Duration {
        self.pause()
    }

    fn pause(&mut self) -> Duration {
        self.turns = 0;
        self.followed = 0;
        // The agents of a restarted master are not all to knock at once.
        self.backoff.pause_apart(RandomState::new().hash_one(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(port: u16) -> Uri {
        format!("http://127.0.0.1:{port}").parse().unwrap()
    }

    fn masters(count: u16) -> Masters {
        Masters::new((1..=count).map(uri).collect())
    }

    /// The port of the one that is tried next, and whether there is a wait before.
    fn next(masters: &mut Masters, leader: Option<u16>) -> (u16, bool) {
        let wait = masters.next(leader.map(uri));
        (masters.current().port_u16().unwrap(), !wait.is_zero())
    }

    #[test]
    fn each_has_its_turn_before_there_is_a_wait() {
        let mut masters = masters(3);

        let tried: Vec<_> = (0..6).map(|_| next(&mut masters, None)).collect();

        assert_eq!(tried, [(2, false), (3, false), (1, true), (2, false), (3, false), (1, true)]);
    }

    #[test]
    fn the_only_one_is_waited_for() {
        let mut masters = masters(1);

        assert_eq!([next(&mut masters, None), next(&mut masters, None)], [(1, true), (1, true)]);
    }

    #[test]
    fn a_leader_that_is_named_is_tried_at_once_even_when_nobody_listed_it() {
        let mut masters = masters(2);

        assert_eq!(next(&mut masters, Some(9)), (9, false));
        assert_eq!(next(&mut masters, None), (2, false), "and after it the next of the list");
    }

    #[test]
    fn a_leader_that_was_followed_and_is_silent_is_not_the_next_to_be_tried() {
        let mut masters = masters(3);

        assert_eq!(next(&mut masters, Some(2)), (2, false));
        assert_eq!(next(&mut masters, None), (3, false));
    }

    #[test]
    fn masters_that_name_each_other_are_not_asked_without_end() {
        let mut masters = masters(2);

        let tried: Vec<_> = [2, 1, 2, 1].into_iter().map(|leader| next(&mut masters, Some(leader))).collect();

        assert_eq!(tried, [(2, false), (1, false), (2, false), (1, true)]);
    }

    #[test]
    fn who_names_itself_is_not_followed() {
        let mut masters = masters(2);

        assert_eq!(next(&mut masters, Some(1)), (2, false));
    }

    #[test]
    fn with_several_the_wait_stays_short() {
        let mut masters = masters(2);

        let longest = (0..40).map(|_| masters.next(None)).max().unwrap();

        assert!(longest <= SEVERAL_BACKOFF_MAX, "{longest:?}");
    }
}
