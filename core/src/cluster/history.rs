//! The tasks that ended last.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::queued::Queued;
use super::state::Task;
use crate::access::Tenant;
use crate::id::TaskId;
use crate::queue::{QueueUpdate, Shape};
use crate::runs::Run;
use crate::task::TaskStatus;

/// Tasks whose end is told and acknowledged, so that questions about them have answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    tasks: BTreeMap<TaskId, (u64, Box<Task>)>,
    order: BTreeMap<u64, TaskId>,
    pushed: u64,
    /// Of tasks that were in queues, which are not among `tasks`: they end too fast to be looked at one by one.
    queues: VecDeque<EndedQueued>,
    /// How many tasks those are.
    queued: usize,
}

/// Tasks of a queue whose ends were told and acknowledged together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndedQueued {
    pub(super) tenant: Arc<Tenant>,
    pub(super) update: Arc<QueueUpdate>,
    pub(super) runs: Vec<Run<Queued>>,
}

impl EndedQueued {
    /// What is known of one of them.
    pub(super) fn find(&self, id: TaskId) -> Option<(&Shape, TaskStatus)> {
        let run = self.runs.iter().find(|run| run.first <= id && id <= run.last())?;
        Some((&run.value.shape, self.update.end_of(id)?))
    }

    fn tasks(&self) -> usize {
        self.runs.iter().map(|run| usize::try_from(run.count).unwrap_or(usize::MAX)).sum()
    }
}

impl History {
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(|(_, task)| &**task)
    }

    /// The first of these that is remembered.
    pub(super) fn first_in(&self, first: TaskId, last: TaskId) -> Option<(TaskId, &Task)> {
        self.tasks.range(first..=last).next().map(|(&id, (_, task))| (id, &**task))
    }

    /// From the one that ended first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.order.values().map(|&id| (id, &*self.tasks[&id].1))
    }

    /// One that was in a queue, and whose it was.
    pub(super) fn queued(&self, id: TaskId) -> Option<(&Arc<Tenant>, &Shape, TaskStatus)> {
        let ended = self.queues.iter().filter(|ended| ended.update.allocation.framework == id.framework);
        ended.rev().find_map(|ended| ended.find(id).map(|(shape, status)| (&ended.tenant, shape, status)))
    }

    /// Adds some that were in a queue, and drops the oldest when there are more than `max`.
    pub(super) fn push_queued(&mut self, ended: EndedQueued, max: usize) {
        self.queued += ended.tasks();
        self.queues.push_back(ended);
        while self.queued > max
            && let Some(oldest) = self.queues.pop_front()
        {
            self.queued -= oldest.tasks();
        }
    }

    /// Adds one, and drops the oldest when there are more than `max`.
    pub(super) fn push(&mut self, id: TaskId, task: Box<Task>, max: usize) {
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
