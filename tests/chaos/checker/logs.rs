//! What the agents and the masters logged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use haggle_core::{Epoch, TaskId};
use serde::Deserialize;

use super::Task;

/// A line of a daemon's log, as far as it matters.
#[derive(Clone, Debug, Deserialize)]
struct Logged {
    message: String,
    task: Option<String>,
    state: Option<String>,
    epoch: Option<String>,
}

/// The logs of all agents.
pub(crate) struct AgentLogs(Vec<(PathBuf, Vec<Logged>)>);

impl AgentLogs {
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let lines = |path: &PathBuf| {
            let file = BufReader::new(File::open(path).expect("an agent has a log"));
            // A line that was cut off by a kill, and what a panic prints, is no JSON.
            let parsed = file.lines().filter_map(|line| serde_json::from_str(&line.ok()?).ok());
            (path.clone(), parsed.collect())
        };
        Self(paths.iter().map(lines).collect())
    }

    /// Adds to the tasks of this framework what their agents saw.
    pub(super) fn join(&self, framework: u64, tasks: &mut BTreeMap<u64, Task>) {
        for line in self.0.iter().flat_map(|(_, lines)| lines) {
            let Some(id) = line.task.as_ref().and_then(|task| task.parse::<TaskId>().ok()) else { continue };
            if id.framework.0 != framework {
                continue;
            }
            let task = tasks.entry(id.number).or_default();
            match line.message.as_str() {
                "task started" => task.starts += 1,
                "task ended" => task.seen.extend(line.state.clone()),
                _ => {}
            }
        }
    }

    /// Agents that obeyed a master after a later one.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (path, lines) in &self.0 {
            let epochs = lines.iter().filter(|line| line.message.starts_with("registered"));
            let epochs = epochs.filter_map(|line| line.epoch.as_ref()?.parse::<Epoch>().ok());
            let mut latest = Epoch(0);
            for epoch in epochs {
                if epoch < latest {
                    faults.push(format!("{}: registered with {epoch} after {latest}", path.display()));
                }
                latest = latest.max(epoch);
            }
        }
        faults
    }
}

/// What is in a log after its first bytes: the message of each line.
pub(crate) fn since(log: &Path, offset: u64) -> Vec<String> {
    let Ok(mut file) = File::open(log) else { return Vec::new() };
    if file.seek(SeekFrom::Start(offset)).is_err() {
        return Vec::new();
    }
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines.filter_map(|line| Some(serde_json::from_str::<Logged>(&line).ok()?.message)).collect()
}
