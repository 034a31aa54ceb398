//! The tasks that ended last.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::modules::Modules;
use super::queued::Queued;
use super::state::Task;
use crate::access::Tenant;
use crate::id::{FrameworkId, TaskId};
use crate::queue::{QueueEnd, QueueUpdate};
use crate::runs::Run;
use crate::task::{TaskState, TaskStatus};

/// Tasks whose end is told and acknowledged, so that questions about them have answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    tasks: BTreeMap<TaskId, (u64, Box<Task>)>,
    /// By the place of its first task, from the one that ended first.
    order: BTreeMap<u64, Entry>,
    /// The place of the next one.
    next: u64,
    /// What is before this place is forgotten.
    oldest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Task(TaskId),
    /// They end too fast to be looked at one by one. Each end in the update has a place. With the first and the last of them, so that
    /// one is found without a look at those behind.
    Queue(TaskId, TaskId, EndedQueued),
}

/// Tasks of a queue whose ends were told and acknowledged together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndedQueued {
    pub(super) tenant: Arc<Tenant>,
    pub(super) update: Arc<QueueUpdate>,
    /// Those of which the update tells the last word, in order.
    pub(super) runs: Vec<Run<Queued>>,
}

/// A task that has ended.
#[derive(Clone, Copy)]
pub(super) enum Ended<'a> {
    Task(&'a Task),
    Queued { tenant: &'a Arc<Tenant>, queued: &'a Queued, update: &'a QueueUpdate, end: &'a QueueEnd },
}

impl Ended<'_> {
    pub(super) fn tenant(&self) -> &Arc<Tenant> {
        match self {
            Self::Task(task) => &task.tenant,
            Self::Queued { tenant, .. } => tenant,
        }
    }

    /// How it ended.
    pub(super) fn state(&self) -> TaskState {
        match self {
            Self::Task(task) => task.status.state,
            Self::Queued { end, .. } => end.ending.state,
        }
    }

    /// The last word on one that was in a queue.
    pub(super) fn queued_status(&self, id: TaskId) -> Option<TaskStatus> {
        match self {
            Self::Task(_) => None,
            Self::Queued { update, end, .. } => Some(update.status_of(id, end)),
        }
    }
}

/// Where those are found that a framework had in queues: made for who asks after many.
pub(super) struct EndedOf(Vec<(TaskId, TaskId, u64)>);

impl EndedQueued {
    /// Behind so many of its ends, each with the number of ends before it.
    fn behind(&self, passed: u64) -> impl Iterator<Item = (u64, TaskId, Ended<'_>)> {
        let Self { tenant, update, runs } = self;
        let mut before = 0_u64;
        let placed = update.ended.iter().map(move |end| {
            let at = before;
            before = before.saturating_add(end.count);
            (at, end)
        });
        placed.flat_map(move |(at, end)| {
            (passed.saturating_sub(at)..end.count).filter_map(move |nth| {
                let id = TaskId { number: end.first.saturating_add(nth), ..update.allocation };
                let run = runs.get(runs.partition_point(|run| run.last() < id)).filter(|run| run.first <= id)?;
                Some((at.saturating_add(nth), id, Ended::Queued { tenant, queued: &run.value, update, end }))
            })
        })
    }

    /// How many places its ends take.
    fn ends(&self) -> u64 {
        self.update.ended.iter().fold(0, |sum, end| sum.saturating_add(end.count))
    }

    /// The same with an update that tells of each of these tasks once, and of nothing else: so that what an agent says twice,
    /// or makes up, takes no place.
    fn exact(self) -> Self {
        if self.ends() == self.runs.iter().map(|run| run.count).sum() {
            return self;
        }
        let mut told: Vec<&QueueEnd> = self.update.ended.iter().collect();
        told.sort_by_key(|end| end.first);
        let mut told = told.into_iter().peekable();
        let mut ended = Vec::new();
        for run in &self.runs {
            let (mut first, last) = (run.first.number, run.last().number);
            while first <= last {
                let behind = |end: &&QueueEnd| end.first.saturating_add(end.count) <= first;
                while told.next_if(behind).is_some() {}
                let Some(end) = told.peek() else { break };
                let count = end.first.saturating_add(end.count).min(last.saturating_add(1)) - first;
                ended.push(QueueEnd { first, count, ..(*end).clone() });
                first += count;
            }
        }
        let QueueUpdate { allocation, update, agent, .. } = *self.update;
        Self { update: Arc::new(QueueUpdate { allocation, update, agent, started: Vec::new(), ended }), ..self }
    }
}

