//! Finds the executors that an earlier agent has left, and what became of their tasks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use haggle_core::node::RecoveredQueue;
use haggle_core::{Ending, FrameworkId, HeldRun, QueueEnd, Source, Stop, TaskId, TaskSummary, UpdateId};
use haggle_executor::process::{self, Connection, Folder, HeldBatch, Order, Report, StartFailure, WireError, Writer};
use tokio::runtime::Handle;

use super::peer::{Ears, Peer};
use super::{Executors, Plan};
use crate::inbox::Inbox;
use crate::logs::{Leftovers, Logs};
use crate::message::{Key, Message};

/// A task of an earlier agent.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) task: TaskSummary,
    pub(crate) started: bool,
    /// Why it was told to end, if it was.
    pub(crate) stopped: Option<Stop>,
    pub(crate) ending: Option<Ending>,
    /// Of an allocation, what is in its queue, and in which batches that came.
    pub(crate) queue: Option<(RecoveredQueue, Vec<HeldBatch>)>,
    /// How many agents its executor had before this one.
    pub(crate) incarnation: u32,
}

impl Recovered {
    /// One of which nothing else has been heard.
    fn new(task: TaskSummary) -> Self {
        Self { task, started: false, stopped: None, ending: None, queue: None, incarnation: 0 }
    }
}

/// The executors of an earlier agent cannot be looked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for executors in {}: {source}", dir.display())]
pub struct RecoveryError {
    dir: PathBuf,
    source: io::Error,
}

/// Connects to every executor that lives, and removes what is left of the others.
///
/// # Errors
/// When the folder cannot be read or cleared.
pub(crate) fn recover(
    plan: Plan,
    inbox: Arc<Inbox<Message>>,
    logs: Arc<Logs>,
    leftovers: &Leftovers,
    runtime: &Handle,
) -> Result<(Executors, Vec<Recovered>), RecoveryError> {
    let dir = plan.dir.clone();
    let failed = |source| RecoveryError { dir: dir.clone(), source };
    let mut executors = Executors::new(plan, inbox, logs, runtime.clone());
    let mut tasks = Vec::new();
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let key = path.file_name().and_then(|name| parse(name.to_str()?));
        let folder = Folder::at(path);
        let adopted = match key.filter(|_| folder.is_claimed()) {
            Some((key, is_idle_only)) => executors.adopt(key, is_idle_only, &folder, leftovers, &mut tasks),
            None => Ok(false),
        };
        match adopted {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(folder = %folder.path().display(), %error, "an executor is lost, and its tasks");
            }
        }
        folder.remove().map_err(failed)?;
    }
    Ok((executors, tasks))
}

/// Ends the name of a folder whose executor's tasks run on what is idle only.
const IDLE_ONLY: &str = "-idle";

/// What the folder of an executor is called.
pub(super) fn folder_name((framework, number): Key, is_idle_only: bool) -> String {
    format!("{}-{number}{}", framework.0, if is_idle_only { IDLE_ONLY } else { "" })
}

/// The key in a folder's name, and whether its executor's tasks run on what is idle only.
fn parse(name: &str) -> Option<(Key, bool)> {
    let (framework, rest) = name.split_once('-')?;
    let number = rest.strip_suffix(IDLE_ONLY).unwrap_or(rest);
    Some(((FrameworkId(framework.parse().ok()?), number.parse().ok()?), number != rest))
}

impl Executors {
    /// Takes over an executor. True when it is there to stay.
    fn adopt(
        &mut self,
        key: Key,
        is_idle_only: bool,
        folder: &Folder,
        leftovers: &Leftovers,
        tasks: &mut Vec<Recovered>,
    ) -> Result<bool, StartFailure> {
        let mut connection = process::adopt(folder)?;
        let orders = Arc::<Writer<Order>>::default();
        let held = match take_stock(&mut connection, key, &self.ears, leftovers, &orders) {
            Ok(held) => held,
            Err(error) => {
                connection.process.kill();
                return Err(error.into());
            }
        };
        let (ears, living) = (self.ears.clone(), self.living.clone());
        let mut peer = Peer::adopted(key, is_idle_only, connection, orders, ears, living, &self.runtime);
        tracing::info!(framework = %key.0, tasks = held.len(), "found an executor of an earlier agent");
        peer.held = held.len();
        for task in &held {
            let id = task.task.id;
            self.homes.insert(id, key);
            if task.ending.is_none() {
                peer.running.insert(id);
            }
        }
        self.last = self.last.max(key.1);
        self.peers.insert(key, peer);
        tasks.extend(held);
        Ok(true)
    }
}

