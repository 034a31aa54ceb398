//! `haggle run` as a person would type it, and what it says of each task.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
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
    printed: PathBuf,
}

/// A task that has ended.
pub(super) struct Ended(Value);

impl Launch {
    /// Starts tasks; `flags` are those of `haggle run`, with the task's own arguments at their end. The name is that of
    /// the tasks and of a file, and must be new. Progress is shown to whoever watches us.
    pub(super) fn start(
        stage: &Stage,
        cluster: &Cluster,
        name: &str,
        task: &str,
        flags: &[String],
    ) -> anyhow::Result<Self> {
        let printed = stage.folder().join(format!("{name}.out"));
        let mut haggle = stage.haggle();
        haggle
            .args(["run", "--master", cluster.url(), "--name", name])
            .arg(stage.task(task))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(File::create(&printed).with_context(|| format!("cannot make {}", printed.display()))?);
        let child = haggle.spawn().with_context(|| format!("cannot start `haggle run` for {name}"))?;
        Ok(Self { child, line: format!("haggle run --name {name} {task}.wasm"), printed })
    }

    /// Waits until all its tasks have finished, and gives back what it printed.
    pub(super) fn wait(mut self, interrupt: &Interrupt) -> anyhow::Result<String> {
        let status = self.end(interrupt)?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.line);
        }
        self.printed()
    }

    /// Waits until its only task has ended, and gives back what `--json` made it say of that.
    pub(super) fn wait_for_record(mut self, interrupt: &Interrupt) -> anyhow::Result<Ended> {
        let status = self.end(interrupt)?;
        // Any other code is the task's, and is told by its record.
        if status.code().is_none_or(|code| code == FAULT) {
            bail!("`{}` ended with {status}", self.line);
        }
        let record = self.printed()?;
        serde_json::from_str(&record).map(Ended).with_context(|| format!("`{}` told of other than one task", self.line))
    }

    fn end(&mut self, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
        loop {
            interrupt.check()?;
            if let Some(status) = process::wait(&mut self.child, ATTENTION)? {
                return Ok(status);
            }
        }
    }

    fn printed(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.printed).with_context(|| format!("cannot read {}", self.printed.display()))
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

/// The words of a command line.
pub(super) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToString::to_string).collect()
}
