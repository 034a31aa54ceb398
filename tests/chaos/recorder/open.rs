//! The tasks of the record that have not ended, and what was heard of them last.

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_kit::record::{Entry, Heard, Launch, Line};
use haggle_sdk::{AgentId, FrameworkId, Question, TaskId, TaskState};

/// Questions at a time: they are repeated, so a part of them is asked later.
const QUESTIONS_MAX: usize = 2_000;

#[derive(Debug)]
struct Task {
    agent: u64,
    lasting: bool,
    runs: bool,
    /// When it was launched, heard of, or asked after.
    since_us: u64,
}

/// Tasks by number.
#[derive(Debug, Default)]
pub(crate) struct OpenTasks {
    tasks: BTreeMap<u64, Task>,
    /// The highest number that was ever launched.
    pub(crate) last: u64,
}

impl OpenTasks {
    /// As an earlier process left them.
    pub(crate) fn read(lines: &[Line]) -> Self {
        let mut open = Self::default();
        for line in lines {
            match &line.entry {
                Entry::Accept { agent, tasks } => {
                    tasks.iter().for_each(|launch| open.launched(line.at_us, *agent, *launch));
                }
                Entry::Update(heard) => open.heard(line.at_us, heard),
                _ => {}
            }
        }
        open
    }

    pub(crate) fn launched(&mut self, at_us: u64, agent: u64, launch: Launch) {
        self.last = self.last.max(launch.task);
        self.tasks.insert(launch.task, Task { agent, lasting: launch.lasting, runs: false, since_us: at_us });
    }

    pub(crate) fn heard(&mut self, at_us: u64, heard: &Heard) {
        if heard.state.is_terminal() {
            self.tasks.remove(&heard.task);
        } else if let Some(task) = self.tasks.get_mut(&heard.task) {
            task.since_us = at_us;
            task.runs = heard.state == TaskState::Running;
            task.agent = heard.agent.unwrap_or(task.agent);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Tasks that run until they are killed.
    pub(crate) fn lasting(&self) -> impl Iterator<Item = u64> {
        self.tasks.iter().filter(|(_, task)| task.lasting).map(|(&number, _)| number)
    }

    /// What to ask: of every task, or of those of which nothing was heard for so long. One that runs for ever is only
    /// asked after with all others.
    pub(crate) fn questions(&mut self, framework: FrameworkId, now_us: u64, silent: Option<Duration>) -> Vec<Question> {
        let silent_us = silent.map(|silent| u64::try_from(silent.as_micros()).unwrap_or(u64::MAX));
        let is_due = |task: &Task| {
            silent_us.is_none_or(|silent| now_us.saturating_sub(task.since_us) > silent && !(task.lasting && task.runs))
        };
        let due = self.tasks.iter_mut().filter(|(_, task)| is_due(task)).take(QUESTIONS_MAX);
        due.map(|(&number, task)| {
            task.since_us = now_us;
            Question { task: TaskId { framework, number }, agent: Some(AgentId(task.agent)) }
        })
        .collect()
    }
}
