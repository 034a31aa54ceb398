//! Questions about launched tasks: asked with backoff until the master answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haggle_core::{AgentId, Backoff, Now};

/// The first pause before a question is asked again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest one. After a restart a master answers once the task's agent is back, which may take as long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The open questions, by the number of the launch.
#[derive(Debug, Default)]
pub(super) struct Reconciliation {
    open: BTreeMap<u64, Question>,
    due: BTreeSet<(Now, u64)>,
}

#[derive(Debug)]
struct Question {
    agent: AgentId,
    due: Now,
    pause: Duration,
}

impl Reconciliation {
    /// Asks at once, whatever was asked before.
    pub(super) fn ask(&mut self, now: Now, number: u64, agent: AgentId) {
        self.answered(number);
        self.insert(number, Question { agent, due: now, pause: FIRST_PAUSE });
    }

    /// The answer was that nothing is known: the question stays open.
    pub(super) fn not_answered(&mut self, now: Now, number: u64, agent: AgentId) {
        if !self.open.contains_key(&number) {
            self.insert(number, Question { agent, due: now + FIRST_PAUSE, pause: FIRST_PAUSE * 2 });
        }
    }

    pub(super) fn answered(&mut self, number: u64) {
        if let Some(question) = self.open.remove(&number) {
            self.due.remove(&(question.due, number));
        }
    }

    /// What to ask now, and where each was launched.
    pub(super) fn due(&mut self, now: Now) -> Vec<(u64, AgentId)> {
        let mut asked = Vec::new();
        while let Some(&(due, number)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let Some(question) = self.open.get_mut(&number) else { continue };
            asked.push((number, question.agent));
            question.due = now + question.pause;
            question.pause = Backoff::longer(question.pause, LONGEST_PAUSE);
            self.due.insert((question.due, number));
        }
        asked
    }

    /// When [`Self::due`] has something to say next.
    pub(super) fn next_deadline(&self) -> Option<Now> {
        self.due.first().map(|&(due, _)| due)
    }

    fn insert(&mut self, number: u64, question: Question) {
        self.due.insert((question.due, number));
        self.open.insert(number, question);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentId = AgentId(3);
    const START: Now = Now::from_millis(5);

    #[test]
    fn a_question_is_asked_with_growing_pauses_until_it_is_answered() {
        let mut reconciliation = Reconciliation::default();
        reconciliation.ask(START, 7, AGENT);

        let mut pauses = Vec::new();
        let mut now = START;
        for _ in 0..9 {
            assert_eq!(reconciliation.due(now), [(7, AGENT)]);
            let next = reconciliation.next_deadline().unwrap();
            pauses.push(next.since(now).as_secs());
            now = next;
        }
        reconciliation.answered(7);

        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(reconciliation.next_deadline(), None);
    }

    #[test]
    fn an_answer_that_tells_nothing_opens_a_question_and_hurries_none() {
        let mut reconciliation = Reconciliation::default();

        reconciliation.not_answered(START, 7, AGENT);
        reconciliation.not_answered(START + FIRST_PAUSE / 2, 7, AGENT);

        assert_eq!(reconciliation.due(START), []);
        assert_eq!(reconciliation.due(START + FIRST_PAUSE), [(7, AGENT)]);
    }

    #[test]
    fn a_new_master_is_asked_at_once() {
        let mut reconciliation = Reconciliation::default();
        reconciliation.ask(START, 7, AGENT);
        reconciliation.due(START);

        reconciliation.ask(START, 7, AGENT);

        assert_eq!(reconciliation.due(START), [(7, AGENT)]);
    }
}
