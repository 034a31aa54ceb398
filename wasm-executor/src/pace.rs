//! Brings guests back to their worker that spend their time in calls of the host.
//!
//! Fuel counts what a guest executes, and a loop around a dear call executes next to nothing. So the time that a
//! slice takes is looked at after every call, and a guest whose slice is over gives way before it goes on.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use wasmtime::{CallHook, CallHookHandler, StoreContextMut};
use wasmtime_wasi::async_trait;

/// A slice is over as soon as the guest comes back after this much time: by its fuel, or from a call of the host.
pub(crate) const SLICE: Duration = Duration::from_millis(1);

thread_local! {
    static SLICE_BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// This thread is about to poll a guest.
pub(crate) fn slice_begins() -> Instant {
    let now = Instant::now();
    SLICE_BEGAN.set(Some(now));
    now
}

/// Looks at the clock whenever the host returns to the guest.
pub(crate) struct Pace;

#[async_trait]
impl<T: Send + 'static> CallHookHandler<T> for Pace {
    async fn handle_call_event(&self, _: StoreContextMut<'_, T>, event: CallHook) -> wasmtime::Result<()> {
        // A slice that is not over takes no time to look at but that of the clock, which is no call of the kernel.
        if matches!(event, CallHook::ReturningFromHost) {
            breathe().await;
        }
        Ok(())
    }
}

/// Gives way if the slice is over. For work of the host that takes longer than one.
pub(crate) async fn breathe() {
    if SLICE_BEGAN.get().is_some_and(|began| began.elapsed() >= SLICE) {
        give_way().await;
    }
}

async fn give_way() {
    let mut gave_way = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
