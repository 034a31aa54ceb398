//! Signals and process groups.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};

/// What is typed at the agent's terminal is for the agent.
pub(crate) fn set_apart(command: &mut Command) {
    command.process_group(0);
}

/// Starts what outlives this process.
pub(crate) fn start_outliving(command: &mut Command) -> io::Result<Child> {
    set_apart(command);
    command.spawn()
}

/// A child's life is its own affair: on Linux it asks the kernel to end with its parent.
pub(crate) fn tie(_: &Child) -> io::Result<()> {
    Ok(())
}

/// Ends a process on the spot.
pub(crate) fn kill(id: u32) -> io::Result<()> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(id, Signal::KILL)?)
}

/// How a process came to its end, to follow who it was.
pub(crate) fn manner(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
