//! The master's process, by the names that every Prometheus client has for them.

use std::fmt;

use prometheus_client::registry::Unit;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::page::Page;

/// What the system says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    cpu_ms: u64,
    resident: u64,
    started: u64,
}

impl Process {
    /// What the system says of it now; `None` where it does not tell.
    pub(super) fn look() -> Option<Self> {
        let mut system = System::new().ok()?;
        let pid = Pid::from_u32(std::process::id());
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let process = system.process(pid)?;
        let (cpu_ms, resident, started) = (process.accumulated_cpu_time(), process.memory(), process.start_time());
        Some(Self { cpu_ms, resident, started })
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let cpu = [([], self.cpu_ms as f64 / 1_000.0)];
        page.counters::<0>("process_cpu", "Processor time of the master", Some(&Unit::Seconds), cpu)?;
        let resident = [([], self.resident as f64)];
        page.gauges::<0>("process_resident_memory", "Resident memory of the master", Some(&Unit::Bytes), resident)?;
        let started = [([], self.started as f64)];
        page.gauges::<0>(
            "process_start_time",
            "When the master started, in seconds since 1970",
            Some(&Unit::Seconds),
            started,
        )
    }
}
