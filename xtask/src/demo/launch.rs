//! `haggle run` as a person would type it, and what it says of each task.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::cluster::Cluster;
use super::interrupt::Interrupt;
use super::stage::Stage;
use crate::process;

/// Between two looks whether somebody wants us to end.
const ATTENTION: Duration = Duration::from_millis(100);

/// The exit code of `haggle run` when the cluster or the command line was at fault, and no task.
const FAULT: i32 = 125;

/// A `haggle run` under way. Dropped, it is ended.
pub(super) struct Launch {
    child: Child,
    line: String,
    records: PathBuf,
}

/// A task that has ended.
pub(super) struct Ended(Value);

impl Launch {
    /// Starts tasks; `flags` are those of `haggle run` up to and with the task's own arguments. Its name is that of the
    /// task's label and of a file, and must be new.
    pub(super) fn start(
        stage: &Stage,
        cluster: &Cluster,
        name: &str,
        task: &str,
        flags: &[String],
    ) -> anyhow::Result<Self> {
        let records = stage.folder().join(format!("{name}.json"));
        let mut haggle = stage.haggle();
        haggle
            .args(["run", "--master", cluster.url(), "--name", name, "--json"])
            .arg(stage.task(task))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(File::create(&records).with_context(|| format!("cannot make {}", records.display()))?);
        let line = flags.join(" ");
        let child = haggle.spawn().with_context(|| format!("cannot start `haggle run … {line}`"))?;
        Ok(Self { child, line, records })
    }

    /// Waits until all its tasks have ended, and gives back what is said of them.
    pub(super) fn wait(mut self, interrupt: &Interrupt) -> anyhow::Result<Vec<Ended>> {
        let status = loop {
            interrupt.check()?;
            if let Some(status) = process::wait(&mut self.child, ATTENTION)? {
                break status;
            }
        };
        // Any other code is a task's, and is told by its record.
        if status.code().is_none_or(|code| code == FAULT) {
            bail!("`haggle run … {}` ended with {status}", self.line);
        }
        let records = fs::read_to_string(&self.records)?;
        let ended = records.lines().map(|line| serde_json::from_str(line).map(Ended));
        ended.collect::<Result<_, _>>().with_context(|| format!("{} holds other than JSON", self.records.display()))
    }

    /// As [`wait`](Self::wait), for a single task.
    pub(super) fn wait_for_one(self, interrupt: &Interrupt) -> anyhow::Result<Ended> {
        let line = self.line.clone();
        let mut ended = self.wait(interrupt)?;
        match (ended.pop(), ended.len()) {
            (Some(task), 0) => Ok(task),
            _ => bail!("`haggle run … {line}` did not tell of one task"),
        }
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        // Ended already, in the ordinary case.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    /// Its id in the cluster.
    pub(super) fn id(&self) -> anyhow::Result<&str> {
        self.text("id").context("a task has no id")
    }

    /// The agent that ran it.
    pub(super) fn agent(&self) -> &str {
        self.text("agent").unwrap_or("no agent")
    }

    /// `FINISHED`, `FAILED`, ….
    pub(super) fn state(&self) -> &str {
        self.text("state").unwrap_or("?")
    }

    /// `MEMORY_LIMIT`, …; nothing for a success.
    pub(super) fn reason(&self) -> Option<&str> {
        self.text("reason")
    }

    /// One line for people.
    pub(super) fn message(&self) -> &str {
        self.text("message").unwrap_or_default()
    }

    /// CPU time used.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.usage("cpu_seconds")
    }

    /// Time from start to end.
    pub(super) fn wall_seconds(&self) -> anyhow::Result<f64> {
        self.usage("wall_seconds")
    }

    fn usage(&self, key: &str) -> anyhow::Result<f64> {
        self.0["usage"][key].as_f64().with_context(|| format!("a task's usage has no {key}"))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0[key].as_str()
    }
}

/// What `haggle logs` shows of a task.
pub(super) fn logs(stage: &Stage, cluster: &Cluster, task: &Ended) -> anyhow::Result<String> {
    process::output(stage.haggle().args(["logs", "--master", cluster.url(), task.id()?]))
}

/// The words of a command line.
pub(super) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToString::to_string).collect()
}