impl History {
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(|(_, task)| &**task)
    }

    /// The first of these that is remembered, of those that were in no queue.
    pub(super) fn first_in(&self, first: TaskId, last: TaskId) -> Option<(TaskId, &Task)> {
        self.tasks.range(first..=last).next().map(|(&id, (_, task))| (id, &**task))
    }

    /// From this place on, each with its own, from the one that ended first.
    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = (u64, TaskId, Ended<'_>)> {
        let place = place.max(self.oldest);
        // The one before may be many, of which some are behind the place.
        let start = self.order.range(..=place).next_back().map_or(place, |(&start, _)| start);
        self.order.range(start..).flat_map(move |(&at, entry)| {
            let (task, queue) = match entry {
                Entry::Task(id) => (Some((at, *id, Ended::Task(&self.tasks[id].1))).filter(|_| at >= place), None),
                Entry::Queue(.., ended) => (None, Some(ended.behind(place.saturating_sub(at)))),
            };
            let placed = move |(nth, id, ended)| (at.saturating_add(nth), id, ended);
            task.into_iter().chain(queue.into_iter().flatten().map(placed))
        })
    }

    /// One that was in a queue.
    pub(super) fn queued(&self, id: TaskId) -> Option<Ended<'_>> {
        let named = |ended: &EndedQueued| ended.runs.iter().any(|run| run.first <= id && id <= run.last());
        self.order.iter().rev().find_map(|(&at, entry)| match entry {
            Entry::Queue(first, last, ended) if *first <= id && id <= *last && named(ended) => {
                ended.behind(self.oldest.saturating_sub(at)).find(|&(_, other, _)| other == id).map(|(.., known)| known)
            }
            _ => None,
        })
    }

    /// Where those of a framework are. Takes time in proportion to all that is remembered.
    pub(super) fn queued_of(&self, framework: FrameworkId) -> EndedOf {
        let mut runs: Vec<_> = self
            .order
            .iter()
            .filter_map(|(&at, entry)| match entry {
                Entry::Queue(first, _, ended) if first.framework == framework => Some((at, ended)),
                _ => None,
            })
            .flat_map(|(at, ended)| ended.runs.iter().map(move |run| (run.first, run.last(), at)))
            .collect();
        runs.sort_unstable();
        EndedOf(runs)
    }

    /// One of those.
    pub(super) fn queued_among(&self, of: &EndedOf, id: TaskId) -> Option<TaskStatus> {
        let at = of.0.partition_point(|(first, ..)| *first <= id).checked_sub(1)?;
        let (_, last, place) = of.0[at];
        let Entry::Queue(.., ended) = self.order.get(&place).filter(|_| id <= last)? else { return None };
        let passed = self.oldest.saturating_sub(place);
        ended.behind(passed).any(|(_, other, _)| other == id).then(|| ended.update.end_of(id)).flatten()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let ends = self.order.iter().map(|(&at, entry)| match entry {
            Entry::Task(_) => 1,
            Entry::Queue(.., ended) => ended.ends() - self.oldest.saturating_sub(at),
        });
        usize::try_from(ends.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Adds some that were in a queue, and drops the oldest when there are more than `max`.
    pub(super) fn push_queued(&mut self, ended: EndedQueued, max: usize, modules: &mut Modules) {
        let (Some(first), Some(last)) = (ended.runs.first(), ended.runs.last()) else { return };
        let (first, last) = (first.first, last.last());
        let (ended, place) = (ended.exact(), self.next);
        self.next = self.next.saturating_add(ended.ends());
        self.order.insert(place, Entry::Queue(first, last, ended));
        self.forget_oldest(max, modules);
    }

    /// Adds one, and drops the oldest when there are more than `max`.
    pub(super) fn push(&mut self, id: TaskId, task: Box<Task>, max: usize, modules: &mut Modules) {
        if let Some(at) = self.forget(id, modules) {
            self.order.remove(&at);
        }
        self.tasks.insert(id, (self.next, task));
        self.order.insert(self.next, Entry::Task(id));
        self.next = self.next.saturating_add(1);
        self.forget_oldest(max, modules);
    }

    /// Its place, if it was remembered.
    fn forget(&mut self, id: TaskId, modules: &mut Modules) -> Option<u64> {
        let (at, task) = self.tasks.remove(&id)?;
        if let Some(module) = task.module {
            modules.give_back(module);
        }
        Some(at)
    }

    fn forget_oldest(&mut self, max: usize, modules: &mut Modules) {
        self.oldest = self.oldest.max(self.next.saturating_sub(max as u64));
        while let Some(oldest) = self.order.first_entry() {
            let end = oldest.key().saturating_add(match oldest.get() {
                Entry::Task(_) => 1,
                Entry::Queue(.., ended) => ended.ends(),
            });
            if end > self.oldest {
                return;
            }
            if let Entry::Task(id) = oldest.remove() {
                self.forget(id, modules);
            }
        }
    }
}
