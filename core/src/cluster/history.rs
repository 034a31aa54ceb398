//! The tasks that ended last.

use alloc::collections::BTreeMap;

use super::state::Task;
use crate::id::TaskId;

/// Tasks whose end is told and acknowledged, so that questions about them have answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    tasks: BTreeMap<TaskId, (u64, Task)>,
    order: BTreeMap<u64, TaskId>,
    pushed: u64,
}

impl History {
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(|(_, task)| task)
    }

    /// From the one that ended first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.order.values().map(|&id| (id, &self.tasks[&id].1))
    }

    /// Adds one, and drops the oldest when there are more than `max`.
    pub(super) fn push(&mut self, id: TaskId, task: Task, max: usize) {
        if let Some((at, _)) = self.tasks.remove(&id) {
            self.order.remove(&at);
        }
        self.pushed += 1;
        self.tasks.insert(id, (self.pushed, task));
        self.order.insert(self.pushed, id);
        while self.order.len() > max {
            let (_, oldest) = self.order.pop_first().expect("it is longer than its bound");
            self.tasks.remove(&oldest);
        }
    }
}
