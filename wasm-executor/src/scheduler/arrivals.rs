//! Tasks on their way into the queue. Whoever launches one leaves it here and goes on, and a worker lets it in: so
//! launching waits for no worker, and no worker for it.
//!
//! What comes from a worker, by whoever hears there of an end, is let in by this worker as long as it can: what it wrote
//! is in its processor's cache. What comes from elsewhere is spread.

use std::cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::cell::Cell;

thread_local! {
    /// The number of the worker that this thread is.
    static WORKER: cell::Cell<Option<usize>> = const { cell::Cell::new(None) };
}

/// This thread is the worker with this number from now on.
pub(super) fn work_here(worker: usize) {
    WORKER.set(Some(worker));
}

/// See the module's documentation.
pub(super) struct Arrivals {
    /// One for each worker.
    doors: Vec<Door>,
    /// Where the next one goes that comes from elsewhere.
    next: AtomicUsize,
}

/// Alone in its lines of the cache, since others write to theirs.
#[derive(Default)]
#[repr(align(128))]
struct Door {
    before: Mutex<Before>,
    /// Mirrors whether anybody is, for a look without the lock.
    any: AtomicBool,
}

/// Who is before a door.
#[derive(Default)]
struct Before {
    cells: VecDeque<Arc<Cell>>,
    closed: bool,
}

impl Arrivals {
    pub(super) fn new(workers: usize) -> Self {
        let mut doors = Vec::new();
        doors.resize_with(workers.max(1), Door::default);
        Self { doors, next: AtomicUsize::new(0) }
    }

    /// # Errors
    /// Gives the task back when they are closed.
    pub(super) fn push(&self, cell: Arc<Cell>) -> Result<(), Arc<Cell>> {
        let number = WORKER.get().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        self.doors[number % self.doors.len()].push(cell)
    }

    /// Whether there are any. Whoever pushed one and then looks at something else, or the other way round, may rely on
    /// the order.
    pub(super) fn any(&self) -> bool {
        self.doors.iter().any(Door::any)
    }

    /// Moves the one that came first to `into`: at the door of this worker, or at another one if there is nobody.
    pub(super) fn take_one(&self, worker: usize, into: &mut Vec<Arc<Cell>>) {
        let (before, from) = self.doors.split_at(worker % self.doors.len());
        if let Some(door) = from.iter().chain(before).find(|door| door.any()) {
            door.take(1, into);
        }
    }

    /// Moves those that came first at each door to `into`, up to so many.
    pub(super) fn take(&self, of_each: usize, into: &mut Vec<Arc<Cell>>) {
        for door in self.doors.iter().filter(|door| door.any()) {
            door.take(of_each, into);
        }
    }

    /// Nobody comes any more.
    pub(super) fn close(&self) {
        for door in &self.doors {
            door.before.lock().closed = true;
        }
    }
}

impl Door {
    fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Every write takes the line away from other processors, which look at it: only if it changes.
    fn set_any(&self, any: bool) {
        if self.any() != any {
            self.any.store(any, Ordering::SeqCst);
        }
    }

    fn push(&self, cell: Arc<Cell>) -> Result<(), Arc<Cell>> {
        let mut before = self.before.lock();
        if before.closed {
            return Err(cell);
        }
        before.cells.push_back(cell);
        self.set_any(true);
        Ok(())
    }

    fn take(&self, max: usize, into: &mut Vec<Arc<Cell>>) {
        let mut before = self.before.lock();
        let count = before.cells.len().min(max);
        into.extend(before.cells.drain(..count));
        self.set_any(!before.cells.is_empty());
    }
}
