//! Ctrl-C and SIGTERM, as one; and the signal that leaves tasks running.

use std::io;

/// Waits for either, as often as it is called: the next one counts.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on neither ends the process by itself.
    ///
    /// # Errors
    /// When the system gives no handler.
    #[cfg(unix)]
    pub(crate) fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// From now on Ctrl-C does not end the process by itself.
    ///
    /// # Errors
    /// None; on Unix, when the system gives no handler.
    #[cfg(not(unix))]
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    /// SIGHUP, from the first call on: until then it ends the process, as ever.
    ///
    /// # Errors
    /// When the system gives no handler.
    #[cfg(unix)]
    pub(crate) async fn hangup() -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup())?.recv().await;
        Ok(())
    }

    /// There is no such signal.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(crate) async fn hangup() -> io::Result<()> {
        std::future::pending().await
    }

    /// The next signal.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next signal.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
