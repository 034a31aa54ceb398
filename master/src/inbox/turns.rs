//! Who is heard next: everybody in turn, by how much there is to hear.
//!
//! Deficit round robin (Shreedhar and Varghese, 1995), with two changes. What goes beyond a turn is owed, and paid in the
//! turns that follow. So a message that is larger than any turn is heard as well, and who sent it waits for it afterwards.
//! And what the registry is to remember can be held: the rest of its session waits behind it, and everybody else goes on.

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
    /// Those of them that can be heard, in the order of their turns.
    order: VecDeque<Share>,
    /// Those of which everything is held. They have lost no turn.
    held: VecDeque<Share>,
    /// Items that wait.
    len: usize,
    /// Items of sessions that are held.
    held_len: usize,
    taken: u64,
}

struct Waiting<T> {
    sessions: HashMap<SessionId, Said<T>>,
    /// Sessions that can be heard, the next first.
    order: VecDeque<SessionId>,
    /// Sessions whose next word is held.
    held: VecDeque<SessionId>,
    /// What is left of the turn. Below zero, what is owed.
    credit: i64,
}

/// What one session has said.
struct Said<T> {
    items: VecDeque<Item<T>>,
    is_held: bool,
}

struct Item<T> {
    what: T,
    cost: i64,
    /// Whether the registry is to remember something of it.
    is_written: bool,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { shares: HashMap::new(), order: VecDeque::new(), held: VecDeque::new(), len: 0, held_len: 0, taken: 0 }
    }
}

impl<T> Turns<T> {
    /// Whether something waits that is not held.
    pub(crate) fn is_ready(&self) -> bool {
        self.len > self.held_len
    }

    /// How much waits, be it held or not.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether something is held.
    pub(crate) fn holds(&self) -> bool {
        self.held_len > 0
    }

    /// Puts something behind what this session has said before. It costs so many bytes to hear, and may have to be
    /// written down.
    pub(crate) fn push(&mut self, share: &Share, session: SessionId, what: T, cost: usize, is_written: bool) {
        let waiting = self.waiting(share);
        let nothing = || Said { items: VecDeque::new(), is_held: false };
        let said = waiting.sessions.entry(session).or_insert_with(nothing);
        let is_held = said.is_held;
        let was_held = waiting.order.is_empty() && !waiting.held.is_empty();
        if said.items.is_empty() {
            waiting.order.push_back(session);
        }
        said.items.push_back(Item { what, cost: bytes(cost), is_written });
        self.len += 1;
        if is_held {
            self.held_len += 1;
        } else if was_held {
            self.held.retain(|held| held != share);
            self.order.push_back(share.clone());
        }
    }

    /// Hearing this share cost so much more than was known before.
    pub(crate) fn charge(&mut self, share: &Share, cost: usize) {
        // Where nobody else waits, nobody has to be made up for it.
        if self.len > 0 {
            self.waiting(share).credit -= bytes(cost);
        }
    }

