//! Tasks on their way into the queue. Whoever launches one leaves it here and goes on, and a worker lets it in: so
//! launching waits for no worker, and no worker for it.
//!
//! What a worker launches, as whoever hears there of an end does, it lets in itself, unless another one has nothing to
//! do: what it wrote is in its processor's cache. What comes from elsewhere is spread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

thread_local! {
    /// The number of the worker that this thread is.
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread is the worker with this number from now on.
pub(super) fn work_here(worker: usize) {
    WORKER.set(Some(worker));
}

/// See the module's documentation.
pub(super) struct Arrivals<T> {
    /// One for each worker.
    doors: Vec<Door<T>>,
    /// Where the next one goes that comes from elsewhere.
    next: AtomicUsize,
}

/// Alone in its lines of the cache, since others write to theirs.
#[repr(align(128))]
struct Door<T> {
    before: Mutex<Before<T>>,
    /// Mirrors whether anybody is, for a look without the lock.
    any: AtomicBool,
}

/// Who is before a door.
struct Before<T> {
    tasks: VecDeque<T>,
    closed: bool,
}

impl<T> Arrivals<T> {
    pub(super) fn new(workers: usize) -> Self {
        let before = || Mutex::new(Before { tasks: VecDeque::new(), closed: false });
        let door = || Door { before: before(), any: AtomicBool::new(false) };
        Self { doors: std::iter::repeat_with(door).take(workers.max(1)).collect(), next: AtomicUsize::new(0) }
    }

    /// # Errors
    /// Gives the task back when they are closed.
    pub(super) fn push(&self, task: T) -> Result<(), T> {
        let number = WORKER.get().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        self.doors[number % self.doors.len()].push(task)
    }

    /// Whether there are any. Whoever pushed one and then looks at something else, or the other way round, may rely on
    /// the order.
    pub(super) fn any(&self) -> bool {
        self.doors.iter().any(|door| door.any())
    }

    /// Moves the one that came first to `into`: at the door of this worker, or at another one if there is nobody.
    pub(super) fn take_one(&self, worker: usize, into: &mut Vec<T>) {
        let (before, from) = self.doors.split_at(worker % self.doors.len());
        if let Some(door) = from.iter().chain(before).find(|door| door.any()) {
            door.take(1, into);
        }
    }

    /// Moves those that came first at each door to `into`, up to so many.
    pub(super) fn take(&self, of_each: usize, into: &mut Vec<T>) {
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

impl<T> Door<T> {
    fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Every write takes the line away from other processors, which look at it: only if it changes.
    fn set_any(&self, any: bool) {
        if self.any() != any {
            self.any.store(any, Ordering::SeqCst);
        }
    }

    fn push(&self, task: T) -> Result<(), T> {
        let mut before = self.before.lock();
        if before.closed {
            return Err(task);
        }
        before.tasks.push_back(task);
        self.set_any(true);
        Ok(())
    }

    fn take(&self, max: usize, into: &mut Vec<T>) {
        let mut before = self.before.lock();
        let count = before.tasks.len().min(max);
        into.extend(before.tasks.drain(..count));
        self.set_any(!before.tasks.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(take: impl FnOnce(&mut Vec<u32>)) -> Vec<u32> {
        let mut into = Vec::new();
        take(&mut into);
        into
    }

    /// Pushes as worker 1 would.
    fn push_at_one(arrivals: &Arrivals<u32>, task: u32) {
        let before = WORKER.replace(Some(1));
        arrivals.push(task).unwrap();
        WORKER.set(before);
    }

    #[test]
    fn a_worker_takes_what_it_launched_itself_in_the_order_in_which_it_came() {
        let arrivals = Arrivals::new(2);
        arrivals.push(1).unwrap();
        push_at_one(&arrivals, 2);
        push_at_one(&arrivals, 3);

        let order = [(); 3].map(|()| taken(|into| arrivals.take_one(1, into)));

        assert_eq!(order, [[2], [3], [1]]);
        assert!(!arrivals.any());
    }

    #[test]
    fn a_worker_without_arrivals_takes_those_of_another_one() {
        let arrivals = Arrivals::new(2);
        push_at_one(&arrivals, 1);

        assert_eq!(taken(|into| arrivals.take_one(0, into)), [1]);
        assert!(taken(|into| arrivals.take_one(0, into)).is_empty());
    }

    #[test]
    fn what_comes_from_elsewhere_is_spread_over_the_workers() {
        let arrivals = Arrivals::new(2);
        (1..=4).for_each(|task| arrivals.push(task).unwrap());

        assert_eq!(taken(|into| arrivals.take(1, into)), [1, 2]);
        assert!(arrivals.any());
        assert_eq!(taken(|into| arrivals.take(usize::MAX, into)), [3, 4]);
    }

    #[test]
    fn nobody_comes_once_they_are_closed_and_those_who_came_stay() {
        let arrivals = Arrivals::new(1);
        arrivals.push(1).unwrap();

        arrivals.close();

        assert_eq!(arrivals.push(2), Err(2));
        assert_eq!(taken(|into| arrivals.take(usize::MAX, into)), [1]);
    }
}
