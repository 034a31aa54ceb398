//! Work that may take long, away from the thread that carries the driver, the link and the executors' sockets.

use std::future::pending;
use std::panic;

use tokio::task::spawn_blocking;

/// Does something that may wait for a disk or another process, on a thread that may.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panicked) => panic::resume_unwind(panicked),
            // The runtime is ending, and this is not polled again.
            Err(_) => pending().await,
        },
    }
}
