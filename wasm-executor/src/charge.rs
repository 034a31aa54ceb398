//! Work that the host does for a task elsewhere than on the thread that runs it, charged to the task all the same.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use crate::clock::thread_cpu_time;

thread_local! {
    /// Up to which point of this thread's CPU clock tasks have paid, on a thread that works for them.
    static PAID: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// What the waking of one task costs at most: what the thread does otherwise is not all its fault.
const WAKING_MAX: Duration = Duration::from_micros(50);

/// From now on this thread works for tasks: it keeps their timers and carries their connections.
pub(crate) fn help() {
    PAID.set(Some(thread_cpu_time()));
}

/// On a thread that [`help`]s, what it has done since a task last paid; the one that is about to be woken shall. So a
/// guest that does little but sleep for moments pays for its timers. Nothing on other threads.
pub(crate) fn helped() -> Duration {
    let Some(paid) = PAID.get() else { return Duration::ZERO };
    let now = thread_cpu_time();
    PAID.set(Some(now));
    now.saturating_sub(paid).min(WAKING_MAX)
}

/// CPU time that was spent for a task and has not been taken from its share yet.
///
/// Whoever works for a task adds to it, from any thread. The scheduler takes what there is whenever the task begins
/// or ends a turn, and when it is over: from then on it counts as if the task had used it itself.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    nanos: AtomicU64,
}

impl Debt {
    /// Adds what was spent.
    pub(crate) fn charge(&self, spent: Duration) {
        // 584 years of it fit.
        self.nanos.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was spent since this was last asked.
    pub(crate) fn take(&self) -> Duration {
        // Most tasks never owe anything, and a look is cheaper than an exchange.
        if self.nanos.load(Relaxed) == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.nanos.swap(0, Relaxed))
    }
}

/// The same future; the CPU time that its polls take is charged to `debt`. Not for what the guest's own thread polls:
/// that is charged already.
pub(crate) async fn charged<T>(future: impl Future<Output = T>, debt: &Debt) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let since = thread_cpu_time();
        let polled: Poll<T> = future.as_mut().poll(context);
        let until = thread_cpu_time();
        debt.charge(until.saturating_sub(since));
        PAID.set(PAID.get().map(|_| until));
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_future_computes_is_owed_once() {
        let debt = Debt::default();
        let work = async {
            let since = thread_cpu_time();
            while thread_cpu_time() - since < Duration::from_millis(2) {
                std::hint::spin_loop();
            }
        };

        pollster(charged(work, &debt));

        assert!(debt.take() >= Duration::from_millis(2));
        assert_eq!(debt.take(), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_helps_is_paid_once_for_what_it_did() {
        assert_eq!(helped(), Duration::ZERO);
        help();
        while thread_cpu_time() < PAID.get().unwrap() + WAKING_MAX {
            std::hint::spin_loop();
        }
        let done = thread_cpu_time();

        assert_eq!(helped(), WAKING_MAX);
        assert!(PAID.get().unwrap() >= done, "nothing of it is left for the next one");
    }

    fn pollster(future: impl Future<Output = ()>) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(pin!(future).poll(&mut context), Poll::Ready(()));
    }
}
