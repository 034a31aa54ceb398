//! What whoever watches is told of tasks in queues: many at once, as runs of neighbours or as their agent told it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::iter;

use super::QueueUpdate;
use crate::id::{AgentId, TaskId, UpdateId};
use crate::task::{Reason, Source, TaskState, TaskStatus};

/// Where tasks in the queue of one allocation stand now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueNews {
    /// Neighbours that stand alike, and have not ended.
    Run(QueueRun),
    /// First those that have begun, then those that have ended.
    Told(Arc<QueueUpdate>),
}

/// Consecutive tasks in the queue of an allocation that stand alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRun {
    /// Which allocation.
    pub allocation: TaskId,
    /// Where that is.
    pub agent: AgentId,
    /// The number of the first of them.
    pub first: u64,
    /// How many there are; at least one.
    pub count: u64,
    /// Where each of them stands.
    pub state: TaskState,
    /// Why, where that is not plain.
    pub reason: Option<Reason>,
    /// One line for people, or nothing.
    pub message: String,
}

impl QueueRun {
    /// The run with these behind it, if they are its neighbours and stand as it does.
    pub(crate) fn joins(&mut self, next: &Self) -> bool {
        let is_next = self.first.checked_add(self.count) == Some(next.first) && self.allocation == next.allocation;
        let joins = is_next && (self.agent, self.state, self.reason) == (next.agent, next.state, next.reason);
        if joins {
            self.count += next.count;
        }
        joins
    }
}

impl QueueNews {
    /// Which allocation.
    pub fn allocation(&self) -> TaskId {
        match self {
            Self::Run(run) => run.allocation,
            Self::Told(update) => update.allocation,
        }
    }

    /// How many tasks stand elsewhere than before.
    pub fn tasks(&self) -> u64 {
        match self {
            Self::Run(run) => run.count,
            Self::Told(update) => {
                let began = update.started.len() as u64;
                update.ended.iter().fold(began, |sum, end| sum.saturating_add(end.count))
            }
        }
    }

    /// About how many entries it takes in memory and on the wire: a run is one, however long it is.
    pub fn entries(&self) -> usize {
        match self {
            Self::Run(_) => 1,
            Self::Told(update) => update.started.len() + update.ended.len(),
        }
    }

    /// The same as the status of each task. None of them is to be acknowledged.
    pub fn statuses(self) -> Box<dyn Iterator<Item = TaskStatus> + Send> {
        match self {
            Self::Run(run) => Box::new(statuses_of(run)),
            Self::Told(update) => {
                let (allocation, agent, told) = (update.allocation, update.agent, Arc::clone(&update));
                let began = (0..told.started.len()).map(move |nth| {
                    let task = TaskId { number: told.started[nth], ..allocation };
                    let began = TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, TaskState::Running, Source::Executor);
                    TaskStatus { agent, ..began }
                });
                let ended = iter::once(update).flat_map(|update| Arc::unwrap_or_clone(update).ends());
                Box::new(began.chain(ended))
            }
        }
    }
}

fn statuses_of(run: QueueRun) -> impl Iterator<Item = TaskStatus> {
    let QueueRun { allocation, agent, first, count, state, reason, message } = run;
    (first..first.saturating_add(count)).map(move |number| {
        let task = TaskId { number, ..allocation };
        let stands = TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, state, Source::Master);
        TaskStatus { agent: Some(agent), reason, message: message.clone(), ..stands }
    })
}
