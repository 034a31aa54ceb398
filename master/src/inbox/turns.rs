//! Who is heard next: everybody in turn, by how much there is to hear.
//!
//! Deficit round robin (Shreedhar and Varghese, 1995), with one change: what goes beyond a turn is owed, and paid in the
//! turns that follow. So a message that is larger than any turn is heard as well, and who sent it waits for it afterwards.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use haggle_core::SessionId;

/// What one turn may cost, in bytes. Some hundred small messages, so that few take two turns; a few hundred
/// microseconds of the driver's time.
const TURN: i64 = 32 << 10;

/// Who counts as one, however many of them want to be heard.
///
/// The frameworks of one principal are one, whatever their roles. Those of the owner and of operators, who may use every
/// role and are nobody's tenants, are one by each role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Share {
    /// An agent is one by itself.
    Session(SessionId),
    /// All frameworks of a principal or of a role, by the name of either.
    Role(Arc<str>),
}

/// How many turns there have been, and after how many everybody who waits now has had one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) taken: u64,
    pub(crate) whole: u64,
}

/// What waits. Sessions of one share take turns within the share's turn; what one session says stays in order.
pub(crate) struct Turns<T> {
    /// Those of which something waits, and those that owe something.
    shares: HashMap<Share, Waiting<T>>,
    /// All of them, in the order of their turns.
    order: VecDeque<Share>,
    /// Items that wait.
    len: usize,
    taken: u64,
}

struct Waiting<T> {
    sessions: HashMap<SessionId, VecDeque<(T, i64)>>,
    /// Sessions of which something waits, the next first.
    order: VecDeque<SessionId>,
    /// What is left of the turn. Below zero, what is owed.
    credit: i64,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { shares: HashMap::new(), order: VecDeque::new(), len: 0, taken: 0 }
    }
}

impl<T> Turns<T> {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts something behind what this session has said before. It costs so many bytes to hear.
    pub(crate) fn push(&mut self, share: &Share, session: SessionId, what: T, cost: usize) {
        let waiting = self.waiting(share);
        let said = waiting.sessions.entry(session).or_default();
        if said.is_empty() {
            waiting.order.push_back(session);
        }
        said.push_back((what, bytes(cost)));
        self.len += 1;
    }

    /// Hearing this share cost so much more than was known before.
    pub(crate) fn charge(&mut self, share: &Share, cost: usize) {
        // Where nobody else waits, nobody has to be made up for it.
        if !self.is_empty() {
            self.waiting(share).credit -= bytes(cost);
        }
    }

    /// Takes what comes next, until that costs `budget` bytes; the last of it may go beyond.
    pub(crate) fn take(&mut self, budget: usize, mut out: impl FnMut(&Share, T)) {
        let mut left = bytes(budget);
        while left > 0 && self.len > 0 {
            let share = self.order.front().expect("who waits has a turn");
            let waiting = self.shares.get_mut(share).expect("who has a turn is known");
            if waiting.credit <= 0 {
                // A new turn; one that the budget cut short goes on with what is left of it.
                waiting.credit += TURN;
            }
            while waiting.credit > 0
                && left > 0
                && let Some((what, cost)) = waiting.next()
            {
                waiting.credit -= cost;
                left -= cost;
                self.len -= 1;
                out(share, what);
            }
            let (is_done, owes) = (waiting.order.is_empty(), waiting.credit < 0);
            if is_done || waiting.credit <= 0 {
                self.end_turn(is_done && !owes);
            }
        }
        if self.len == 0 {
            // Who owed something owed it to those who waited.
            self.taken += self.order.len() as u64;
            self.order.clear();
            self.shares.clear();
        }
    }

    /// How far the turns have come.
    pub(crate) fn round(&self) -> Round {
        Round { taken: self.taken, whole: self.taken + self.order.len() as u64 }
    }

    fn end_turn(&mut self, leaves: bool) {
        self.taken += 1;
        let Some(share) = self.order.pop_front() else { return };
        if leaves {
            self.shares.remove(&share);
        } else {
            self.order.push_back(share);
        }
    }

