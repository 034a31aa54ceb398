//! On what the figures were measured.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// One line: processor, cores, memory, operating system.
pub(crate) fn describe() -> String {
    let wanted =
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let os = System::long_os_version().unwrap_or_else(|_| "unknown system".to_owned());
    let kernel = System::kernel_version().unwrap_or_default();
    match System::new_with_specifics(wanted) {
        Ok(system) => {
            let brand = system.cpus().first().map_or("unknown processor", |cpu| cpu.brand()).trim().to_owned();
            let memory = haggle_core::Bytes::new(system.total_memory());
            format!("{brand}, {cores} cores, {memory}, {os}, kernel {kernel}")
        }
        Err(error) => format!("{cores} cores, {os}, kernel {kernel} (processor unknown: {error})"),
    }
}
