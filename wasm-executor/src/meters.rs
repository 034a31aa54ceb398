//! What a task has used up, readable after its store is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::charge::Debt;

/// Written by the thread that runs the task, read when it is over. A task is handed from thread to thread
/// under the scheduler's lock, which orders everything; the counters themselves order nothing.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    fuel: AtomicU64,
    peak_mem: AtomicU64,
    peak_disk: AtomicU64,
    debt: Arc<Debt>,
    net: AtomicU64,
}

impl Meters {
    /// CPU time spent for the task off the thread that runs it; see [`crate::charge::charged`].
    pub(crate) fn debt(&self) -> &Arc<Debt> {
        &self.debt
    }

    pub(crate) fn memory_peak(&self, bytes: u64) {
        self.peak_mem.fetch_max(bytes, Relaxed);
    }

    pub(crate) fn disk_peak(&self, bytes: u64) {
        self.peak_disk.fetch_max(bytes, Relaxed);
    }

    pub(crate) fn fuel_burnt(&self, fuel: u64) {
        self.fuel.store(fuel, Relaxed);
    }

    pub(crate) fn fuel(&self) -> u64 {
        self.fuel.load(Relaxed)
    }

    pub(crate) fn peak_mem(&self) -> u64 {
        self.peak_mem.load(Relaxed)
    }

    /// Bytes that went over the network, either way.
    pub(crate) fn net_moved(&self, bytes: usize) {
        self.net.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn net(&self) -> u64 {
        self.net.load(Relaxed)
    }

    pub(crate) fn peak_disk(&self) -> u64 {
        self.peak_disk.load(Relaxed)
    }
}
