//! What waits to be sent on one session: put in by whoever has something to say, taken by the session's stream as it can send.
//!
//! Nobody who puts something in waits for the peer. A peer that does not read is cut off when too much waits for it.

mod backlog;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::vec::IntoIter;

use futures_util::Stream;
use tonic::Status;

use crate::weight::Weigh;
use backlog::Backlog;

pub use backlog::{FellBehind, Level, Limits};

/// A new session's outbox and the stream that empties it.
pub fn outbox<T: Weigh>(limits: Limits) -> (Outbox<T>, Mail<T>) {
    let state = State { backlog: Backlog::new(limits), end: End::Open, is_cut_off: false, reader: None, watcher: None };
    let shared = Arc::new(Shared { message: limits.message, state: Mutex::new(state) });
    (Outbox(Arc::clone(&shared)), Mail { shared, rest: Vec::new().into_iter() })
}

/// Where items for one peer are put. Clones put them into the same one.
#[derive(Debug)]
pub struct Outbox<T>(Arc<Shared<T>>);

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Weigh> Outbox<T> {
    /// Puts in a whole batch, which leaves as one message unless it is very large. The batch is empty afterwards. When the session
    /// has ended already, it is forgotten.
    ///
    /// # Errors
    /// When too much waits already. The session is then over, and what waited is dropped.
    pub fn put(&self, batch: &mut Vec<T>) -> Result<(), FellBehind> {
        let bytes = backlog::divide(batch, self.0.message);
        if batch.is_empty() {
            return Ok(());
        }
        let done = self.add(|backlog| backlog.put(batch, bytes));
        batch.clear();
        done
    }

    /// Puts in one item that is not to be divided.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn push(&self, item: T) -> Result<(), FellBehind> {
        let bytes = item.weight();
        self.add(|backlog| backlog.push(item, bytes))
    }

    fn add(&self, into: impl FnOnce(&mut Backlog<T>) -> Result<(), FellBehind>) -> Result<(), FellBehind> {
        let mut state = lock(&self.0);
        if !matches!(state.end, End::Open) {
            return Ok(());
        }
        if let Err(behind) = into(&mut state.backlog) {
            finish(state, End::Failed(Status::resource_exhausted("cut off: what was sent was not read in time")));
            return Err(behind);
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }
}

impl<T> Outbox<T> {
    /// Ends the session after what was put in before.
    pub fn close(&self) {
        finish(lock(&self.0), End::Closed);
    }

    /// Ends the session at once; what waits is dropped, and `status` is the last word.
    pub fn fail(&self, status: Status) {
        finish(lock(&self.0), End::Failed(status));
    }

    /// Whether the session goes on, and one more item that weighs next to nothing finds room.
    pub fn has_room(&self) -> bool {
        let state = lock(&self.0);
        matches!(state.end, End::Open) && state.backlog.has_room(1, 0)
    }

    /// What was put in and not taken yet.
    pub fn level(&self) -> Level {
        lock(&self.0).backlog.level()
    }

    /// Resolves when the session is over from this side, or the peer has gone. One caller at a time, of this and
    /// [`Self::cut_off`].
    pub async fn ended(&self) {
        self.watch(|state| !matches!(state.end, End::Open)).await;
    }

    /// Resolves when this side has ended the session at once, because the peer fell behind or with [`Self::fail`]. One caller at a
    /// time, of this and [`Self::ended`].
    pub async fn cut_off(&self) {
        self.watch(|state| state.is_cut_off).await;
    }

    async fn watch(&self, is_over: impl Fn(&State<T>) -> bool) {
        poll_fn(|context| {
            let mut state = lock(&self.0);
            if is_over(&state) {
                return Poll::Ready(());
            }
            state.watcher = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The other end of an [`Outbox`]: a stream of batches, each for one message. After an error nothing follows.
#[derive(Debug)]
pub struct Mail<T> {
    shared: Arc<Shared<T>>,
    /// What was taken out and is too much for one message.
    rest: IntoIter<T>,
}

impl<T: Weigh + Unpin> Stream for Mail<T> {
    type Item = Result<Vec<T>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = self.shared.message;
        if self.rest.len() == 0 {
            let mut state = lock(&self.shared);
            if state.backlog.is_empty() {
                return match mem::replace(&mut state.end, End::Gone) {
                    End::Open => {
                        state.end = End::Open;
                        state.reader = Some(context.waker().clone());
                        Poll::Pending
                    }
                    End::Closed | End::Gone => Poll::Ready(None),
                    End::Failed(status) => Poll::Ready(Some(Err(status))),
                };
            }
            let (waiting, bytes) = state.backlog.take();
            drop(state);
            if bytes <= message {
                return Poll::Ready(Some(Ok(waiting)));
            }
            self.rest = waiting.into_iter();
        }
        Poll::Ready(Some(Ok(backlog::one_message(&mut self.rest, message))))
    }
}

impl<T> Drop for Mail<T> {
    fn drop(&mut self) {
        finish(lock(&self.shared), End::Gone);
    }
}

#[derive(Debug)]
struct Shared<T> {
    /// As [`Limits::message`].
    message: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    backlog: Backlog<T>,
    end: End,
    /// Whether this side ended it at once.
    is_cut_off: bool,
    reader: Option<Waker>,
    watcher: Option<Waker>,
}

#[derive(Debug)]
enum End {
    Open,
    /// After what waits.
    Closed,
    Failed(Status),
    /// Nobody reads any more.
    Gone,
}

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, State<T>> {
    // No code that can panic runs under this lock but allocation.
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first end counts, so that a last word which waits is still said; but nothing is said to a peer that has
/// gone.
fn finish<T>(mut state: MutexGuard<'_, State<T>>, end: End) {
    let dropped = match (&state.end, &end) {
        (End::Open, End::Closed) => Vec::new(),
        (End::Open, End::Failed(_)) | (_, End::Gone) => state.backlog.take().0,
        _ => return,
    };
    state.is_cut_off |= matches!(end, End::Failed(_));
    state.end = end;
    let wakers = [state.reader.take(), state.watcher.take()];
    drop(state);
    drop(dropped);
    wakers.into_iter().flatten().for_each(Waker::wake);
}
