//! The two clocks of the executor: machine time, and the CPU time of the calling thread.

#[cfg(any(windows, test))]
mod coarse;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
use std::time::Duration;
use std::time::Instant;

use haggle_core::Now;

#[cfg(windows)]
pub(crate) use windows::{thread_cpu_time, thread_slept};

/// Monotonic time since the executor started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        Now::ZERO + self.origin.elapsed()
    }

    /// The same moment as the standard library says it; `None` when it is too far away to be said.
    pub(crate) fn instant(&self, at: Now) -> Option<Instant> {
        self.origin.checked_add(at - Now::ZERO)
    }
}

/// CPU time that the calling thread has used, in user mode and in the kernel.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
pub(crate) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// To be said by a thread that computes by turns and has just slept, before it asks for its CPU time again: where that is
/// counted in long steps, it is told more closely then.
#[cfg(not(windows))]
pub(crate) fn thread_slept() {}

/// Where there is no such clock, wall-clock time stands in for it. A task is charged for time in which the
/// system ran something else; its quota then holds as a ceiling, and its share is right on an idle machine.
#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
pub(crate) fn thread_cpu_time() -> Duration {
    use std::sync::LazyLock;
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}
