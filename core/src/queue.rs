//! Queues in allocations: what a framework asks for, and what is said of the tasks in one.
//!
//! An allocation is a task without a module of its own: it holds resources on one agent, and the tasks in its queue run
//! within those, one after the other. What holds of every task holds of it: its id, updates, kills, accounts.

mod news;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use news::{QueueNews, QueueRun};
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, Digest, TaskId, UpdateId, VolumeId};
use crate::invalid::InvalidSpec;
use crate::resources::{Resources, Shortage};
use crate::spec::NAME_MAX;
use crate::task::{Ending, Reason, Source, TaskSpec, TaskState, TaskStatus, Usage};

/// Resources of one agent, held for the tasks that are put into the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationSpec {
    /// Its name in the cluster, from the same numbers as those of tasks.
    pub id: TaskId,
    /// A label for people; need not be unique.
    pub name: String,
    /// Which role it counts towards: that of the offer it is opened on, whatever a framework says here.
    pub role: String,
    /// What its tasks share. As many run at once as fit into it.
    pub resources: Resources,
    /// Volumes of the offers that its tasks may mount, while it has them; [`Self::VOLUMES_MAX`] at most.
    pub volumes: Vec<QueueVolume>,
    /// How long it stays open with nothing in its queue.
    pub idle_timeout: Duration,
}

/// A volume that the tasks in the queue of an allocation may mount. Any number of them read it at once; one that may write it runs
/// while no other one has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueVolume {
    /// Which one.
    pub id: VolumeId,
    /// Whether they may write it, which they may unless it is shared, whatever a framework says here.
    pub writable: bool,
}

impl From<VolumeId> for QueueVolume {
    fn from(id: VolumeId) -> Self {
        Self { id, writable: true }
    }
}

/// An allocation that nobody can open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllocation {
    /// It holds nothing.
    #[error("an allocation needs some cpus and some memory for its tasks")]
    Empty,
    /// It wants processor time of both kinds.
    #[error("an allocation has cpus of its own or revocable ones, and not both")]
    BothCpus,
    /// Its name is too long.
    #[error("a name of {0} bytes, and there may be {NAME_MAX}")]
    Name(usize),
    /// Too many volumes, or one twice.
    #[error("{0} volumes, or one of them twice: an allocation has up to {max}, each once", max = AllocationSpec::VOLUMES_MAX)]
    Volumes(usize),
    /// It would close before it can be used, or hold what nobody uses.
    #[error("an idle timeout of {0:?} is not between 1 ms and {max:?}", max = AllocationSpec::IDLE_MAX)]
    IdleTimeout(Duration),
}

impl AllocationSpec {
    /// The longest that an allocation may hold what nobody uses.
    pub const IDLE_MAX: Duration = Duration::from_secs(3600);
    /// Volumes of one allocation: as many as there are on an agent.
    pub const VOLUMES_MAX: usize = 64;
    /// How long one stays open that names no time: some round trips, and nothing to anybody who waits.
    pub const IDLE_DEFAULT: Duration = Duration::from_millis(500);

    /// Whether it could be opened at all.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidAllocation> {
        let Resources { cpus, revocable, mem, .. } = self.resources;
        if cpus.is_zero() && revocable.is_zero() || mem.is_zero() {
            return Err(InvalidAllocation::Empty);
        }
        if !cpus.is_zero() && !revocable.is_zero() {
            return Err(InvalidAllocation::BothCpus);
        }
        if self.name.len() > NAME_MAX {
            return Err(InvalidAllocation::Name(self.name.len()));
        }
        let each: BTreeSet<_> = self.volumes.iter().map(|volume| volume.id).collect();
        if self.volumes.len() > Self::VOLUMES_MAX || each.len() < self.volumes.len() {
            return Err(InvalidAllocation::Volumes(self.volumes.len()));
        }
        match self.idle_timeout {
            time if time < Duration::from_millis(1) || time > Self::IDLE_MAX => {
                Err(InvalidAllocation::IdleTimeout(time))
            }
            _ => Ok(()),
        }
    }
}

/// Tasks for a queue that differ in their number, and in one variable if they are to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedTasks {
    /// The first of them. The next ones have the numbers that follow.
    #[serde(with = "shared")]
    pub spec: Arc<TaskSpec>,
    /// How many there are; [`Self::MAX`] at most.
    pub count: u32,
    /// Which variable of its environment tells each of them which one it is.
    pub index: Option<Index>,
}

/// A variable that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name.
    pub variable: String,
    /// What it says to the first of the tasks.
    pub first: u64,
}

/// Tasks that nobody can put into a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQueued {
    /// None, too many, or more than there are numbers.
    #[error("{0} tasks of one kind from number {1} on: there may be 1 to {max}, and their numbers end at {end}", max = QueuedTasks::MAX, end = u64::MAX)]
    Count(u32, u64),
    /// The counting variable has no name that a variable can have, or one that is used.
    #[error("{0:?} cannot be the variable that counts: it is empty, has = or NUL in it, or is set already")]
    Variable(String),
    /// The tasks themselves.
    #[error(transparent)]
    Spec(#[from] InvalidSpec),
    /// They never fit.
    #[error("does not fit its allocation: {0}")]
    TooBig(Shortage),
}

impl QueuedTasks {
    /// Tasks in one of these: what a queue takes in at once is about a message.
    pub const MAX: u32 = 65_536;

