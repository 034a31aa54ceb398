//! One task: what its framework said and heard of it, and what its agent saw.

use std::collections::{BTreeMap, BTreeSet};

use haggle_core::{Source, TaskState, UpdateId};
use haggle_kit::record::{Entry, Heard, Line};

/// Of an update's id, the bits that count within one life of the task's agent.
const COUNT: u64 = u32::MAX as u64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Task {
    /// Where it was launched.
    pub(crate) agent: u64,
    pub(crate) due_us: u64,
    pub(crate) accepted_us: u64,
    /// When the first word about it was heard.
    pub(crate) answered_us: Option<u64>,
    pub(crate) lasting: bool,
    /// The different terminal states that were heard.
    pub(crate) ends: BTreeSet<TaskState>,
    /// Whether it was told to be anything but on its way or running, before the recorder was asked to end.
    pub(crate) was_disturbed: bool,
    /// How often an agent started it.
    pub(crate) starts: u32,
    /// How agents saw it end.
    pub(crate) seen: BTreeSet<String>,
    /// Whether it was heard to run.
    runs: bool,
    /// Updates of its agent, in the order in which they were first heard.
    updates: Vec<u64>,
    acknowledged: bool,
    /// What was heard after the acknowledgement of its end, if it was not an end.
    revived: Option<TaskState>,
}

/// Every task of a record, by number.
pub(crate) fn read(lines: &[Line]) -> BTreeMap<u64, Task> {
    let mut tasks: BTreeMap<u64, Task> = BTreeMap::new();
    let mut draining = false;
    for line in lines {
        match &line.entry {
            Entry::Accept { agent, tasks: launches } => {
                for launch in launches {
                    let task = tasks.entry(launch.task).or_default();
                    task.agent = *agent;
                    task.due_us = launch.due_us;
                    task.accepted_us = line.at_us;
                    task.lasting = launch.lasting;
                }
            }
            Entry::Update(heard) => tasks.entry(heard.task).or_default().hear(line.at_us, heard, draining),
            Entry::Acknowledge { task, .. } => {
                let task = tasks.entry(*task).or_default();
                task.acknowledged |= !task.ends.is_empty();
            }
            Entry::Draining => draining = true,
            _ => {}
        }
    }
    tasks
}

impl Task {
    fn hear(&mut self, at_us: u64, heard: &Heard, draining: bool) {
        let state = heard.state;
        self.answered_us.get_or_insert(at_us);
        self.runs |= state == TaskState::Running;
        let usual = matches!(state, TaskState::Staging | TaskState::Starting | TaskState::Running);
        self.was_disturbed |= !draining && !usual;
        // What was heard before may come again: its acknowledgement may not have arrived.
        let is_news = !self.updates.contains(&heard.update);
        if state.is_terminal() {
            self.ends.insert(state);
        } else if self.acknowledged && is_news && state != TaskState::Unknown {
            self.revived.get_or_insert(state);
        }
        let kept = heard.update != UpdateId::UNACKNOWLEDGED.0 && !UpdateId(heard.update).is_by_master();
        if kept && heard.source != Source::Master && !self.updates.contains(&heard.update) {
            self.updates.push(heard.update);
        }
    }

    /// Whether it was launched, and not just answered.
    pub(crate) fn was_served(&self) -> bool {
        self.runs || self.ends.contains(&TaskState::Finished)
    }

