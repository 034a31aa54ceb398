//! Consoles, jobs and handles of processes.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, FILETIME, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS,
    GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
    TerminateProcess, WaitForSingleObject,
};

use crate::process::lockdown::job::{Job, Limits};

/// What is typed at the agent's console is for the agent, and so is that the console is closed.
const APART: u32 = DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP;

/// How long the system may take to end a process, in milliseconds.
const END_MAX: u32 = 5_000;

/// The exit code of a process that was ended from outside, as `taskkill` gives it.
pub(crate) const KILLED: u32 = 1;

/// Keeps a helper from the console, and behind all else that wants the processor.
pub(crate) fn set_apart(command: &mut Command) {
    command.creation_flags(APART | BELOW_NORMAL_PRIORITY_CLASS);
}

/// Starts what outlives this process: also where this process is in a job that ends with a console or a session, as far as
/// that job lets go of what it holds.
pub(crate) fn start_outliving(command: &mut Command) -> io::Result<Child> {
    command.creation_flags(APART | CREATE_BREAKAWAY_FROM_JOB);
    match command.spawn() {
        Err(error) if error.raw_os_error().map(i32::cast_unsigned) == Some(ERROR_ACCESS_DENIED) => {
            command.creation_flags(APART);
            command.spawn()
        }
        started => started,
    }
}

/// Nobody says that it is ready here: whoever connects to a child tries until it listens.
#[derive(Debug)]
pub(crate) struct Readiness;

pub(crate) fn readiness() -> io::Result<(Stdio, Readiness)> {
    Ok((Stdio::null(), Readiness))
}

impl Readiness {
    pub(crate) fn wait(&self, _: Duration) {}
}

pub(crate) fn say_ready() {}

/// Whether a child of this process ends in so much time, or has; `None` when it cannot be waited for. It is still to be
/// asked how.
pub(crate) fn ends_within(id: u32, at_most: Duration) -> Option<bool> {
    let at_most = u32::try_from(at_most.as_millis()).unwrap_or(u32::MAX - 1);
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: the handle is checked before it is owned, and open while it is used.
    let waited = unsafe {
        let process = OpenProcess(PROCESS_SYNCHRONIZE, 0, id);
        if process.is_null() {
            return None;
        }
        let process = OwnedHandle::from_raw_handle(process);
        WaitForSingleObject(process.as_raw_handle(), at_most)
    };
    match waited {
        WAIT_OBJECT_0 => Some(true),
        WAIT_TIMEOUT => Some(false),
        _ => None,
    }
}

/// CPU time that a process has used with all its threads; `None` when there is no such process.
pub(crate) fn cpu_time(id: u32) -> Option<Duration> {
    let [mut made, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: the handle is checked before it is owned, and times are written to times.
    let told = unsafe {
        let process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id);
        if process.is_null() {
            return None;
        }
        let process = OwnedHandle::from_raw_handle(process);
        let handle = process.as_raw_handle();
        GetProcessTimes(handle, &raw mut made, &raw mut ended, &raw mut kernel, &raw mut user)
    };
    let units = |time: FILETIME| (u64::from(time.dwHighDateTime) << 32) + u64::from(time.dwLowDateTime);
    (told != 0).then(|| Duration::from_nanos((units(kernel) + units(user)) * 100))
}

/// Ends a process on the spot, and waits for that.
pub(crate) fn kill(id: u32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: the handle is checked before it is owned, and open while it is used.
    unsafe {
        let process = OpenProcess(PROCESS_TERMINATE | PROCESS_SYNCHRONIZE, 0, id);
        if process.is_null() {
            return Err(io::Error::last_os_error());
        }
        let process = OwnedHandle::from_raw_handle(process);
        if TerminateProcess(process.as_raw_handle(), KILLED) == 0 {
            return Err(io::Error::last_os_error());
        }
        WaitForSingleObject(process.as_raw_handle(), END_MAX);
    }
    Ok(())
}

/// How a process came to its end, to follow who it was. Codes of the system's own are known by their hexadecimal form.
pub(crate) fn manner(status: ExitStatus) -> String {
    match status.code() {
        Some(code) if code < 0 => format!("was ended by the system with {:#010x}", code.cast_unsigned()),
        Some(code) => format!("ended with exit code {code}"),
        None => "ended".to_owned(),
    }
}

/// Ends a child when it is dropped, or with this process.
#[derive(Debug)]
pub(crate) struct Tied {
    _job: Job,
}

/// Nothing: a child that was [set apart](set_apart) is below everybody from its start.
pub(crate) fn give_way(_: &Child, _: u8) {}

/// Ties a child's life to this process's.
pub(crate) fn tie(child: &Child) -> io::Result<Tied> {
    let job = Job::new(&Limits::default())?;
    job.take_in(child.as_raw_handle())?;
    Ok(Tied { _job: job })
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// Waits for a key that nobody presses.
    fn child() -> Child {
        let mut command = Command::new("cmd");
        command.args(["/c", "pause"]).stdin(Stdio::piped()).stdout(Stdio::null());
        set_apart(&mut command);
        command.spawn().unwrap()
    }

    #[test]
    fn a_child_ends_with_what_ties_it() {
        let mut child = child();
        let tied = tie(&child).unwrap();
        assert!(child.try_wait().unwrap().is_none());

        drop(tied);

        child.wait().unwrap();
    }

    #[test]
    fn a_process_is_killed_by_its_id_and_says_so() {
        let mut child = child();

        kill(child.id()).unwrap();

        assert_eq!(manner(child.wait().unwrap()), "ended with exit code 1");
    }

    #[test]
    fn the_systems_own_ends_are_told_in_its_own_way() {
        use std::os::windows::process::ExitStatusExt;

        assert_eq!(manner(ExitStatus::from_raw(0xc000_0005)), "was ended by the system with 0xc0000005");
    }
}