/// Hears everything that an executor holds. What it says after that is passed on as ever.
fn take_stock(
    connection: &mut Connection,
    key: Key,
    ears: &Ears,
    leftovers: &Leftovers,
    orders: &Arc<Writer<Order>>,
) -> Result<Vec<Recovered>, WireError> {
    let mut found: BTreeMap<TaskId, Recovered> = BTreeMap::new();
    connection.hurry(true)?;
    loop {
        let mut reports = Vec::new();
        if !connection.reports.read(&mut reports)? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut reports = reports.into_iter();
        for report in reports.by_ref() {
            match report {
                Report::Held(task) => {
                    let id = task.id;
                    ears.logs.recover(id, leftovers);
                    found.insert(id, Recovered::new(task));
                }
                Report::Started(task) => {
                    if let Some(task) = found.get_mut(&task) {
                        task.started = true;
                    }
                }
                Report::HeldQueue { spec, last, runs, batches } => {
                    let run = |(first, count, state, shape)| HeldRun {
                        first,
                        count,
                        state,
                        update: UpdateId::UNACKNOWLEDGED,
                        shape: Arc::new(shape),
                    };
                    let runs = runs.into_iter().map(run).collect();
                    let (id, name, role) = (spec.id, spec.name.clone(), spec.role.clone());
                    let resources = spec.resources.clone();
                    let volumes = spec.volumes.iter().map(|volume| volume.id).collect();
                    let task =
                        TaskSummary { id, name, role, resources, volumes, module: None, group: None, trace: None };
                    let queue = RecoveredQueue { spec, last, runs, ended: Vec::new() };
                    let queue = Some((queue, batches));
                    found.insert(id, Recovered { started: true, queue, ..Recovered::new(task) });
                }
                Report::QueueNews { allocation, ended, .. } => {
                    let end = |(first, count, ending)| QueueEnd { first, count, source: Source::Executor, ending };
                    if let Some((queue, _)) = found.get_mut(&allocation).and_then(|task| task.queue.as_mut()) {
                        queue.ended.extend(ended.into_iter().map(end));
                    }
                }
                Report::Output { task, stream, offset, bytes } => {
                    ears.logs.recover(task, leftovers);
                    let output = Report::Output { task, stream, offset, bytes };
                    ears.hear(key, [output].into_iter(), orders);
                }
                Report::Ended(task, ending) => {
                    ears.logs.end(task);
                    if let Some(task) = found.get_mut(&task) {
                        task.ending = Some(ending);
                    }
                }
                Report::Stopped(task, why) => {
                    if let Some(task) = found.get_mut(&task) {
                        task.stopped = Some(why);
                    }
                }
                // An earlier agent asked.
                Report::Idle | Report::Usage { .. } => {}
                Report::Complete { incarnation } => {
                    recover_logs(&found, ears, leftovers);
                    connection.hurry(false)?;
                    ears.hear(key, reports, orders);
                    return Ok(found.into_values().map(|task| Recovered { incarnation, ..task }).collect());
                }
            }
        }
    }
}

/// Keeps what an earlier agent had in files of the output of tasks in queues.
fn recover_logs(found: &BTreeMap<TaskId, Recovered>, ears: &Ears, leftovers: &Leftovers) {
    for queue in found.values().filter_map(|task| task.queue.as_ref()) {
        for task in leftovers.tasks().filter(|task| queue.0.lives(*task)) {
            ears.logs.recover(task, leftovers);
        }
        for task in leftovers.tasks().filter(|task| queue.0.has_ended(*task)) {
            ears.logs.recover(task, leftovers);
            ears.logs.end(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_again_by_its_name() {
        for (key, is_idle_only) in [((FrameworkId(7), 1), false), ((FrameworkId(7), 12), true)] {
            assert_eq!(parse(&folder_name(key, is_idle_only)), Some((key, is_idle_only)));
        }
        assert_eq!(parse("7-x-idle"), None);
    }
}
