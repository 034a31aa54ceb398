//! Network namespaces of this process, and their end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::run;

/// What the names of all of ours start with; then comes the process that made it.
const PREFIX: &str = "haggle-test";

/// A network namespace. It is gone with its last clone, and with it all that runs there.
#[derive(Clone, Debug)]
pub(crate) struct Namespace(Arc<Owned>);

#[derive(Debug)]
struct Owned(String);

impl Namespace {
    /// A new one with nothing in it but its loopback, whose name no other process takes.
    pub(crate) fn new(what: &str) -> Self {
        let name = new_name(what);
        run(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Self(Arc::new(Owned(name)));
        namespace.ip("link set lo up");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.0
    }

    /// The files that stand in for those of `/etc` there.
    pub(crate) fn etc(&self) -> PathBuf {
        self.0.etc()
    }

    /// Does what these words say to `ip`.
    #[track_caller]
    pub(crate) fn ip(&self, words: &str) {
        run(Command::new("ip").args(["-n", self.name()]).args(words.split_whitespace()));
    }

    /// A program that runs there.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name()]).arg(program);
        command
    }

    /// Does something on a thread that is there: sockets and devices that it opens stay there.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(self.name())).expect("a namespace has a file");
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), network).expect("root may go there");
                act()
            });
            there.join().expect("what is done there does not panic")
        })
    }
}

impl Owned {
    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.0)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// A name that nobody else gives, in this process or another.
fn new_name(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}-{}-{number}-{what}", std::process::id())
}

/// Whether this machine lets us make namespaces and run programs in them.
pub(super) fn allowed() -> Result<(), String> {
    let name = new_name("probe");
    for words in [&["netns", "add", &name][..], &["netns", "exec", &name, "true"], &["netns", "del", &name]] {
        let output = Command::new("ip").args(words).output().map_err(|error| format!("no `ip`: {error}"))?;
        if !output.status.success() {
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`ip {}`: {}", words.join(" "), why.trim()));
        }
    }
    Ok(())
}

/// Removes what processes left behind that were killed.
pub(super) fn sweep() {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let of = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')?.split('-').next());
        if of.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&name);
        }
    }
}

/// Ends what runs in a namespace, and removes it. It may have ended or gone already.
fn remove(name: &str) {
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        for pid in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
    let _ = Command::new("ip").args(["netns", "del", name]).output();
    let _ = fs::remove_dir_all(Path::new("/etc/netns").join(name));
}
