//! Running other programs: one step after the other, each said, timed, and ended when it fails.

use std::fmt;
use std::io;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Between two looks at a program that may end: short beside anything that is waited for here.
const POLL: Duration = Duration::from_millis(20);

/// A program that ended badly.
#[derive(Debug)]
pub(crate) struct Failed {
    program: String,
    status: ExitStatus,
    said: String,
}

impl Failed {
    /// What to exit with because of it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}", self.program, self.status)?;
        if !self.said.is_empty() {
            write!(f, ":\n{}", self.said)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failed {}

/// Runs a program to its end; its output is ours.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    check(command, status, "")
}

/// Runs a program to its end and gives back what it printed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", line(command)))?;
    check(command, output.status, String::from_utf8_lossy(&output.stderr).trim())?;
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no text", line(command)))
}

/// Runs a program, as a step of a longer way that says where it is and how long each step took.
pub(crate) fn step(what: &str, command: &mut Command) -> anyhow::Result<()> {
    timed(what, || run(command))
}

/// Does a step, and says how long it took.
pub(crate) fn timed<T>(what: &str, step: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let done = step();
    let verdict = if done.is_ok() { "done" } else { "FAILED" };
    eprintln!("<== {what}: {verdict} in {:.1} s", started.elapsed().as_secs_f64());
    done
}

/// The same command, started by another program that takes its line as its own last words.
pub(crate) fn started_by(mut starter: Command, command: &Command) -> Command {
    starter.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => starter.env(name, value),
            None => starter.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        starter.current_dir(folder);
    }
    starter
}

/// Waits for a program's end, but not for longer than `patience`; `None` when it has not ended by then.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= patience {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Whether there is a program of that name to start.
pub(crate) fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn check(command: &Command, status: ExitStatus, said: &str) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Failed { program: line(command), status, said: said.to_string() }.into())
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
