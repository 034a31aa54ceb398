//! Signals and process groups.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpriority_process, kill_process, setpriority_pgrp, waitid,
};

/// What is typed at the agent's terminal is for the agent.
pub(crate) fn set_apart(command: &mut Command) {
    command.process_group(0);
}

/// Starts what outlives this process.
pub(crate) fn start_outliving(command: &mut Command) -> io::Result<Child> {
    set_apart(command);
    command.spawn()
}

/// Hears when a child is ready.
#[derive(Debug)]
pub(crate) struct Readiness(UnixStream);

/// What a child says that it is ready on, its standard output, and who hears it.
pub(crate) fn readiness() -> io::Result<(Stdio, Readiness)> {
    let (here, there) = UnixStream::pair()?;
    Ok((OwnedFd::from(there).into(), Readiness(here)))
}

impl Readiness {
    /// Returns when the child is ready, has ended, or has taken this long.
    pub(crate) fn wait(&self, at_most: Duration) {
        // Whatever comes of it, who connects next finds out how things stand.
        let _ = self.0.set_read_timeout(Some(at_most));
        let _ = (&self.0).read(&mut [0]);
    }
}

/// Says it, on the child's side.
pub(crate) fn say_ready() {
    // A parent that is gone misses nothing.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
}

/// A child's life is its own affair: on Linux it asks the kernel to end with its parent.
pub(crate) fn tie(_: &Child) -> io::Result<()> {
    Ok(())
}

/// Has a child that was [set apart](set_apart), with all its threads, run behind this process by that many steps of
/// niceness. Nothing comes of it where the child is behind further already, or gone.
pub(crate) fn give_way(child: &Child, steps: u8) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Some(group), Ok(own)) = (group, getpriority_process(None)) {
        // Linux knows a niceness for each thread, and sets it for all of a group.
        let _ = setpriority_pgrp(Some(group), own + i32::from(steps));
    }
}

/// Ends a process on the spot.
pub(crate) fn kill(id: u32) -> io::Result<()> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(id, Signal::KILL)?)
}

/// Whether a child of this process ends in so much time, or has; `None` when it cannot be waited for. It is still to be
/// asked how.
pub(crate) fn ends_within(id: u32, at_most: Duration) -> Option<bool> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw)?;
    let (sender, ended) = mpsc::channel();
    let wait = move || {
        let ended = loop {
            match waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => break outcome.is_ok(),
            }
        };
        let _ = sender.send(ended);
    };
    thread::Builder::new().name("haggle-wait".to_owned()).spawn(wait).ok()?;
    match ended.recv_timeout(at_most) {
        Ok(true) => Some(true),
        // Somebody else has asked how it ended.
        Ok(false) => None,
        Err(_) => Some(false),
    }
}

/// CPU time that a process has used with all its threads; `None` when there is no such process.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_time(id: u32) -> Option<Duration> {
    let id = i32::try_from(id).ok()?;
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "calls of the system")]
    // SAFETY: both write to what is there while they run.
    let told =
        unsafe { libc::clock_getcpuclockid(id, &raw mut clock) == 0 && libc::clock_gettime(clock, &raw mut time) == 0 };
    told.then_some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Nobody is told that here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_time(_: u32) -> Option<Duration> {
    None
}

/// How a process came to its end, to follow who it was.
pub(crate) fn manner(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
