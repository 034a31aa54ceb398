//! One task on its agent.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::queue::Queue;
use crate::id::UpdateId;
use crate::life::{HeldLife, Lapse, Prepared};
use crate::lifecycle::TaskEvent;
use crate::stop::Stop;
use crate::task::{Ending, Source, TaskState, TaskStatus, TaskSummary};
use crate::time::Now;

/// Of an update's id, the bits that count within one agent's life: more updates than any task has.
const INCARNATION_SHIFT: u32 = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) summary: TaskSummary,
    pub(super) state: TaskState,
    /// Whether the executor has it: its end is then the executor's to explain.
    pub(super) started: bool,
    /// Why it was asked to end, when it was.
    pub(super) stopped: Option<Stop>,
    /// How it ended, and who says so, until that is made an update.
    pub(super) ending: Option<(Source, Ending)>,
    /// Whether there is something to send at the next flush.
    pub(super) queued: bool,
    /// The last state of which there is an update.
    told: Option<TaskState>,
    pub(super) last_update: UpdateId,
    /// Made and not acknowledged: at most the latest that is not terminal, and the terminal one.
    pending: Vec<Pending>,
    /// When the pending ones are sent again.
    pub(super) retry: Option<Now>,
    /// How long after that once more.
    pub(super) wait: Duration,
    /// When it was received, unless by an earlier agent.
    received: Option<Now>,
    /// What was done then before it could run.
    prepared: Prepared,
    /// How long after it was received it began to run.
    started_after: Option<Lapse>,
    /// Of an allocation, its queue.
    pub(super) queue: Option<Box<Queue>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    status: TaskStatus,
    sent: bool,
}

impl Task {
    pub(super) fn new(summary: TaskSummary) -> Self {
        Self {
            summary,
            state: TaskState::Staging,
            started: false,
            stopped: None,
            ending: None,
            queued: false,
            told: None,
            last_update: UpdateId::UNACKNOWLEDGED,
            pending: Vec::new(),
            retry: None,
            wait: Duration::ZERO,
            received: None,
            prepared: Prepared::default(),
            started_after: None,
            queue: None,
        }
    }

    pub(super) fn received(summary: TaskSummary, now: Now) -> Self {
        Self { received: Some(now), ..Self::new(summary) }
    }

    /// A task that an earlier agent launched. Its updates have ids that none of that agent's can have, so that a late
    /// acknowledgement of an old one does not pass for one of a new.
    pub(super) fn recovered(summary: TaskSummary, incarnation: u32) -> Self {
        Self {
            state: TaskState::Starting,
            last_update: UpdateId(u64::from(incarnation) << INCARNATION_SHIFT),
            ..Self::new(summary)
        }
    }

    pub(super) fn is_prepared(&mut self, now: Now, what: impl FnOnce(&mut Prepared) -> &mut Option<Lapse>) {
        if let Some(received) = self.received {
            what(&mut self.prepared).get_or_insert(now.since(received).into());
        }
    }

    pub(super) fn starts(&mut self, now: Now) {
        let after = self.received.map(|received| now.since(received).into());
        self.started_after = self.started_after.or(after);
    }

    /// When what became of it, for a master that did not send it.
    pub(super) fn life(&self, now: Now) -> Option<HeldLife> {
        let age = now.since(self.received?).into();
        Some(HeldLife { age, prepared: self.prepared, started: self.started_after })
    }

    /// Moves on, unless the news comes too late or twice.
    pub(super) fn transition(&mut self, event: TaskEvent) -> bool {
        match self.state.next(event) {
            Some(next) => {
                self.state = next;
                true
            }
            None => false,
        }
    }

    /// It is here and has not started. Most tasks start at once, and that is the first that is told of them.
    pub(super) fn arrived(&mut self) -> bool {
        self.transition(TaskEvent::Reported(TaskState::Starting))
    }

    /// Makes the update that tells of the present state, if that is news worth telling.
    pub(super) fn tell(&mut self) {
        // The master knows that it was launched, and whoever asked for its end that it was asked for.
        if self.told == Some(self.state) || matches!(self.state, TaskState::Staging | TaskState::Killing) {
            return;
        }
        self.told = Some(self.state);
        self.last_update = UpdateId(self.last_update.0 + 1);
        let status = match self.ending.take() {
            Some((source, ending)) => TaskStatus::ended(self.summary.id, self.last_update, source, ending),
            None => TaskStatus::new(self.summary.id, self.last_update, self.state, Source::Agent),
        };
        let status = TaskStatus { prepared: self.prepared, ..status };
        if !self.state.is_terminal() {
            self.pending.clear();
        }
        self.pending.push(Pending { status, sent: false });
    }

    /// Keeps of an ended task no update but that of its end: a registration that tells of the end comes before it.
    pub(super) fn drop_superseded(&mut self) {
        if self.state.is_terminal() {
            self.pending.retain(|pending| pending.status.state.is_terminal());
        }
    }

    /// What was not sent yet, or is to be sent again; now it is sent.
    pub(super) fn take_unsent(&mut self) -> impl Iterator<Item = TaskStatus> {
        self.pending.iter_mut().filter(|pending| !pending.sent).map(|pending| {
            pending.sent = true;
            pending.status.clone()
        })
    }

    /// Has everything that is pending sent again.
    pub(super) fn forget_sent(&mut self) {
        for pending in &mut self.pending {
            pending.sent = false;
        }
        if let Some(queue) = &mut self.queue {
            queue.forget_sent();
        }
    }

    /// Has everything that is pending sent again, with the patience of a first try.
    pub(super) fn start_over(&mut self) {
        self.retry = None;
        self.wait = Duration::ZERO;
        self.forget_sent();
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.queue.as_ref().is_some_and(|queue| queue.has_pending())
    }

    /// Takes note of an acknowledgement, which covers every update up to its own. One of an update that was never
    /// made is ignored.
    pub(super) fn acknowledge(&mut self, update: UpdateId) {
        if update <= self.last_update {
            self.pending.retain(|pending| pending.status.update > update);
            // Most of a task's life there are none, and an agent holds a hundred thousand tasks.
            self.pending.shrink_to_fit();
        }
    }

    /// Whether it is an allocation in which nothing runs and that is to end.
    pub(super) fn is_over(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.live == 0 && (self.stopped.is_some() || queue.is_closing()))
    }

    /// Whether its end is told and acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.state.is_terminal() && self.told == Some(self.state) && self.pending.is_empty()
    }
}
