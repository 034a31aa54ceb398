//! Threads that run when no other one wants to.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::nice;

/// This thread runs when no other one wants to. At the lowest priority alone it would still keep its processor for some
/// milliseconds from whoever wakes.
pub(crate) fn give_way() {
    let _ = nice(19);
    #[cfg(target_os = "linux")]
    {
        // The system's `sched_param` is this one number. That of musl has more, and its function for this does nothing.
        let priority: libc::c_int = 0;
        // SAFETY: the system reads the number during the call.
        #[expect(unsafe_code, reason = "no crate that we have sets how a thread is scheduled")]
        let _ = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority) };
    }
}

/// Keeps every core from sleeping while this value lives: whoever wakes there does not wait for the core to wake first.
pub(crate) struct Awake {
    enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let enough = Arc::new(AtomicBool::new(false));
        let spin = |enough: Arc<AtomicBool>| {
            move || {
                give_way();
                while !enough.load(Ordering::Relaxed) {
                    spin_loop();
                }
            }
        };
        let threads =
            (0..thread::available_parallelism()?.get()).map(|_| thread::spawn(spin(Arc::clone(&enough)))).collect();
        Ok(Self { enough, threads })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
