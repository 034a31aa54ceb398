//! Modules that wait for a child, in the order in which they get one: frameworks take turns.

use std::collections::{HashMap, VecDeque};

use haggle_core::FrameworkId;

/// Requests of frameworks. One framework never has more than its part of the children, so that whatever it wants to
/// have compiled, there is one for the others.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// Children for one framework at most.
    for_each: usize,
    /// Who waits, the next one first, each with its oldest request first. Nobody is in it twice, or with nothing.
    waiting: VecDeque<(FrameworkId, VecDeque<T>)>,
    /// Children that frameworks have now.
    busy: HashMap<FrameworkId, usize>,
}

impl<T> Queue<T> {
    /// For this many children in all.
    pub(super) fn new(children: usize) -> Self {
        Self { for_each: children.saturating_sub(1).max(1), waiting: VecDeque::new(), busy: HashMap::new() }
    }

    pub(super) fn push(&mut self, framework: FrameworkId, request: T) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == framework) {
            Some((_, requests)) => requests.push_back(request),
            None => self.waiting.push_back((framework, VecDeque::from([request]))),
        }
    }

    /// The next request that may have a child, of those that are still wanted; the others are forgotten. Until
    /// [`Self::done`], its framework has one child more.
    pub(super) fn next(&mut self, mut is_wanted: impl FnMut(&T) -> bool) -> Option<T> {
        loop {
            let may_have_one =
                |(framework, _): &(FrameworkId, _)| self.busy.get(framework).is_none_or(|busy| *busy < self.for_each);
            let (framework, mut requests) = self.waiting.remove(self.waiting.iter().position(may_have_one)?)?;
            let request = std::iter::from_fn(|| requests.pop_front()).find(&mut is_wanted);
            let Some(request) = request else { continue };
            if !requests.is_empty() {
                self.waiting.push_back((framework, requests));
            }
            *self.busy.entry(framework).or_default() += 1;
            return Some(request);
        }
    }

    /// A child of this framework is free again.
    pub(super) fn done(&mut self, framework: FrameworkId) {
        let Some(busy) = self.busy.get_mut(&framework) else { return };
        *busy -= 1;
        if *busy == 0 {
            self.busy.remove(&framework);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FrameworkId = FrameworkId(1);
    const B: FrameworkId = FrameworkId(2);
    const C: FrameworkId = FrameworkId(3);

    fn queue(children: usize, requests: &[(FrameworkId, u32)]) -> Queue<u32> {
        let mut queue = Queue::new(children);
        requests.iter().for_each(|(framework, request)| queue.push(*framework, *request));
        queue
    }

    fn next(queue: &mut Queue<u32>) -> Option<u32> {
        queue.next(|_| true)
    }

    #[test]
    fn frameworks_take_turns_and_each_has_its_own_in_order() {
        let mut queue = queue(9, &[(A, 1), (A, 2), (A, 3), (B, 4), (C, 5), (C, 6)]);

        let order: Vec<u32> = std::iter::from_fn(|| next(&mut queue)).collect();

        assert_eq!(order, [1, 4, 5, 2, 6, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn one_framework_leaves_a_child_to_the_others() {
        let mut queue = queue(3, &[(A, 1), (A, 2), (A, 3)]);
        assert_eq!((next(&mut queue), next(&mut queue), next(&mut queue)), (Some(1), Some(2), None));

        queue.push(B, 4);
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(4), None));
        queue.done(B);
        assert_eq!(next(&mut queue), None);
        queue.done(A);

        assert_eq!((next(&mut queue), next(&mut queue)), (Some(3), None));
    }

    #[test]
    fn the_only_child_there_is_serves_all() {
        let mut queue = queue(1, &[(A, 1), (A, 2), (B, 3)]);

        assert_eq!(next(&mut queue), Some(1));
        queue.done(A);

        assert_eq!(next(&mut queue), Some(3));
        queue.done(B);
        assert_eq!(next(&mut queue), Some(2));
    }

    #[test]
    fn what_is_not_wanted_any_more_costs_its_framework_no_turn() {
        let mut queue = queue(9, &[(A, 1), (A, 2), (B, 3), (C, 4), (C, 5)]);

        let order: Vec<u32> = std::iter::from_fn(|| queue.next(|request| ![1, 3, 5].contains(request))).collect();

        assert_eq!(order, [2, 4]);
        assert!(queue.is_empty());
        queue.push(B, 6);
        assert_eq!(next(&mut queue), Some(6));
    }
}