    fn waiting(&mut self, share: &Share) -> &mut Waiting<T> {
        // Most of what is said is said by those of whom something waits already, so no name is cloned for it.
        if !self.shares.contains_key(share) {
            self.order.push_back(share.clone());
            let nothing = Waiting { sessions: HashMap::new(), order: VecDeque::new(), credit: 0 };
            self.shares.insert(share.clone(), nothing);
        }
        self.shares.get_mut(share).expect("it is there now")
    }
}

impl<T> Waiting<T> {
    /// Of the session whose turn it is.
    fn next(&mut self) -> Option<(T, i64)> {
        let session = self.order.pop_front()?;
        let said = self.sessions.get_mut(&session).expect("who has a turn has said something");
        let next = said.pop_front();
        if said.is_empty() {
            self.sessions.remove(&session);
        } else {
            self.order.push_back(session);
        }
        next
    }
}

/// No cost comes near what does not fit.
fn bytes(cost: usize) -> i64 {
    i64::try_from(cost).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 1_000;
    const MIB: usize = 1 << 20;

    fn role(name: &str) -> Share {
        Share::Role(name.into())
    }

    /// What is said by whom, as `a1`: the first that `a` says.
    #[derive(Default)]
    struct Talk {
        turns: Turns<String>,
        said: HashMap<(Share, u64), usize>,
    }

    impl Talk {
        fn say(&mut self, who: &Share, session: u64, times: usize, cost: usize) {
            for _ in 0..times {
                let count = self.said.entry((who.clone(), session)).or_default();
                *count += 1;
                let Share::Role(name) = who else { panic!("roles talk here") };
                self.turns.push(who, SessionId(session), format!("{name}{session}.{count}"), cost);
            }
        }

        fn hear(&mut self, budget: usize) -> Vec<String> {
            let mut heard = Vec::new();
            self.turns.take(budget, |_, what| heard.push(what));
            heard
        }

        fn hear_all(&mut self) -> Vec<String> {
            std::iter::from_fn(|| Some(self.hear(SMALL)).filter(|heard| !heard.is_empty())).flatten().collect()
        }
    }

    fn of<'a>(heard: &'a [String], name: &str) -> Vec<&'a str> {
        heard.iter().filter(|what| what.starts_with(name)).map(String::as_str).collect()
    }

    #[test]
    fn who_has_little_to_say_does_not_wait_for_who_has_much() {
        let mut talk = Talk::default();
        talk.say(&role("greedy"), 1, 10_000, SMALL);
        talk.say(&role("modest"), 2, 1, SMALL);

        let heard = talk.hear(3 * TURN as usize);

        assert_eq!(of(&heard, "modest"), ["modest2.1"]);
        assert!(heard.len() < 110, "{} are heard at once", heard.len());
    }

    #[test]
    fn a_thousand_sessions_of_one_share_are_heard_as_often_as_one_session_of_another() {
        let mut talk = Talk::default();
        for session in 1..=1_000 {
            talk.say(&role("crowd"), session, 10, SMALL);
        }
        talk.say(&role("single"), 2_000, 1_000, SMALL);

        let heard = talk.hear(20 * TURN as usize);

        let [crowd, single] = ["crowd", "single"].map(|name| of(&heard, name).len());
        assert!(crowd.abs_diff(single) <= TURN as usize / SMALL + 1, "{crowd} and {single}");
    }

    #[test]
    fn sessions_of_one_share_take_turns_among_themselves() {
        let mut talk = Talk::default();
        talk.say(&role("a"), 1, 3, SMALL);
        talk.say(&role("a"), 2, 2, SMALL);

        assert_eq!(talk.hear(MIB), ["a1.1", "a2.1", "a1.2", "a2.2", "a1.3"]);
    }

    #[test]
    fn what_one_session_says_stays_in_order() {
        let mut talk = Talk::default();
        for name in ["a", "b", "c"] {
            talk.say(&role(name), 1, 200, SMALL);
        }

        let heard = talk.hear_all();

        assert_eq!(heard.len(), 600);
        for name in ["a", "b", "c"] {
            let expected: Vec<String> = (1..=200).map(|count| format!("{name}1.{count}")).collect();
            assert_eq!(of(&heard, name), expected);
        }
    }

    #[test]
    fn who_sent_a_large_message_pays_for_it_while_others_wait() {
        let mut talk = Talk::default();
        talk.say(&role("large"), 1, 1, MIB);
        talk.say(&role("large"), 1, 1, SMALL);
        talk.say(&role("small"), 2, 2_000, SMALL);

        let heard = talk.hear_all();

        let before = heard.iter().position(|what| what == "large1.2").unwrap();
        let paid = (before - 1) * SMALL;
        assert!(paid.abs_diff(MIB) < 3 * TURN as usize, "the others said {paid} bytes meanwhile");
    }

    #[test]
    fn a_debt_outlives_the_silence_of_who_owes_it() {
        let mut talk = Talk::default();
        talk.say(&role("large"), 1, 1, MIB);
        talk.say(&role("small"), 2, 2_000, SMALL);
        talk.hear(MIB + SMALL);

        talk.say(&role("large"), 1, 1, SMALL);

        assert!(of(&talk.hear(MIB / 2), "large").is_empty());
        assert_eq!(of(&talk.hear(MIB), "large"), ["large1.2"]);
    }

    #[test]
    fn what_was_cheap_to_say_and_dear_to_hear_is_paid_for_as_well() {
        let mut talk = Talk::default();
        talk.say(&role("asks"), 1, 100, SMALL);
        talk.say(&role("small"), 2, 2_000, SMALL);
        talk.turns.charge(&role("asks"), MIB);

        assert!(of(&talk.hear(MIB / 2), "asks").is_empty());
    }

    #[test]
    fn nobody_owes_anything_once_nobody_waits() {
        let mut talk = Talk::default();
        talk.say(&role("large"), 1, 1, 16 * MIB);
        talk.hear_all();
        talk.turns.charge(&role("large"), 16 * MIB);

        talk.say(&role("large"), 1, 1, SMALL);
        talk.say(&role("small"), 2, 1_000, SMALL);

        assert_eq!(talk.hear(SMALL), ["large1.2"]);
        talk.hear_all();
        assert!(talk.turns.shares.is_empty() && talk.turns.order.is_empty());
    }

    #[test]
    fn a_turn_that_a_batch_cut_short_goes_on_in_the_next() {
        let mut talk = Talk::default();
        talk.say(&role("a"), 1, 100, SMALL);
        talk.say(&role("b"), 2, 100, SMALL);

        let heard: Vec<_> = (0..33).flat_map(|_| talk.hear(1)).collect();

        assert_eq!(of(&heard, "a").len(), 33);
        assert_eq!(of(&talk.hear(1), "b").len(), 1);
    }

    #[test]
    fn a_round_is_over_when_everybody_who_waited_at_its_begin_was_heard() {
        let mut talk = Talk::default();
        for name in ["a", "b", "c"] {
            talk.say(&role(name), 1, 1_000, SMALL);
        }
        let whole = talk.turns.round().whole;
        talk.say(&role("late"), 1, 1_000, SMALL);

        let mut heard = Vec::new();
        while talk.turns.round().taken < whole {
            heard.append(&mut talk.hear(SMALL));
        }

        assert!(["a", "b", "c"].iter().all(|name| !of(&heard, name).is_empty()));
        assert!(of(&heard, "late").is_empty());
    }

    #[test]
    fn with_the_last_word_every_round_is_over() {
        let mut talk = Talk::default();
        talk.say(&role("a"), 1, 1, 16 * MIB);
        talk.say(&role("b"), 1, 1, SMALL);

        talk.hear_all();

        let Round { taken, whole } = talk.turns.round();
        assert_eq!(taken, whole);
    }
}
