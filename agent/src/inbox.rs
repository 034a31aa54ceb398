//! The queue in front of the driver.

use std::mem;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// Messages waiting above which the master's orders are left on the wire, where flow control slows it down. Some
/// tenth of a second of work.
const ROOM: usize = 4096;

/// Everything that waits for the driver, in order of arrival.
///
/// Orders of the master wait for room. Nothing else does, because it is bounded by what it is about: two messages a
/// task from the executor, one a digest from the fetcher, two from the compiler.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    waiting: Mutex<Vec<T>>,
    filled: Notify,
    emptied: Notify,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()), filled: Notify::new(), emptied: Notify::new() }
    }

    /// Adds one message, from any thread, at once.
    pub(crate) fn push(&self, message: T) {
        self.extend(self.lock(), [message]);
    }

    /// Adds messages in one go, from any thread, at once.
    pub(crate) fn push_all(&self, messages: Vec<T>) {
        if !messages.is_empty() {
            self.extend(self.lock(), messages);
        }
    }

    /// Adds messages in one go as soon as there is room.
    pub(crate) async fn push_when_room(&self, messages: Vec<T>) {
        loop {
            {
                let waiting = self.lock();
                if waiting.len() < ROOM {
                    return self.extend(waiting, messages);
                }
            }
            self.emptied.notified().await;
        }
    }

    /// Moves everything that waits into `batch`, which is empty. While there is nothing, waits for it, until the deadline. Where
    /// something waits already, whoever else has work on this thread has a turn first.
    pub(crate) async fn take(&self, batch: &mut Vec<T>, deadline: Option<Instant>) {
        if !self.lock().is_empty() {
            yield_now().await;
        }
        while self.lock().is_empty() {
            let filled = self.filled.notified();
            let Some(deadline) = deadline else {
                filled.await;
                continue;
            };
            if timeout_at(deadline, filled).await.is_err() {
                return;
            }
        }
        mem::swap(&mut *self.lock(), batch);
        if batch.len() >= ROOM {
            self.emptied.notify_one();
        }
    }

    fn extend(&self, mut waiting: MutexGuard<'_, Vec<T>>, messages: impl IntoIterator<Item = T>) {
        let was_empty = waiting.is_empty();
        waiting.extend(messages);
        let wake = was_empty && !waiting.is_empty();
        drop(waiting);
        // The driver sleeps only on an empty queue.
        if wake {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.waiting.lock().expect(NEVER_POISONED)
    }
}

const NEVER_POISONED: &str = "nothing panics while it holds this lock";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    async fn take(inbox: &Inbox<usize>) -> Vec<usize> {
        let mut batch = Vec::new();
        inbox.take(&mut batch, Some(Instant::now())).await;
        batch
    }

    #[tokio::test]
    async fn everything_that_waits_comes_at_once_and_in_order() {
        let inbox = Inbox::new();
        for number in 0..5 {
            inbox.push(number);
        }

        assert_eq!(take(&inbox).await, [0, 1, 2, 3, 4]);
        assert!(take(&inbox).await.is_empty());
    }

    #[tokio::test]
    async fn a_message_of_any_thread_wakes_the_driver() {
        let inbox = Arc::new(Inbox::new());
        let taking = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move {
                let mut batch = Vec::new();
                inbox.take(&mut batch, None).await;
                batch
            }
        });
        yield_now().await;

        std::thread::spawn(move || inbox.push(7));

        assert_eq!(taking.await.unwrap(), [7]);
    }

    #[tokio::test]
    async fn whoever_else_has_work_has_a_turn_before_what_waits_is_taken() {
        let inbox = Arc::new(Inbox::new());
        inbox.push(1);
        let other = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.push(2) }
        });

        assert_eq!(take(&inbox).await, [1, 2]);
        other.await.unwrap();
    }

    #[tokio::test]
    async fn a_deadline_ends_the_wait() {
        let inbox = Inbox::<usize>::new();
        let mut batch = Vec::new();

        inbox.take(&mut batch, Some(Instant::now() + Duration::from_millis(1))).await;

        assert!(batch.is_empty());
    }

    #[tokio::test]
    async fn orders_wait_for_room() {
        let inbox = Arc::new(Inbox::new());
        inbox.push_when_room((0..ROOM).collect()).await;
        let late = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.push_when_room(vec![ROOM]).await }
        });
        yield_now().await;
        assert!(!late.is_finished());

        assert_eq!(take(&inbox).await.len(), ROOM);

        late.await.unwrap();
        assert_eq!(take(&inbox).await, [ROOM]);
    }
}
