//! Tasks in the queues of allocations, batch by batch: they need the same, and are ended one by one or together.

use std::collections::BTreeSet;

use haggle_core::queue::Index;
use haggle_core::{QueueEnd, QueuedTasks, Reason, Source, Stop, TaskId, TaskState};
use haggle_executor::process::HeldBatch;

use super::{KILLED, NeverQueued, Runner, Runs};

/// Tasks of one kind in the queue of an allocation.
pub(super) struct Batch {
    pub(super) allocation: TaskId,
    pub(super) index: Option<Index>,
    pub(super) count: u64,
    /// How many have not ended.
    pub(super) left: u64,
    /// Those that were killed before the batch came to an executor, by their place in it.
    left_out: BTreeSet<u64>,
}

impl<E: Runs> Runner<E> {
    /// Ends one task in the queue of an allocation. Gives it back at once when its batch had not come to an executor.
    #[must_use]
    pub(crate) fn stop_queued(&mut self, allocation: TaskId, task: TaskId) -> Option<NeverQueued> {
        let waits = self.batch_of(task).filter(|first| self.waiting(*first).is_some());
        let Some(first) = waits else {
            self.executor.kill_queued(allocation, task);
            return None;
        };
        let batch = self.batches.get_mut(&first)?;
        batch.left_out.insert(task.number - first.number);
        Some(NeverQueued { allocation, ended: vec![killed(task.number, 1)] })
    }

    /// Ends every task in the queue of an allocation. Gives those back at once whose batches had not come to an executor.
    #[must_use]
    pub(crate) fn stop_queue(&mut self, allocation: TaskId, why: Stop) -> Vec<NeverQueued> {
        self.executor.kill(allocation, why);
        let its = self.batches.iter().filter(|(_, batch)| batch.allocation == allocation);
        let its: Vec<TaskId> = its.map(|(&first, _)| first).collect();
        let mut ended = Vec::new();
        for first in its {
            if self.waiting(first).is_some() && self.forget(first).is_some() {
                let batch = self.batches.remove(&first).expect("it was just there");
                let never_ran = batch.never_ran(first, TaskState::Killed, Reason::KilledDuringLaunch, KILLED);
                self.trace_never_ran(first, &never_ran);
                ended.push(never_ran);
            }
        }
        ended
    }

    /// Tasks in the queue of an allocation have ended: with the last of its batch, what they held may go.
    pub(crate) fn queued_ended(&mut self, task: TaskId, count: u64) {
        let Some(first) = self.batch_of(task) else { return };
        let Some(batch) = self.batches.get_mut(&first) else { return };
        batch.left = batch.left.saturating_sub(count);
        if batch.left == 0 {
            self.batches.remove(&first);
            self.forget_batch_trace(first);
            self.forget(first);
        }
    }

    /// An allocation is no more, nor its queue.
    pub(crate) fn forget_queue(&mut self, allocation: TaskId) {
        let its = self.batches.extract_if(.., |_, batch| batch.allocation == allocation);
        let its: Vec<TaskId> = its.map(|(first, _)| first).collect();
        for first in its {
            self.forget_batch_trace(first);
            self.forget(first);
        }
    }

    /// A batch that an earlier agent put into the queue of an allocation, of which so many have not ended. Whether it has inputs
    /// is not known.
    pub(crate) fn recovered_batch(&mut self, allocation: TaskId, HeldBatch { first, left }: HeldBatch) {
        let first = TaskId { number: first, ..allocation };
        let count = u64::from(QueuedTasks::MAX);
        self.batches.insert(first, Batch::new(allocation, None, count, left));
        self.recovered(first);
    }

    pub(super) fn trace_never_ran(&mut self, first: TaskId, never_ran: &NeverQueued) {
        if let Some(traces) = &mut self.traces {
            never_ran.ended.iter().for_each(|end| traces.queued_ended(first, end));
            traces.forget_batch(first);
        }
    }

    fn forget_batch_trace(&mut self, first: TaskId) {
        if let Some(traces) = &mut self.traces {
            traces.forget_batch(first);
        }
    }

    /// Tasks in the queue of an allocation have ended so, of which [`Self::queued_ended`] is not told yet.
    pub(crate) fn trace_queued(&mut self, allocation: TaskId, ended: &[QueueEnd]) {
        if self.traces.is_none() {
            return;
        }
        for end in ended {
            let first = self.batch_of(TaskId { number: end.first, ..allocation });
            if let (Some(first), Some(traces)) = (first, &mut self.traces) {
                traces.queued_ended(first, end);
            }
        }
    }

    /// The first task of the batch that a task is of.
    pub(super) fn batch_of(&self, task: TaskId) -> Option<TaskId> {
        let (&first, batch) = self.batches.range(..=task).next_back()?;
        (first.framework == task.framework && task.number - first.number < batch.count).then_some(first)
    }
}

fn killed(first: u64, count: u64) -> QueueEnd {
    QueueEnd::never_ran(first, count, Source::Agent, TaskState::Killed, Reason::KilledDuringLaunch, KILLED)
}

impl Batch {
    pub(super) fn new(allocation: TaskId, index: Option<Index>, count: u64, left: u64) -> Self {
        Self { allocation, index, count, left, left_out: BTreeSet::new() }
    }

    /// What is not left out: from which place on, and how many.
    pub(super) fn rest(&self) -> Vec<(u64, u64)> {
        let mut rest = Vec::new();
        let mut at = 0;
        for &hole in self.left_out.iter().chain([&self.count]) {
            rest.extend((at < hole).then(|| (at, hole - at)));
            at = hole + 1;
        }
        rest
    }

    /// None of those that are left came to an executor.
    pub(super) fn never_ran(&self, first: TaskId, state: TaskState, reason: Reason, message: &str) -> NeverQueued {
        let end = |(at, count)| QueueEnd::never_ran(first.number + at, count, Source::Agent, state, reason, message);
        NeverQueued { allocation: self.allocation, ended: self.rest().into_iter().map(end).collect() }
    }
}
