//! The queue of one allocation: what is in it, and the news of it until they are acknowledged.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::task::Task;
use crate::id::{AgentId, TaskId, UpdateId};
use crate::queue::{AllocationSpec, QueueEnd, QueueUpdate, Shape};
use crate::task::{Ending, Source, TaskState};
use crate::time::Now;

/// Ends in one update, which is some 100 KiB: few enough that it goes into any message.
const ENDS_MAX: usize = 2048;

/// The queue of an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) idle_timeout: Duration,
    /// Its framework has said that no more tasks follow.
    pub(super) last: bool,
    /// Tasks in it that have not ended.
    pub(super) live: u64,
    /// When it closes unless more come, while there is nothing in it.
    pub(super) idle_until: Option<Now>,
    /// It has been idle for too long.
    pub(super) timed_out: bool,
    /// Its executor is gone: how the allocation ends.
    pub(super) broken: Option<Ending>,
    /// Of which no update was made.
    started: Vec<u64>,
    ended: Vec<QueueEnd>,
    /// Made and not acknowledged.
    pending: VecDeque<Pending>,
    /// To be sent once, and not kept.
    passing: Vec<Arc<QueueUpdate>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    update: Arc<QueueUpdate>,
    sent: bool,
}

/// What is known of each task of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// The number of its allocation.
    pub(super) allocation: u64,
    pub(super) shape: Arc<Shape>,
    pub(super) stands: TaskState,
}

impl Queued {
    /// The allocation in whose queue this task is.
    pub(super) fn of(&self, id: TaskId) -> TaskId {
        TaskId { number: self.allocation, ..id }
    }
}

impl Queue {
    pub(super) fn new(spec: &AllocationSpec) -> Self {
        Self {
            idle_timeout: spec.idle_timeout,
            last: false,
            live: 0,
            idle_until: None,
            timed_out: false,
            broken: None,
            started: Vec::new(),
            ended: Vec::new(),
            pending: VecDeque::new(),
            passing: Vec::new(),
        }
    }

    pub(super) fn has_started(&mut self, number: u64) {
        self.started.push(number);
    }

    pub(super) fn has_ended(&mut self, end: QueueEnd) {
        self.ended.push(end);
    }

    /// Whether it ends as soon as nothing runs in it.
    pub(super) fn is_closing(&self) -> bool {
        self.last || self.timed_out || self.broken.is_some()
    }

    /// Whether every end in it is acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.ended.is_empty() && self.pending.is_empty()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn forget_sent(&mut self) {
        for pending in &mut self.pending {
            pending.sent = false;
        }
    }

    /// What was not sent yet, or is to be sent again. True when some of it is to be acknowledged.
    pub(super) fn take_unsent(&mut self, into: &mut Vec<Arc<QueueUpdate>>) -> bool {
        let before = into.len();
        for pending in self.pending.iter_mut().filter(|pending| !pending.sent) {
            pending.sent = true;
            into.push(Arc::clone(&pending.update));
        }
        let has_ends = into.len() > before;
        into.append(&mut self.passing);
        has_ends
    }

    /// What updates that are not acknowledged tell of: first, count, how, and which update.
    pub(super) fn told(&self) -> impl Iterator<Item = (u64, u64, TaskState, UpdateId)> {
        let updates = self.pending.iter().map(|pending| &pending.update);
        updates
            .flat_map(|update| update.ended.iter().map(|end| (end.first, end.count, end.ending.state, update.update)))
    }

    /// Takes note of an acknowledgement, which covers every update up to its own. What was in them.
    pub(super) fn acknowledge(&mut self, up_to: UpdateId) -> Vec<Arc<QueueUpdate>> {
        let covered = self.pending.iter().take_while(|pending| pending.update.update <= up_to).count();
        self.pending.drain(..covered).map(|pending| pending.update).collect()
    }
}

/// How many of these ends the executor has told: those it keeps until it hears that they are settled.
pub(super) fn of_executor(ended: &[QueueEnd]) -> u64 {
    ended.iter().filter(|end| end.source == Source::Executor).map(|end| end.count).sum()
}

impl Task {
    /// Makes the updates that tell of what is new in its queue. News of starts go along with the next ends, and are not kept.
    pub(super) fn tell_queue(&mut self, agent: Option<AgentId>) {
        let allocation = self.summary.id;
        let Some(queue) = &mut self.queue else { return };
        let mut started = core::mem::take(&mut queue.started);
        let mut ended = core::mem::take(&mut queue.ended);
        while ended.len() > ENDS_MAX {
            let rest = ended.split_off(ENDS_MAX);
            let ended = core::mem::replace(&mut ended, rest);
            self.last_update = UpdateId(self.last_update.0 + 1);
            let update = QueueUpdate { allocation, update: self.last_update, agent, started: Vec::new(), ended };
            queue.pending.push_back(Pending { update: Arc::new(update), sent: false });
        }
        if !ended.is_empty() {
            self.last_update = UpdateId(self.last_update.0 + 1);
            let started = core::mem::take(&mut started);
            let update = QueueUpdate { allocation, update: self.last_update, agent, started, ended };
            queue.pending.push_back(Pending { update: Arc::new(update), sent: false });
        } else if !started.is_empty() {
            let update = UpdateId::UNACKNOWLEDGED;
            queue.passing.push(Arc::new(QueueUpdate { allocation, update, agent, started, ended }));
        }
    }
}
