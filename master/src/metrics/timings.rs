//! What the driver measures of itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haggle_core::Histogram;

use super::commands::Commands;

/// What the driver was told, and how long its work takes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timings(Arc<Mutex<Measured>>);

/// So far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// What it was told, up to the last batch.
    pub(crate) commands: Commands,
    /// From when the first of a batch was taken, or more was left to be looked at, until it was chosen who is offered what.
    pub(crate) waits: Histogram,
    /// Who is offered what, once for each batch.
    pub(crate) allocations: Histogram,
    /// Writing to the registry.
    pub(crate) writes: Histogram,
}

impl Timings {
    /// A batch was decided, by which so much was heard in all: who is offered what had `waited`, and then it `took` so long.
    pub(crate) fn decided(&self, commands: &Commands, waited: Duration, took: Duration) {
        self.change(|measured| {
            measured.commands.clone_from(commands);
            measured.waits.record(waited);
            measured.allocations.record(took);
        });
    }

    pub(crate) fn wrote(&self, took: Duration) {
        self.change(|measured| measured.writes.record(took));
    }

    pub(crate) fn get(&self) -> Measured {
        self.change(|measured| measured.clone())
    }

    fn change<T>(&self, with: impl FnOnce(&mut Measured) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
