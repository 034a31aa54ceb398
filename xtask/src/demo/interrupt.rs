//! Ctrl-C and its like, noticed instead of died of, so that what was started is also ended.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether somebody wants us to end.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, signals are noticed.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The second one ends us at once, for whoever cannot wait.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                Interrupted::EXIT_CODE.into(),
                Arc::clone(&wanted),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&wanted)))
            .context("cannot catch signals")?;
        }
        Ok(Self(wanted))
    }

    /// An error once somebody wants us to end.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        Ok(())
    }
}

/// Somebody wanted us to end, and everything that was started has ended.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl Interrupted {
    /// What a shell reports of a program that Ctrl-C ended (128 + SIGINT).
    pub(crate) const EXIT_CODE: u8 = 130;
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}
