//! A process that ends with whoever started it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::home::Home;
use crate::wait::until;
use crate::wine;

/// A running `haggle` process. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    /// How it is asked to end. A program for Windows hears a Ctrl-C; to its Wine, the other signal is the end.
    asked_by: Signal,
}

impl Daemon {
    /// Starts `binary` with its standard error in the file `log`, as a user whose home is in the same folder.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(binary: &Path, args: &[String], log: PathBuf) -> Self {
        Self::spawn_with(binary, args, &[], log)
    }

    /// The same with these variables in its environment.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_with(binary: &Path, args: &[String], variables: &[(String, String)], log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("the log can be written");
        let mut command = wine::command(binary);
        Home::below(log.parent().expect("a file is in a folder")).take_in(&mut command);
        let child = command
            .args(args)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", binary.display()));
        let asked_by = if wine::runs(binary) { Signal::INT } else { Signal::TERM };
        Self { child, log, asked_by }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it without a word, as a power cut would.
    pub fn kill(&mut self) {
        // A process that has ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, as `kill PID` does, or Ctrl-C on Windows.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, self.asked_by).expect("the process runs");
    }

    /// Waits until it has ended by itself.
    pub async fn exited(&mut self) -> ExitStatus {
        until("the process ends", async || self.child.try_wait().expect("a child can be waited for")).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
