//! Work that the host does for a task elsewhere than on the thread that runs it, charged to the task all the same.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use crate::clock::thread_cpu_time;

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
        debt.charge(thread_cpu_time().saturating_sub(since));
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

    fn pollster(future: impl Future<Output = ()>) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(pin!(future).poll(&mut context), Poll::Ready(()));
    }
}
