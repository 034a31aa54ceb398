//! Joins what a framework recorded with what the agents logged, and says what should not have been.

mod figures;
mod logs;
mod tasks;

use std::collections::BTreeMap;

use haggle_core::{TaskState, UpdateId};
use haggle_kit::record::{Entry, Heard, Line};

pub(crate) use figures::{Figures, quantile};
pub(crate) use logs::{AgentLogs, since};
pub(crate) use tasks::Task;

/// The record and the logs, joined.
pub(crate) struct Joined {
    /// By number.
    pub(crate) tasks: BTreeMap<u64, Task>,
    /// Each is one broken promise, in words.
    pub(crate) violations: Vec<String>,
}

impl Joined {
    /// Of one framework's whole record, and the logs of all agents.
    pub(crate) fn new(lines: &[Line], logs: &AgentLogs) -> Self {
        let mut tasks = tasks::read(lines);
        if let Some(framework) = framework(lines) {
            logs.join(framework, &mut tasks);
        }
        let mut violations = Vec::new();
        for (number, task) in &tasks {
            violations.extend(task.faults().into_iter().map(|fault| format!("task {number}: {fault}")));
        }
        violations.extend(sessions(lines));
        violations.extend(stale_masters(lines));
        violations.extend(logs.faults());
        Self { tasks, violations }
    }

    /// Tasks of which no end was heard.
    pub(crate) fn lost(&self) -> usize {
        self.tasks.values().filter(|task| task.ends.is_empty()).count()
    }

    /// Tasks that were started more than once.
    pub(crate) fn run_twice(&self) -> usize {
        self.tasks.values().filter(|task| task.starts > 1).count()
    }

    /// Tasks that ended otherwise than by themselves or by the recorder's kill: never run, or given up.
    pub(crate) fn not_run(&self) -> usize {
        let done = [TaskState::Finished, TaskState::Killed];
        self.tasks.values().filter(|task| task.ends.iter().any(|end| !done.contains(end))).count()
    }

    /// Lasting tasks that were told to be anything but on their way or running before the recorder ended them.
    pub(crate) fn disturbed(&self) -> Vec<String> {
        let lasting = self.tasks.iter().filter(|(_, task)| task.lasting && task.was_disturbed);
        lasting.map(|(number, _)| format!("task {number}, which was to run on, was disturbed")).collect()
    }

    /// From when a launch was due to the first word about it, in seconds.
    pub(crate) fn latencies(&self) -> Vec<f64> {
        self.latencies_between(0, u64::MAX)
    }

    /// Of those that were due between these times.
    pub(crate) fn latencies_between(&self, from_us: u64, to_us: u64) -> Vec<f64> {
        let its = |task: &&Task| !task.lasting && task.due_us >= from_us && task.due_us < to_us;
        self.tasks.values().filter(its).filter_map(|task| Some(seconds(task.due_us, task.answered_us?))).collect()
    }

    /// From when a launch was said to the first word about it, of those that were due between these times, in seconds.
    pub(crate) fn answers_between(&self, from_us: u64, to_us: u64) -> Vec<f64> {
        let its = |task: &&Task| !task.lasting && task.due_us >= from_us && task.due_us < to_us;
        let answered = self.tasks.values().filter(its);
        answered.filter_map(|task| Some(seconds(task.accepted_us, task.answered_us?))).collect()
    }

    /// For each of these times the longest gap between launches that got an answer, from then to the next of them, in
    /// seconds; without end when there was no such launch any more.
    pub(crate) fn gaps(&self, faults_us: &[u64]) -> Vec<f64> {
        let mut launches: Vec<u64> =
            self.tasks.values().filter(|task| task.was_served()).map(|task| task.accepted_us).collect();
        launches.sort_unstable();
        let gap = |(index, &from): (usize, &u64)| {
            let to = faults_us.get(index + 1).copied().unwrap_or(u64::MAX);
            if launches.last().is_none_or(|&last| last < from) {
                return f64::INFINITY;
            }
            let pairs = launches.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
            pairs.map(|pair| seconds(pair[0], pair[1])).fold(0.0, f64::max)
        };
        faults_us.iter().enumerate().map(gap).collect()
    }

    /// From this time to the next launch that got an answer, on this agent if one is named; in seconds.
    pub(crate) fn served_after(&self, from_us: u64, agent: Option<u64>) -> Option<f64> {
        let its = self.tasks.values().filter(|task| agent.is_none_or(|agent| task.agent == agent));
        let after = its.filter(|task| task.was_served() && task.accepted_us >= from_us);
        after.map(|task| task.accepted_us).min().map(|at| seconds(from_us, at))
    }
}

/// The number that the framework has.
fn framework(lines: &[Line]) -> Option<u64> {
    lines.iter().find_map(|line| match line.entry {
        Entry::Subscribed { framework, .. } => Some(framework),
        _ => None,
    })
}

/// What went wrong with the sessions as a whole.
fn sessions(lines: &[Line]) -> Vec<String> {
    let mut faults: Vec<String> = lines
        .iter()
        .filter_map(|line| match &line.entry {
            Entry::Over { why } => Some(format!("the framework was turned away: {why}")),
            _ => None,
        })
        .collect();
    let mut ids = lines.iter().filter_map(|line| match &line.entry {
        Entry::Subscribed { cluster, framework } => Some((cluster, framework)),
        _ => None,
    });
    let first = ids.next();
    if ids.any(|id| Some(id) != first) {
        faults.push("the framework came back under another id".to_owned());
    }
    if !matches!(lines.last(), Some(Line { entry: Entry::Done { .. }, .. })) {
        faults.push(format!("the record does not end with the recorder's end: {:?}", lines.last()));
    }
    faults
}

/// Updates that a master made after a later master had spoken.
fn stale_masters(lines: &[Line]) -> Vec<String> {
    let mut latest = 0;
    let mut faults = Vec::new();
    for line in lines {
        let Entry::Update(Heard { update, task, state, .. }) = &line.entry else { continue };
        if !UpdateId(*update).is_by_master() {
            continue;
        }
        let epoch = (update & !(1 << 63)) >> 40;
        if epoch < latest {
            faults.push(format!("task {task} was told {state} by the master of epoch {epoch}, after one of {latest}"));
        }
        latest = latest.max(epoch);
    }
    faults
}

/// Seconds between two times in microseconds.
pub(crate) fn seconds(from_us: u64, to_us: u64) -> f64 {
    to_us.saturating_sub(from_us) as f64 / 1e6
}
