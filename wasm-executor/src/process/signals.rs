//! What a process takes over of signals from whoever started it.
//!
//! Programs inherit which signals are ignored and which are blocked, and nobody sees it: Python ignores SIGXFSZ,
//! `nohup` SIGHUP, and what a thread has blocked, its children have. A limit whose signal is ignored ends nothing, and
//! a guest whose trap is blocked ends its executor. Left as they were found are SIGHUP, SIGINT and SIGQUIT of what a
//! person starts, since who ignores them means to; and SIGPIPE, which programs in Rust ignore.

use std::{mem, ptr};

use libc::c_int;

/// By these the system tells of limits, and of the end of children, which nobody could wait for otherwise.
const NEEDED: [c_int; 3] = [libc::SIGXCPU, libc::SIGXFSZ, libc::SIGCHLD];

/// Those that have a number everywhere. Of the others none means anything here.
const NUMBERED: std::ops::Range<c_int> = 1..32;

/// What every process of this program begins with, while it has one thread: nothing is blocked, and what tells of
/// limits and children is not ignored.
pub fn reset_signals() {
    unblock();
    NEEDED.into_iter().filter(|&signal| is_ignored(signal)).for_each(to_default);
}

/// What a child of an agent begins with, which nobody but its agent talks to: nothing is blocked, and nothing is
/// ignored but SIGPIPE.
pub(crate) fn reset_all_signals() {
    unblock();
    NUMBERED.filter(|&signal| signal != libc::SIGPIPE && is_ignored(signal)).for_each(to_default);
}

/// Whether whoever started this process wants it to outlive a terminal that closes. To be asked before that signal is
/// caught.
pub fn ignores_hangup() -> bool {
    is_ignored(libc::SIGHUP)
}

fn unblock() {
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: the first writes all of the set that the second reads.
    unsafe {
        let mut none = mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

fn is_ignored(signal: c_int) -> bool {
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: it changes nothing, and writes all of what is read when it succeeds.
    unsafe {
        let mut action = mem::MaybeUninit::<libc::sigaction>::uninit();
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn to_default(signal: c_int) {
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: no handler is set, so nothing is called.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}