    /// Whether these could run within so much.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn check(&self, within: &Resources) -> Result<(), InvalidQueued> {
        let first = self.spec.id.number;
        if self.count == 0 || self.count > Self::MAX || first.checked_add(u64::from(self.count)).is_none() {
            return Err(InvalidQueued::Count(self.count, first));
        }
        if let Some(Index { variable, .. }) = &self.index
            && (variable.is_empty()
                || variable.contains(['=', '\0'])
                || self.spec.env.iter().any(|(name, _)| name == variable))
        {
            return Err(InvalidQueued::Variable(variable.clone()));
        }
        self.spec.check()?;
        within.fits(&self.spec.resources).map_err(InvalidQueued::TooBig)
    }

    /// One of them, counted from 0.
    pub fn task(&self, at: u64) -> TaskSpec {
        let mut spec = TaskSpec::clone(&self.spec);
        spec.id.number += at;
        if let Some(Index { variable, first }) = &self.index {
            spec.env.push((variable.clone(), (first + at).to_string()));
        }
        spec
    }
}

/// What the tasks of a run have in common, for whoever only keeps accounts of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Their label.
    pub name: String,
    /// What each of them holds of its allocation.
    pub resources: Resources,
    /// What each of them runs, where that is known.
    pub module: Option<Digest>,
}

impl From<&TaskSpec> for Shape {
    fn from(spec: &TaskSpec) -> Self {
        Self { name: spec.name.clone(), resources: spec.resources.clone(), module: Some(spec.module) }
    }
}

/// Consecutive tasks that came to the same end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEnd {
    /// The number of the first of them.
    pub first: u64,
    /// How many there are. More than one only where none of them ever ran.
    pub count: u64,
    /// Who says so.
    pub source: Source,
    /// How.
    pub ending: Ending,
}

impl QueueEnd {
    /// An end of tasks that never ran.
    pub fn never_ran(first: u64, count: u64, source: Source, state: TaskState, reason: Reason, message: &str) -> Self {
        let (message, usage) = (message.to_string(), Usage::default());
        let ending = Ending { state, reason: Some(reason), message, exit_code: None, exceeded: None, usage };
        Self { first, count, source, ending }
    }
}

/// News of the tasks in one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUpdate {
    /// Which allocation.
    pub allocation: TaskId,
    /// Which of the allocation's updates this is. To be acknowledged as such, and with it all before it;
    /// [`UpdateId::UNACKNOWLEDGED`] when there is nothing that anybody has to take note of.
    pub update: UpdateId,
    /// Where it is.
    pub agent: Option<AgentId>,
    /// Tasks that have begun and not ended, by their numbers. Said once.
    pub started: Vec<u64>,
    /// Tasks that have ended, in the order in which they did.
    pub ended: Vec<QueueEnd>,
}

impl QueueUpdate {
    /// What the master itself has found out. There is nothing to be acknowledged.
    pub(crate) fn by_master(allocation: TaskId, agent: Option<AgentId>, ended: Vec<QueueEnd>) -> Self {
        Self { allocation, update: UpdateId::UNACKNOWLEDGED, agent, started: Vec::new(), ended }
    }

    /// The same as the status of each task that has ended. None of them is to be acknowledged by itself.
    pub fn ends(self) -> impl Iterator<Item = TaskStatus> {
        let (framework, agent) = (self.allocation.framework, self.agent);
        self.ended.into_iter().flat_map(move |QueueEnd { first, count, source, ending }| {
            (first..first.saturating_add(count)).map(move |number| {
                let task = TaskId { framework, number };
                let told = TaskStatus::ended(task, UpdateId::UNACKNOWLEDGED, source, ending.clone());
                TaskStatus { agent, ..told }
            })
        })
    }

    /// How this task ended, if the update says so.
    pub fn end_of(&self, task: TaskId) -> Option<TaskStatus> {
        let is_its = |end: &&QueueEnd| task.number.checked_sub(end.first).is_some_and(|at| at < end.count);
        let end = self.ended.iter().find(is_its).filter(|_| task.framework == self.allocation.framework)?;
        Some(self.status_of(task, end))
    }

    /// The same as the status of one of the tasks of which an end in it tells.
    pub(crate) fn status_of(&self, task: TaskId, end: &QueueEnd) -> TaskStatus {
        let told = TaskStatus::ended(task, UpdateId::UNACKNOWLEDGED, end.source, end.ending.clone());
        TaskStatus { agent: self.agent, ..told }
    }

    /// The numbers of the tasks that have ended as runs: first and count, in order.
    pub fn ended_runs(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = self.ended.iter().map(|end| (end.first, end.count)).collect();
        runs.sort_unstable();
        runs.dedup_by(|next, before| {
            let joins = before.0.checked_add(before.1) == Some(next.0);
            if joins {
                before.1 += next.1;
            }
            joins
        });
        runs
    }
}

/// What an agent that comes back holds in one allocation's queue, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldQueue {
    /// Which allocation.
    pub allocation: TaskId,
    /// Tasks in it that have not ended, or whose end is not acknowledged.
    pub runs: Vec<HeldRun>,
}

/// Consecutive tasks that stand alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRun {
    /// The number of the first of them.
    pub first: u64,
    /// How many there are.
    pub count: u64,
    /// Where each of them stands.
    pub state: TaskState,
    /// Of those that have ended, which update of the allocation will tell how.
    pub update: UpdateId,
    /// What they have in common.
    pub shape: Arc<Shape>,
}

/// What people are told of tasks that came to their allocation too late.
pub(crate) fn came_too_late(allocation: TaskId) -> String {
    format!("{allocation} ended before it arrived there")
}

mod shared {
    use alloc::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, to)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests;
