//! How each of them is told to run a program.

use std::fmt;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::place::Place;
use crate::executor::proc;

/// Longer than any of them takes to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who runs a program.
pub(super) enum Peer {
    /// Nobody: fork and exec.
    Process,
    Bubblewrap(Wall),
    /// A container runtime by the name of its program.
    Runtime(&'static str),
}

/// What bubblewrap puts between a program and the rest.
pub(super) enum Wall {
    /// Another root folder.
    Root,
    /// Every namespace it knows.
    All,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("a process, static, fork and exec"),
            Self::Bubblewrap(Wall::Root) => f.write_str("bubblewrap, another root"),
            Self::Bubblewrap(Wall::All) => f.write_str("bubblewrap, all namespaces"),
            Self::Runtime(runtime) => write!(f, "a container of {runtime}"),
        }
    }
}

impl Peer {
    /// Runs a program; over when it is.
    pub(super) fn run(&self, place: &Place, program: &str, args: &[&str], number: usize) -> anyhow::Result<Command> {
        match self {
            Self::Process | Self::Bubblewrap(_) => {
                let mut command = self.direct(place, program);
                command.args(args);
                Ok(command)
            }
            Self::Runtime(runtime) => {
                let mut command = container(runtime, place);
                command.args(["run", "--bundle"]).arg(place.bundle(runtime, program, args)?);
                command.arg(format!("{program}-{number}"));
                Ok(command)
            }
        }
    }

    fn direct(&self, place: &Place, program: &str) -> Command {
        let root = place.root();
        let Self::Bubblewrap(wall) = self else { return Command::new(root.join("bin").join(program)) };
        let mut command = Command::new("bwrap");
        if matches!(wall, Wall::All) {
            command.arg("--unshare-all");
        }
        command.args(["--die-with-parent", "--ro-bind"]).arg(&root).arg("/");
        if matches!(wall, Wall::All) {
            command.args(["--proc", "/proc", "--dev", "/dev"]);
        }
        command.args(["--", &format!("/bin/{program}")]);
        command
    }

    /// Runs the program that waits for ever, and comes back when it waits.
    pub(super) fn idle(&self, place: &Place, number: usize) -> anyhow::Result<Idle> {
        let idle = match self {
            Self::Process | Self::Bubblewrap(_) => {
                let mut command = self.direct(place, "idle");
                Idle::Process(command.stdin(Stdio::null()).spawn()?)
            }
            Self::Runtime(runtime) => {
                let name = format!("idle-{number}");
                let pid_file = place.state(&format!("{runtime}-{name}"));
                let mut command = container(runtime, place);
                command.args(["run", "--detach", "--pid-file"]).arg(&pid_file).arg("--bundle");
                command.arg(place.bundle(runtime, "idle", &[])?).arg(&name);
                // Nobody reads what it says: the container inherits its streams and keeps them open.
                let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
                anyhow::ensure!(status.success(), "`{runtime} run` ended with {status}");
                let mut remove = container(runtime, place);
                remove.args(["delete", "--force", &name]);
                Idle::Container { pid: fs::read_to_string(pid_file)?.trim().parse()?, remove }
            }
        };
        let began = Instant::now();
        while !idle.pids().into_iter().any(waits) {
            anyhow::ensure!(began.elapsed() < PATIENCE, "does not come to wait");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(idle)
    }
}

fn container(runtime: &str, place: &Place) -> Command {
    let mut command = Command::new(runtime);
    command.arg("--root").arg(place.state(runtime));
    command
}

/// A program that waits, ended with its value.
pub(super) enum Idle {
    Process(Child),
    Container { pid: u32, remove: Command },
}

impl Idle {
    /// All processes that are there for it.
    pub(super) fn pids(&self) -> Vec<u32> {
        proc::family(match self {
            Self::Process(child) => child.id(),
            Self::Container { pid, .. } => *pid,
        })
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // What is gone already needs no end.
        match self {
            Self::Process(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Container { remove, .. } => {
                let _ = remove.stdin(Stdio::null()).output();
            }
        }
    }
}

/// Whether this is the program, and asleep: what set it up has done its work then.
fn waits(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let has = |field: &str, value: &str| status.lines().any(|line| line.starts_with(field) && line.contains(value));
    has("Name:", "idle") && has("State:", "S")
}
