//! Ctrl-C and its like, noticed instead of died of, so that what was started is also ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether somebody wants us to end.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, signals are noticed.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The second one ends us at once, for whoever cannot wait.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&wanted))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&wanted)))
                .context("cannot catch signals")?;
        }
        Ok(Self(wanted))
    }

    /// An error once somebody wants us to end.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}
