//! What the driver measures of itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haggle_core::Histogram;

/// How long the driver's work takes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timings(Arc<Mutex<Measured>>);

/// So far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Who is offered what, once for each batch.
    pub(crate) allocations: Histogram,
    /// Writing to the registry.
    pub(crate) writes: Histogram,
}

impl Timings {
    pub(crate) fn allocated(&self, took: Duration) {
        self.change(|measured| measured.allocations.record(took));
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
