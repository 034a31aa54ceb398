//! SIGINT, SIGTERM and SIGHUP.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for either, as often as it is called: the next one counts.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on neither ends the process by itself.
    ///
    /// # Errors
    /// When the system gives no handler.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// SIGHUP, from the first call on: until then it ends the process, as ever. Never, where whoever started this
    /// process ignores it, as `nohup` does.
    ///
    /// # Errors
    /// When the system gives no handler.
    pub(crate) async fn hangup() -> io::Result<()> {
        if haggle_executor::process::ignores_hangup() {
            return pending().await;
        }
        signal(SignalKind::hangup())?.recv().await;
        Ok(())
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
