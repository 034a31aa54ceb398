//! The queue in front of the driver.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::Notify;

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
    filled: Condvar,
    emptied: Notify,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()), filled: Condvar::new(), emptied: Notify::new() }
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

    /// Moves everything that waits into `batch`, which is empty. Blocks while there is nothing, until the deadline.
    pub(crate) fn take(&self, batch: &mut Vec<T>, deadline: Option<Instant>) {
        let mut waiting = self.lock();
        while waiting.is_empty() {
            let wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            waiting = match wait {
                Some(wait) if wait.is_zero() => return,
                Some(wait) => self.filled.wait_timeout(waiting, wait).expect(NEVER_POISONED).0,
                None => self.filled.wait(waiting).expect(NEVER_POISONED),
            };
        }
        mem::swap(&mut *waiting, batch);
        drop(waiting);
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

    fn take(inbox: &Inbox<usize>) -> Vec<usize> {
        let mut batch = Vec::new();
        inbox.take(&mut batch, Some(Instant::now()));
        batch
    }

    #[test]
    fn everything_that_waits_comes_at_once_and_in_order() {
        let inbox = Inbox::new();
        for number in 0..5 {
            inbox.push(number);
        }

        assert_eq!(take(&inbox), [0, 1, 2, 3, 4]);
        assert!(take(&inbox).is_empty());
    }

    #[test]
    fn a_message_wakes_the_driver() {
        let inbox = Arc::new(Inbox::new());
        let driver = std::thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                let mut batch = Vec::new();
                inbox.take(&mut batch, None);
                batch
            }
        });

        inbox.push(7);

        assert_eq!(driver.join().unwrap(), [7]);
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let inbox = Inbox::<usize>::new();
        let mut batch = Vec::new();

        inbox.take(&mut batch, Some(Instant::now() + Duration::from_millis(1)));

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
        tokio::task::yield_now().await;
        assert!(!late.is_finished());

        assert_eq!(take(&inbox).len(), ROOM);

        late.await.unwrap();
        assert_eq!(take(&inbox), [ROOM]);
    }
}
