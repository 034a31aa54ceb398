//! Threads that get the processor only where nothing else wants it.

use std::io;

/// The calling thread runs on what is idle from now on, and gives way to whatever else wants to run on this machine. Where the
/// system has no such class, it comes last.
///
/// # Errors
/// What the system said that does not allow it.
#[cfg(target_os = "linux")]
pub(crate) fn run_when_idle() -> io::Result<()> {
    // The system's `sched_param` is this one number. That of musl has more, and its function for this does nothing.
    let priority: libc::c_int = 0;
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: 0 is the calling thread, and the number is read while it lives.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(windows)]
pub(crate) fn run_when_idle() -> io::Result<()> {
    use windows_sys::Win32::System::Threading::{GetCurrentThread, SetThreadPriority, THREAD_PRIORITY_IDLE};
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: it means the calling thread.
    let set = unsafe { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_IDLE) };
    if set == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Elsewhere a priority is the process's.
#[cfg(not(any(target_os = "linux", windows)))]
pub(crate) fn run_when_idle() -> io::Result<()> {
    const LAST: i32 = 19;
    Ok(rustix::process::setpriority_process(None, LAST)?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_asks_is_in_the_class_of_what_is_idle() {
        let class = std::thread::spawn(|| {
            run_when_idle().unwrap();
            std::fs::read_to_string("/proc/thread-self/stat").unwrap()
        });

        let stat = class.join().unwrap();

        // `man proc_pid_stat`: the 41st field is the policy, the 39th behind the name.
        let policy = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap();
        assert_eq!(policy, libc::SCHED_IDLE.to_string(), "{stat}");
    }
}