    /// Every promise that was broken to it.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.accepted_us == 0 {
            faults.push("news of it came, and it was never launched".to_owned());
        }
        if self.ends.is_empty() {
            let seen = &self.seen;
            faults.push(format!("lost: no end was heard; {} starts, agents saw it end {seen:?}", self.starts));
        }
        if self.ends.len() > 1 {
            faults.push(format!("ended in several ways: {:?}", self.ends));
        }
        if self.starts > 1 {
            faults.push(format!("run {} times", self.starts));
        }
        let heard: BTreeSet<String> = self.ends.iter().map(ToString::to_string).collect();
        if let Some(unheard) = self.seen.iter().find(|seen| !heard.contains(*seen)) {
            faults.push(format!("its agent saw it end as {unheard}, its framework heard {heard:?}"));
        }
        let never = [TaskState::Dropped, TaskState::Gone, TaskState::Lost, TaskState::GoneByOperator];
        if self.starts > 0 && self.ends.iter().any(|end| never.contains(end)) {
            faults.push(format!("it ran, and its framework heard {heard:?}"));
        }
        if let Some(state) = self.revived {
            faults.push(format!("told to be {state} after its end was acknowledged"));
        }
        if !self.updates.is_sorted() {
            faults.push(format!("updates out of order: {:?}", self.updates));
        }
        faults
    }

    /// Updates that its agent made in its first life and that were not heard: a later state took their place, or told
    /// of it first. An agent that comes back tells the latest state alone.
    pub(crate) fn overtaken(&self) -> usize {
        let count = |updates: &mut dyn Iterator<Item = u64>| updates.filter(|&update| update <= COUNT).count();
        let last = self.updates.iter().copied().filter(|&update| update <= COUNT).max().unwrap_or_default();
        usize::try_from(last).unwrap_or(usize::MAX) - count(&mut self.updates.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use haggle_kit::record::Launch;

    use super::*;

    fn record(entries: Vec<Entry>) -> Vec<Line> {
        entries.into_iter().enumerate().map(|(at, entry)| Line { at_us: at as u64 + 1, entry }).collect()
    }

    fn launched() -> Entry {
        Entry::Accept { agent: 1, tasks: vec![Launch { task: 7, due_us: 1, lasting: false }] }
    }

    fn told(update: u64, state: TaskState) -> Entry {
        let (source, message) = (Source::Agent, String::new());
        Entry::Update(Heard { task: 7, update, state, reason: None, source, agent: Some(1), message })
    }

    fn faults(entries: Vec<Entry>, starts: u32, seen: &[&str]) -> Vec<String> {
        let mut task = read(&record(entries))[&7].clone();
        task.starts = starts;
        task.seen = seen.iter().map(ToString::to_string).collect();
        task.faults()
    }

    #[test]
    fn a_task_that_ran_and_ended_once_has_no_fault() {
        let entries = vec![launched(), told(1, TaskState::Running), told(2, TaskState::Finished)];

        assert_eq!(faults(entries, 1, &["FINISHED"]), Vec::<String>::new());
    }

    #[test]
    fn a_repeated_end_is_no_fault() {
        let again = || told(2, TaskState::Finished);

        let found = faults(vec![launched(), told(1, TaskState::Running), again(), again()], 1, &["FINISHED"]);

        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_is_lost_run_twice_ended_twice_or_kept_from_the_framework_is_found() {
        let running = || told(1, TaskState::Running);
        let (acknowledge, again) = (Entry::Acknowledge { task: 7, update: 2 }, told(3, TaskState::Running));
        let cases = [
            (vec![launched(), running()], 1, "lost"),
            (vec![launched(), running(), told(2, TaskState::Finished)], 2, "run 2 times"),
            (vec![launched(), running(), told(2, TaskState::Failed), told(0, TaskState::Gone)], 0, "several ways"),
            (vec![launched(), told(2, TaskState::Finished), told(1, TaskState::Running)], 1, "out of order"),
            (vec![launched(), told(0, TaskState::Gone)], 1, "it ran, and its framework heard"),
            (vec![launched(), running(), told(2, TaskState::Finished), acknowledge, again], 1, "after its end"),
        ];

        for (entries, starts, wanted) in cases {
            let found = faults(entries, starts, &[]);
            assert!(found.iter().any(|fault| fault.contains(wanted)), "{wanted}: {found:?}");
        }
    }

    #[test]
    fn what_is_told_again_after_an_acknowledgement_that_was_lost_is_no_fault() {
        let running = || told(1, TaskState::Running);
        let acknowledge = Entry::Acknowledge { task: 7, update: 2 };

        let found = faults(vec![launched(), running(), told(2, TaskState::Finished), acknowledge, running()], 1, &[]);

        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn an_end_that_only_the_agent_saw_is_found() {
        let found = faults(vec![launched(), told(0, TaskState::Gone)], 0, &["FINISHED"]);

        assert!(found.iter().any(|fault| fault.contains("saw it end as FINISHED")), "{found:?}");
    }
}
