//! What a task has used up, readable after its store is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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
    /// Of all turns so far, in nanoseconds.
    cpu: AtomicU64,
    /// How long it was held back by its ceiling, in nanoseconds. Known when it is over.
    throttled: AtomicU64,
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

    pub(crate) fn cpu_used(&self, cpu: Duration) {
        self.cpu.store(nanos(cpu), Relaxed);
    }

    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Relaxed))
    }

    pub(crate) fn was_throttled(&self, time: Duration) {
        self.throttled.store(nanos(time), Relaxed);
    }

    pub(crate) fn throttled(&self) -> Duration {
        Duration::from_nanos(self.throttled.load(Relaxed))
    }

    pub(crate) fn net(&self) -> u64 {
        self.net.load(Relaxed)
    }

    pub(crate) fn peak_disk(&self) -> u64 {
        self.peak_disk.load(Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