    /// Takes what comes next, until that costs `budget` bytes; the last of it may go beyond. Of what is to be written, no
    /// more than `writes`: the rest is held until this is called again with some.
    pub(crate) fn take(&mut self, budget: usize, mut writes: usize, mut out: impl FnMut(&Share, T)) {
        if writes > 0 {
            self.release();
        }
        let mut left = bytes(budget);
        while left > 0 && self.is_ready() {
            let share = self.order.front().expect("who can be heard has a turn");
            let waiting = self.shares.get_mut(share).expect("who has a turn is known");
            if waiting.credit <= 0 {
                // A new turn; one that the budget cut short goes on with what is left of it.
                waiting.credit += TURN;
            }
            while waiting.credit > 0
                && left > 0
                && let Some(item) = waiting.next(&mut writes, &mut self.held_len)
            {
                waiting.credit -= item.cost;
                left -= item.cost;
                self.len -= 1;
                out(share, item.what);
            }
            let is_done = waiting.order.is_empty();
            if is_done && !waiting.held.is_empty() {
                self.hold();
            } else if is_done || waiting.credit <= 0 {
                let owes = waiting.credit < 0;
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

    /// How far the turns have come. A turn that is held is still to come.
    pub(crate) fn round(&self) -> Round {
        Round { taken: self.taken, whole: self.taken + (self.order.len() + self.held.len()) as u64 }
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

    /// Of whoever has the turn, all that is left is held.
    fn hold(&mut self) {
        self.held.extend(self.order.pop_front());
    }

    /// Nothing is held any more: who was goes first.
    fn release(&mut self) {
        if self.held_len == 0 {
            return;
        }
        self.held_len = 0;
        for waiting in self.shares.values_mut() {
            while let Some(session) = waiting.held.pop_back() {
                waiting.sessions.get_mut(&session).expect("who is held has said something").is_held = false;
                waiting.order.push_front(session);
            }
        }
        while let Some(share) = self.held.pop_back() {
            self.order.push_front(share);
        }
    }

    fn waiting(&mut self, share: &Share) -> &mut Waiting<T> {
        // Most of what is said is said by those of whom something waits already, so no name is cloned for it.
        if !self.shares.contains_key(share) {
            self.order.push_back(share.clone());
            let nothing =
                Waiting { sessions: HashMap::new(), order: VecDeque::new(), held: VecDeque::new(), credit: 0 };
            self.shares.insert(share.clone(), nothing);
        }
        self.shares.get_mut(share).expect("it is there now")
    }
}

impl<T> Waiting<T> {
    /// Of the session whose turn it is. When no more is to be written, whoever comes to that is held.
    fn next(&mut self, writes: &mut usize, held_len: &mut usize) -> Option<Item<T>> {
        loop {
            let session = self.order.pop_front()?;
            let said = self.sessions.get_mut(&session).expect("who has a turn has said something");
            let is_written = said.items.front().is_some_and(|next| next.is_written);
            if is_written && *writes == 0 {
                said.is_held = true;
                *held_len += said.items.len();
                self.held.push_back(session);
                continue;
            }
            *writes -= usize::from(is_written);
            let next = said.items.pop_front();
            if said.items.is_empty() {
                self.sessions.remove(&session);
            } else {
                self.order.push_back(session);
            }
            return next;
        }
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
                self.turns.push(who, SessionId(session), format!("{name}{session}.{count}"), cost, false);
            }
        }

        fn hear(&mut self, budget: usize) -> Vec<String> {
            let mut heard = Vec::new();
            self.turns.take(budget, usize::MAX, |_, what| heard.push(what));
            heard
        }

        /// Says something that is to be written.
        fn write(&mut self, who: &Share, session: u64, what: &str) {
            self.turns.push(who, SessionId(session), what.to_owned(), SMALL, true);
        }

        fn hear_writing(&mut self, writes: usize) -> Vec<String> {
            let mut heard = Vec::new();
            self.turns.take(100 * MIB, writes, |_, what| heard.push(what));
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

    #[test]
    fn what_is_to_be_written_is_held_with_the_rest_of_its_session_and_nothing_else_is() {
        let mut talk = Talk::default();
        talk.say(&role("a"), 1, 1, SMALL);
        talk.write(&role("a"), 1, "a1 writes");
        talk.write(&role("b"), 1, "b1 writes");
        talk.say(&role("b"), 2, 1, SMALL);

        assert_eq!(talk.hear_writing(0), ["a1.1", "b2.1"]);
        assert!(!talk.turns.is_ready() && talk.turns.holds());
        talk.say(&role("a"), 1, 1, SMALL);
        assert!(!talk.turns.is_ready(), "it waits behind what is held");
        talk.say(&role("a"), 3, 1, SMALL);
        assert_eq!(talk.hear_writing(0), ["a3.1"], "another session does not");

        let heard = talk.hear_writing(10);

        assert_eq!(of(&heard, "a"), ["a1 writes", "a1.2"]);
        assert_eq!(of(&heard, "b"), ["b1 writes"]);
        assert!(!talk.turns.holds() && talk.turns.shares.is_empty());
    }

    #[test]
    fn of_what_is_to_be_written_everybody_has_a_part() {
        let mut talk = Talk::default();
        for session in 0..1_000 {
            talk.write(&role("crowd"), session, "crowd writes");
        }
        talk.write(&role("single"), 2_000, "single writes");

        let first = talk.hear_writing(40);
        let all = std::iter::from_fn(|| Some(talk.hear_writing(40)).filter(|heard| !heard.is_empty()));

        assert_eq!((first.len(), of(&first, "single").len()), (40, 1));
        assert_eq!(all.map(|heard| heard.len()).sum::<usize>(), 961);
    }

    #[test]
    fn a_round_is_not_over_while_somebody_is_held_who_waited_at_its_begin() {
        let mut talk = Talk::default();
        talk.write(&role("a"), 1, "a writes");
        talk.say(&role("b"), 1, 1_000, SMALL);
        talk.hear_writing(0);
        talk.say(&role("b"), 1, 1_000, SMALL);
        let whole = talk.turns.round().whole;

        let mut heard = Vec::new();
        while talk.turns.round().taken < whole {
            heard.append(&mut talk.hear(SMALL));
        }

        assert_eq!(of(&heard, "a"), ["a writes"]);
    }
}
