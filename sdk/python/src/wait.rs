//! The threads that carry connections, and how a Python thread waits for them.

use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use pyo3::{PyResult, Python};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// How long Ctrl-C may go unheard.
const SIGNALS: Duration = Duration::from_millis(50);

/// Threads for all connections of the process: they wait, and hardly compute.
const THREADS: usize = 2;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(THREADS).thread_name("haggle").enable_all().build().expect("a process can start threads")
});

/// Waits for what a future comes to; other Python threads run meanwhile.
///
/// # Errors
/// What the handler of a signal raises: a `KeyboardInterrupt`. Then the future is dropped.
pub(crate) fn wait<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let mut future = pin!(future);
    loop {
        let ready = py.detach(|| RUNTIME.block_on(async { timeout(SIGNALS, &mut future).await.ok() }));
        if let Some(done) = ready {
            return Ok(done);
        }
        py.check_signals()?;
    }
}

/// Has something done beside everything else.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    RUNTIME.spawn(future);
}
