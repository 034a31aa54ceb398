//! What a framework says, on its way out: everything that is queued goes in one message.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use haggle_core::cluster::FrameworkCommand;
use haggle_proto::{MESSAGE_MAX, v1};
use tokio::sync::mpsc;

use crate::task::wire_size;

/// Commands that wait to be sent. A framework that is this far ahead of its connection has to wait for it.
pub(crate) const QUEUE_MAX: usize = 1024;

/// Calls in one message. Above this, latency grows and throughput no longer does.
const BATCH_MAX: usize = 256;

/// A message is closed once it holds this much, so that one more call cannot take it over [`MESSAGE_MAX`].
const MESSAGE_FULL: usize = MESSAGE_MAX / 4;

/// The queue of commands, which outlives the sessions it is sent on.
#[derive(Debug)]
pub(crate) struct Queue {
    commands: Mutex<mpsc::Receiver<FrameworkCommand>>,
    /// The session that may take from it: a stream of an earlier one, not dropped yet, must not.
    session: AtomicU64,
    leaving: AtomicBool,
}

impl Queue {
    pub(crate) fn new(commands: mpsc::Receiver<FrameworkCommand>) -> Self {
        Self { commands: Mutex::new(commands), session: AtomicU64::new(0), leaving: AtomicBool::new(false) }
    }

    /// Nothing will be sent any more.
    pub(crate) fn close(&self) {
        self.locked().close();
    }

    /// Whether the end of a session is what the framework wants: it said so, or nobody is left to speak for it.
    pub(crate) fn is_over(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.locked().is_closed()
    }

    fn locked(&self) -> MutexGuard<'_, mpsc::Receiver<FrameworkCommand>> {
        // A receiver is sound whatever happened to another holder of the lock.
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session's outgoing stream.
pub(crate) struct Outbox {
    queue: Arc<Queue>,
    session: u64,
    taken: Vec<FrameworkCommand>,
    torn_down: bool,
}

impl Outbox {
    /// Begins the next session, whose first message is `opening`.
    pub(crate) fn begin(queue: &Arc<Queue>, opening: Vec<FrameworkCommand>) -> Self {
        let session = queue.session.fetch_add(1, Ordering::AcqRel) + 1;
        Self { queue: Arc::clone(queue), session, taken: opening, torn_down: false }
    }

    fn is_current(&self) -> bool {
        self.queue.session.load(Ordering::Acquire) == self.session
    }
}

impl Stream for Outbox {
    type Item = v1::FrameworkCalls;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.torn_down || !this.is_current() {
            return Poll::Ready(None);
        }
        if this.taken.is_empty() {
            let Self { queue, taken, .. } = this;
            if ready!(queue.locked().poll_recv_many(cx, taken, BATCH_MAX)) == 0 {
                return Poll::Ready(None);
            }
        }
        let batch = one_message(&mut this.taken);
        if matches!(batch.last(), Some(FrameworkCommand::Teardown)) {
            this.torn_down = true;
            this.queue.leaving.store(true, Ordering::Release);
        }
        Poll::Ready(Some(v1::FrameworkCalls { calls: batch.into_iter().map(Into::into).collect() }))
    }
}

/// Takes what fits into one message from the front; neighbouring acknowledgements become one. Nothing follows a
/// teardown.
fn one_message(taken: &mut Vec<FrameworkCommand>) -> Vec<FrameworkCommand> {
    let mut size = 0;
    let mut count = 0;
    for command in taken.iter() {
        size += command_size(command);
        count += 1;
        if size >= MESSAGE_FULL || matches!(command, FrameworkCommand::Teardown) {
            break;
        }
    }
    let mut batch: Vec<FrameworkCommand> = Vec::with_capacity(count);
    for command in taken.drain(..count) {
        match (batch.last_mut(), command) {
            (Some(FrameworkCommand::Acknowledge(before)), FrameworkCommand::Acknowledge(more)) => before.extend(more),
            (_, command) => batch.push(command),
        }
    }
    batch
}

fn command_size(command: &FrameworkCommand) -> usize {
    /// Two ids and a number, as varints with their tags.
    const ID_SIZE: usize = 32;
    match command {
        FrameworkCommand::Accept { tasks, .. } => tasks.iter().map(|task| wire_size(task)).sum(),
        FrameworkCommand::Acknowledge(updates) => updates.len() * ID_SIZE,
        FrameworkCommand::Reconcile(tasks) => tasks.len() * ID_SIZE,
        _ => ID_SIZE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{FrameworkId, TaskId, UpdateId};

    fn ack(number: u64) -> FrameworkCommand {
        let task = TaskId { framework: FrameworkId(1), number };
        FrameworkCommand::Acknowledge(vec![(task, UpdateId(1))])
    }

    #[test]
    fn neighbouring_acknowledgements_become_one() {
        let mut taken = vec![ack(1), ack(2), FrameworkCommand::Revive, ack(3)];

        let batch = one_message(&mut taken);

        assert!(taken.is_empty());
        assert_eq!(batch.len(), 3);
        assert!(matches!(&batch[0], FrameworkCommand::Acknowledge(updates) if updates.len() == 2));
    }

    #[test]
    fn nothing_follows_a_teardown() {
        let mut taken = vec![ack(1), FrameworkCommand::Teardown, FrameworkCommand::Revive];

        let batch = one_message(&mut taken);

        assert_eq!(batch.last(), Some(&FrameworkCommand::Teardown));
        assert_eq!(taken, [FrameworkCommand::Revive]);
    }
}
