//! What the system says about a process: its CPU time, and the memory that it holds.

use std::time::Duration;

use anyhow::Context;
use haggle_core::Bytes;

/// CPU time of this process, all threads.
pub(super) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// CPU time of a process, all threads that it has.
///
/// # Errors
/// As [`memory`].
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/task");
    let threads = std::fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?;
    // One that has just ended has no file any more.
    let times = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    let nanos = times.filter_map(|times| times.split_whitespace().next()?.parse::<u64>().ok());
    Ok(Duration::from_nanos(nanos.sum()))
}

/// A line of `/proc/PID/FILE`, which counts in KiB, such as `VmRSS` of `status`.
///
/// # Errors
/// Where there is no such file: on other systems than Linux, and after the process.
pub(crate) fn memory(pid: u32, file: &str, field: &str) -> anyhow::Result<Bytes> {
    let path = format!("/proc/{pid}/{file}");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.map(Bytes::from_kib).with_context(|| format!("{path} has no {field}"))
}

/// What a process holds in memory, and the page tables that this takes. What it shares with others, such as the pages of
/// its program, counts in parts.
///
/// # Errors
/// As [`memory`].
pub(crate) fn held(pid: u32) -> anyhow::Result<Bytes> {
    let sum = memory(pid, "smaps_rollup", "Pss")?.get() + memory(pid, "status", "VmPTE")?.get();
    Ok(Bytes::new(sum))
}

/// A process and all that it started, as far as they run.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        pids.extend(children(pid));
        next += 1;
    }
    pids
}

/// Those that its threads have started.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Says on standard error why a row is missing.
pub(super) fn skipped(what: &str, why: impl std::fmt::Display) {
    eprintln!("not measured: {what}: {why}");
}
