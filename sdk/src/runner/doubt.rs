//! Launched tasks that the master may not know: after a lost connection a launch may have been lost as well.

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_core::Now;

/// How often to ask after a task in doubt.
const QUESTION_EVERY: Duration = Duration::from_secs(2);

/// How long a master may not know a task before the task is given up. A master that restarted learns of tasks as
/// their agents come back, which takes them a few seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The numbers of the tasks in doubt, and since when.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    since: BTreeMap<u64, Now>,
    next_question: Now,
}

impl Doubts {
    pub(super) fn add(&mut self, now: Now, number: u64) {
        if self.since.is_empty() {
            self.next_question = now;
        }
        self.since.entry(number).or_insert(now);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.since.remove(&number);
    }

    /// Whom to ask after, and whom to give up.
    pub(super) fn due(&mut self, now: Now) -> (Vec<u64>, Vec<u64>) {
        if self.since.is_empty() || now < self.next_question {
            return (Vec::new(), Vec::new());
        }
        self.next_question = now + QUESTION_EVERY;
        self.since.keys().copied().partition(|number| now < self.since[number] + PATIENCE)
    }

    /// When [`Self::due`] has something to say next.
    pub(super) fn next_deadline(&self) -> Option<Now> {
        (!self.since.is_empty()).then_some(self.next_question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_in_doubt_is_asked_after_until_it_is_given_up() {
        let mut doubts = Doubts::default();
        let start = Now::from_millis(5);
        doubts.add(start, 7);

        assert_eq!(doubts.due(start), (vec![7], vec![]));
        assert_eq!(doubts.due(start + Duration::from_secs(1)), (vec![], vec![]));
        assert_eq!(doubts.due(start + QUESTION_EVERY), (vec![7], vec![]));
        assert_eq!(doubts.due(start + PATIENCE), (vec![], vec![7]));
    }

    #[test]
    fn a_task_that_is_heard_of_is_not_in_doubt() {
        let mut doubts = Doubts::default();
        doubts.add(Now::ZERO, 7);

        doubts.remove(7);

        assert_eq!(doubts.next_deadline(), None);
        assert_eq!(doubts.due(Now::ZERO + PATIENCE), (vec![], vec![]));
    }
}
