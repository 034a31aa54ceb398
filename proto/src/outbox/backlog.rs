//! A queue of items that have a weight: how much may wait, and how much of it makes one message. No lock, no waker.

use std::mem;
use std::vec::IntoIter;

use crate::weight::Weigh;

/// What may wait for one peer, and what one message to it carries. A bound that follows from the others is the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items that may wait.
    pub items: usize,
    /// What they may weigh together, in bytes.
    pub bytes: usize,
    /// What goes into one message, in bytes. A single item that weighs more and cannot be divided is a message of its own.
    pub message: usize,
}

/// How much waits for one peer, or for several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// How many items.
    pub items: usize,
    /// What they weigh, in bytes.
    pub bytes: usize,
    /// The same for the peer for which most waits; at most [`Limits::bytes`], unless it is one batch.
    pub longest: usize,
}

impl Level {
    /// Adds what waits for others.
    pub fn add(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.longest = self.longest.max(other.longest);
    }
}

/// The peer does not read what it is sent: there is no room for more.
#[derive(Debug, PartialEq, Eq)]
pub struct FellBehind;

/// What waits, in the order in which it came.
#[derive(Debug)]
pub(super) struct Backlog<T> {
    waiting: Vec<T>,
    bytes: usize,
    limits: Limits,
}

impl<T> Backlog<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { waiting: Vec::new(), bytes: 0, limits }
    }

    /// Whether so many items that weigh so much find room. Who has read everything so far is not behind, however large the batch.
    pub(super) fn has_room(&self, items: usize, bytes: usize) -> bool {
        self.is_empty() || (self.waiting.len() + items <= self.limits.items && self.bytes + bytes <= self.limits.bytes)
    }

    /// Adds what is in the batch, and leaves it empty.
    ///
    /// # Errors
    /// When there is no room for all of it. Then nothing has changed.
    pub(super) fn put(&mut self, batch: &mut Vec<T>, bytes: usize) -> Result<(), FellBehind> {
        if !self.has_room(batch.len(), bytes) {
            return Err(FellBehind);
        }
        self.bytes += bytes;
        if self.is_empty() {
            mem::swap(&mut self.waiting, batch);
        } else {
            self.waiting.append(batch);
        }
        Ok(())
    }

    /// Adds one item.
    ///
    /// # Errors
    /// When there is no room for it. Then nothing has changed.
    pub(super) fn push(&mut self, item: T, bytes: usize) -> Result<(), FellBehind> {
        if !self.has_room(1, bytes) {
            return Err(FellBehind);
        }
        self.bytes += bytes;
        self.waiting.push(item);
        Ok(())
    }

    /// Takes all that waits, and what it weighs.
    pub(super) fn take(&mut self) -> (Vec<T>, usize) {
        (mem::take(&mut self.waiting), mem::take(&mut self.bytes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn level(&self) -> Level {
        Level { items: self.waiting.len(), bytes: self.bytes, longest: self.bytes }
    }
}

/// Divides what is too large for a message of so many bytes, and says what all of it weighs.
pub(super) fn divide<T: Weigh>(batch: &mut Vec<T>, message: usize) -> usize {
    let mut heaviest = 0;
    let weigh = |item: &T| {
        let weight = item.weight();
        heaviest = heaviest.max(weight);
        weight
    };
    let bytes = batch.iter().map(weigh).sum();
    if heaviest > message {
        let whole = mem::take(batch);
        batch.extend(whole.into_iter().flat_map(|item| item.split(message)));
    }
    bytes
}

/// Takes as much as goes into a message of so many bytes, and one item at least.
pub(super) fn one_message<T: Weigh>(rest: &mut IntoIter<T>, message: usize) -> Vec<T> {
    let mut bytes = 0;
    let fits = rest
        .as_slice()
        .iter()
        .take_while(|item| {
            bytes += item.weight();
            bytes <= message
        })
        .count();
    rest.take(fits.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text weighs what it has letters, and is divided between any two of them.
    impl Weigh for &str {
        fn weight(&self) -> usize {
            self.len()
        }

        fn split(self, max: usize) -> Vec<Self> {
            let (first, rest) = self.split_at(max.min(self.len()));
            if rest.is_empty() { vec![first] } else { [vec![first], Weigh::split(rest, max)].concat() }
        }
    }

    const LIMITS: Limits = Limits { items: 3, bytes: 10, message: 4 };

    fn backlog(waiting: &[&'static str]) -> Backlog<&'static str> {
        let mut backlog = Backlog::new(LIMITS);
        waiting.iter().for_each(|&item| backlog.push(item, item.len()).unwrap());
        backlog
    }

    #[test]
    fn what_waits_is_bounded_in_items_and_in_bytes() {
        assert_eq!(backlog(&["a", "b", "c"]).push("d", 1), Err(FellBehind));
        assert_eq!(backlog(&["a", "b", "c"]).push("", 0), Err(FellBehind));
        assert_eq!(backlog(&["a"; 2]).put(&mut vec!["b"; 2], 2), Err(FellBehind));

        assert_eq!(backlog(&["nine more"]).push("a", 1), Ok(()));
        assert_eq!(backlog(&["nine more"]).push("ab", 2), Err(FellBehind));
    }

    #[test]
    fn what_finds_no_room_changes_nothing() {
        let mut backlog = backlog(&["nine more"]);
        let mut batch = vec!["a", "b"];

        backlog.put(&mut batch, 2).unwrap_err();

        assert_eq!(batch, ["a", "b"]);
        assert_eq!(backlog.level(), Level { items: 1, bytes: 9, longest: 9 });
    }

    #[test]
    fn who_has_read_everything_is_not_behind_however_large_the_batch() {
        let mut backlog = backlog(&[]);

        backlog.put(&mut vec!["much too long"; 5], 65).unwrap();
        assert!(!backlog.has_room(0, 0));

        assert_eq!(backlog.take(), (vec!["much too long"; 5], 65));
        assert!(backlog.has_room(100, 100));
    }

    #[test]
    fn all_that_waits_is_taken_in_the_order_in_which_it_came() {
        let mut backlog = backlog(&["a"]);
        backlog.put(&mut vec!["b", "c"], 2).unwrap();

        assert_eq!(backlog.take(), (vec!["a", "b", "c"], 3));
        assert_eq!(backlog.take(), (vec![], 0));
    }

    #[test]
    fn what_is_too_large_for_a_message_is_divided_and_weighs_what_it_did() {
        let mut batch = vec!["a", "bbbbccccd"];

        assert_eq!(divide(&mut batch, 4), 10);

        assert_eq!(batch, ["a", "bbbb", "cccc", "d"]);
    }

    #[test]
    fn a_message_is_filled_up_to_its_bytes_and_never_empty() {
        let mut rest = vec!["aa", "bb", "c", "ddddd", "e"].into_iter();

        let messages: Vec<_> = std::iter::from_fn(|| (rest.len() > 0).then(|| one_message(&mut rest, 4))).collect();

        assert_eq!(messages, [vec!["aa", "bb"], vec!["c"], vec!["ddddd"], vec!["e"]]);
    }

    #[test]
    fn levels_of_several_peers_add_up_and_tell_the_longest() {
        let mut both = backlog(&["abc"]).level();

        both.add(backlog(&["a", "b"]).level());

        assert_eq!(both, Level { items: 3, bytes: 5, longest: 3 });
    }
}
