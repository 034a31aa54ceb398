//! How the tasks of a job stand, one with another: those of one name, or of one group.

use std::collections::BTreeMap;

use haggle_core::cluster::TaskView;
use haggle_core::{FrameworkId, TaskId, TaskState};

use crate::output::record::JobRecord;

/// Tasks that are named of all that do not run: the others are counted.
const NAMED: usize = 3;

/// Tasks of one framework that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) framework: FrameworkId,
    pub(super) states: BTreeMap<&'static str, usize>,
    /// Those that have neither begun to run nor ended.
    pub(super) waiting: Vec<TaskId>,
}

impl Job {
    /// By framework. A task that ended while the list was read came twice: its end counts, which came last.
    pub(super) fn of(tasks: &[TaskView]) -> Vec<Self> {
        let last: BTreeMap<TaskId, TaskState> = tasks.iter().map(|task| (task.id, task.status.state)).collect();
        let mut jobs: Vec<Self> = Vec::new();
        // By id is by framework.
        for (id, state) in last {
            if jobs.last().is_none_or(|job| job.framework != id.framework) {
                jobs.push(Self { framework: id.framework, states: BTreeMap::new(), waiting: Vec::new() });
            }
            let Some(job) = jobs.last_mut() else { continue };
            *job.states.entry(state.name()).or_default() += 1;
            if !state.is_terminal() && state != TaskState::Running {
                job.waiting.push(id);
            }
        }
        jobs
    }

    fn tasks(&self) -> usize {
        self.states.values().sum()
    }

    /// Whether every one of them has ended.
    pub(super) fn has_ended(&self) -> bool {
        TaskState::ALL.iter().filter(|state| !state.is_terminal()).all(|state| !self.states.contains_key(state.name()))
    }

    /// `43 tasks of framework-3: 40 RUNNING, 3 STAGING (task-3.1, task-3.2, task-3.9)`.
    pub(super) fn in_words(&self) -> String {
        let count = self.tasks();
        let tasks = if count == 1 { "task" } else { "tasks" };
        let states: Vec<String> = self.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let mut named: Vec<String> = self.waiting.iter().take(NAMED).map(TaskId::to_string).collect();
        if let Some(more) = self.waiting.len().checked_sub(NAMED).filter(|more| *more > 0) {
            named.push(format!("and {more} more"));
        }
        let waiting = if named.is_empty() { String::new() } else { format!("; not running: {}", named.join(", ")) };
        format!("{count} {tasks} of {}: {}{waiting}", self.framework, states.join(", "))
    }

    pub(super) fn record(&self, job: String) -> JobRecord {
        let waiting = self.waiting.iter().take(NAMED).map(TaskId::to_string).collect();
        JobRecord { job, framework: self.framework.to_string(), tasks: self.states.clone(), waiting }
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, Resources, Source, TaskStatus, UpdateId};

    use super::*;

    fn task(framework: u64, number: u64, state: TaskState) -> TaskView {
        let id = TaskId { framework: FrameworkId(framework), number };
        TaskView {
            id,
            name: "primes".into(),
            role: "default".into(),
            agent: AgentId(1),
            module: None,
            resources: Resources::default(),
            group: None,
            is_allocation: false,
            status: TaskStatus::new(id, UpdateId(1), state, Source::Master),
        }
    }

    #[test]
    fn the_tasks_of_a_job_are_counted_by_state_and_those_that_wait_are_named() {
        let mut tasks = vec![task(4, 1, TaskState::Finished), task(3, 9, TaskState::Running)];
        tasks.extend((1..=5).map(|number| task(3, number, TaskState::Staging)));
        // It ended while the list was read.
        tasks.push(task(3, 5, TaskState::Failed));

        let jobs = Job::of(&tasks);

        let lines: Vec<String> = jobs.iter().map(Job::in_words).collect();
        assert_eq!(
            lines,
            [
                "6 tasks of framework-3: 1 FAILED, 1 RUNNING, 4 STAGING; not running: task-3.1, task-3.2, task-3.3, and 1 more",
                "1 task of framework-4: 1 FINISHED",
            ]
        );
        assert_eq!(jobs.iter().map(Job::has_ended).collect::<Vec<_>>(), [false, true]);
    }
}
