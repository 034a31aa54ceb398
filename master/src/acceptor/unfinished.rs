//! Handshakes that are not over, and whose they are.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::limits::{BySource, Source};

/// All of them, and for each a handle to give it up by.
#[derive(Debug)]
pub(super) struct Unfinished<Id, Handle> {
    all: usize,
    from_one: usize,
    handshakes: HashMap<Id, (Source, Handle)>,
    sources: BySource,
    /// The oldest first; also some that are over.
    order: VecDeque<Id>,
}

impl<Id: Copy + Eq + Hash, Handle> Unfinished<Id, Handle> {
    /// None yet. How many there are is counted in `sources`.
    pub(super) fn new(all: usize, from_one: usize, sources: BySource) -> Self {
        Self { all, from_one, handshakes: HashMap::new(), sources, order: VecDeque::new() }
    }

    /// Whether one more may come from there.
    pub(super) fn has_room(&self, source: Source) -> bool {
        self.sources.of(source) < self.from_one
    }

    /// One more. When there are too many now, the oldest is no more counted, and its handle returned.
    pub(super) fn insert(&mut self, id: Id, source: Source, handle: Handle) -> Option<Handle> {
        let oldest = if self.handshakes.len() < self.all { None } else { self.remove_oldest() };
        self.handshakes.insert(id, (source, handle));
        self.sources.add(source);
        self.order.push_back(id);
        if self.order.len() > 2 * self.all {
            self.order.retain(|id| self.handshakes.contains_key(id));
        }
        oldest
    }

    /// One is over; it may have been given up before.
    pub(super) fn remove(&mut self, id: &Id) -> Option<Handle> {
        let (source, handle) = self.handshakes.remove(id)?;
        self.sources.remove(source);
        Some(handle)
    }

    fn remove_oldest(&mut self) -> Option<Handle> {
        loop {
            let id = self.order.pop_front()?;
            if let Some(handle) = self.remove(&id) {
                return Some(handle);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_so_many_and_another_one_its_own() {
        let mut unfinished = Unfinished::new(10, 2, BySource::default());
        for id in 0..2 {
            assert!(unfinished.has_room(source("10.0.0.1")));
            unfinished.insert(id, source("10.0.0.1"), ());
        }

        assert!(!unfinished.has_room(source("10.0.0.1")));
        assert!(!unfinished.has_room(source("::ffff:10.0.0.1")), "it is the same address");
        assert!(unfinished.has_room(source("10.0.0.2")));

        unfinished.remove(&0);
        assert!(unfinished.has_room(source("10.0.0.1")));
    }

    #[test]
    fn a_network_of_version_6_counts_as_one_address() {
        let mut unfinished = Unfinished::new(10, 1, BySource::default());
        unfinished.insert(0, source("2001:db8::1"), ());

        assert!(!unfinished.has_room(source("2001:db8::ffff:2")));
        assert!(unfinished.has_room(source("2001:db8:0:1::1")));
    }

    #[test]
    fn above_the_limit_the_oldest_that_is_not_over_goes() {
        let mut unfinished = Unfinished::new(3, 10, BySource::default());
        for id in 0..3 {
            assert_eq!(unfinished.insert(id, source("10.0.0.1"), id), None);
        }
        unfinished.remove(&0);
        assert_eq!(unfinished.insert(3, source("10.0.0.1"), 3), None);

        assert_eq!(unfinished.insert(4, source("10.0.0.1"), 4), Some(1));
        assert_eq!(unfinished.remove(&1), None, "it was given up");
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let mut unfinished = Unfinished::new(4, 4, BySource::default());
        unfinished.insert(0, source("10.0.0.1"), ());
        for id in 1..10_000 {
            unfinished.insert(id, source("10.0.0.2"), ());
            unfinished.remove(&id);
        }

        assert!(unfinished.order.len() <= 8);
        assert_eq!((unfinished.handshakes.len(), unfinished.sources.all(), unfinished.sources.most()), (1, 1, 1));
    }
}
