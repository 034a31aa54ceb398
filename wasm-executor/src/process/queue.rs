//! The queue of one allocation: which of its tasks run, which wait, and how those ended of which nobody has taken note.
//!
//! The next task begins as soon as there is room for it: whoever tells of an end gets what is to be launched. Tasks begin in
//! the order in which they came; one that has no room holds up those behind it, so that none waits for ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use haggle_core::queue::{Index, Shape};
use haggle_core::{
    AllocationSpec, Ending, HeldRun, QueueEnd, QueuedTasks, Reason, Resources, Source, Stop, TaskId, TaskState,
    UpdateId, VolumeId,
};

use super::tail::Tail;
use super::wire::{HeldBatch, Report};
use crate::event::{Launch, MountedVolume, Stream};

/// Ends that nobody has taken note of. With more of them nothing is begun: some megabytes, and half a second of the fastest
/// machine that we have measured.
const UNSETTLED_MAX: u64 = 65_536;

/// Ends that are told together. With more of them, a message costs little for each.
const TOGETHER_MAX: usize = 256;

/// The variable that tells a task which one it is. An agent sets it for the first of a batch, unless it is to be told nothing.
pub const TASK_VARIABLE: &str = "HAGGLE_TASK_ID";

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Queue {
    spec: AllocationSpec,
    last: bool,
    /// Why all that is in it was told to end.
    stopped: Option<Stop>,
    /// What none of the tasks that run holds.
    free: Resources,
    /// Which volumes those have that run.
    mounted: BTreeMap<VolumeId, Mounted>,
    waiting: VecDeque<Batch>,
    /// By their numbers.
    running: BTreeMap<u64, Running>,
    /// In the order in which they ended.
    ended: VecDeque<QueueEnd>,
    /// How many tasks those are.
    unsettled: u64,
    /// Of those, what the agent was told: so many from the front.
    told: usize,
    /// Begun, and the agent was not told.
    started: Vec<u64>,
    /// Of tasks that have ended, the output that is in no file of an agent's.
    outputs: BTreeMap<u64, Box<[Tail; 2]>>,
}

/// Tasks of one kind, of which some have begun.
#[derive(Debug)]
struct Batch {
    launch: Arc<Template>,
    /// How many before the next one, counted from the template's own.
    at: u64,
    /// How many there are from there on.
    count: u64,
}

/// What the tasks of a batch have in common.
#[derive(Debug)]
struct Template {
    launch: Launch,
    index: Option<Index>,
    shape: Arc<Shape>,
}

#[derive(Debug)]
struct Running {
    template: Arc<Template>,
    started: bool,
    /// It is to end. Whoever asked for that may have been faster than the launch.
    killed: bool,
    /// Made by its first output: most have none.
    output: Option<Box<[Tail; 2]>>,
}

/// How a volume is used by the tasks that run.
#[derive(Debug)]
enum Mounted {
    /// By so many, and nobody writes it.
    Read(usize),
    /// By one, and nobody else has it: so its size holds.
    Written,
}

/// Whether a task may have a volume beside those that run.
fn is_to_be_had(mounted: &BTreeMap<VolumeId, Mounted>, volume: &MountedVolume) -> bool {
    match mounted.get(&volume.id) {
        None => true,
        Some(Mounted::Read(_)) => !volume.writable,
        Some(Mounted::Written) => false,
    }
}

/// What a kill found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Killed {
    /// It runs, and its executor is to end it.
    Runs,
    /// It has not begun, and has ended with that.
    Waited,
    /// It is not here, or has ended.
    Nothing,
}

impl Template {
    /// The task of this number as it is launched.
    fn task(&self, at: u64) -> Launch {
        let tasks = QueuedTasks { spec: Arc::clone(&self.launch.spec), count: 1, index: self.index.clone() };
        let spec = tasks.task(at);
        let mut launch = self.launch.clone();
        for (_, value) in launch.env.iter_mut().filter(|(name, _)| name == TASK_VARIABLE) {
            *value = spec.id.to_string();
        }
        launch.spec = Arc::new(spec);
        launch
    }

    fn first(&self) -> u64 {
        self.launch.spec.id.number
    }
}

impl Queue {
    pub(super) fn new(spec: AllocationSpec) -> Self {
        Self {
            free: spec.resources.clone(),
            mounted: BTreeMap::new(),
            spec,
            last: false,
            stopped: None,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            unsettled: 0,
            told: 0,
            started: Vec::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Takes tasks in: so many of a batch, from this one of it on.
    pub(super) fn push(&mut self, launch: Launch, index: Option<Index>, at: u64, count: u64) {
        let shape = Arc::new(Shape::from(&*launch.spec));
        self.waiting.push_back(Batch { launch: Arc::new(Template { launch, index, shape }), at, count });
    }

    /// No more follow.
    pub(super) fn close(&mut self) {
        self.last = true;
    }

    /// The next task, if there is room for it.
    pub(super) fn next(&mut self) -> Option<Launch> {
        if self.unsettled >= UNSETTLED_MAX {
            return None;
        }
        let batch = self.waiting.front_mut()?;
        let wants = &batch.launch.launch;
        if !wants.volumes.iter().all(|volume| is_to_be_had(&self.mounted, volume)) {
            return None;
        }
        self.free.take(&wants.spec.resources).ok()?;
        for volume in &wants.volumes {
            let mounted = self.mounted.entry(volume.id).or_insert(Mounted::Read(0));
            match mounted {
                _ if volume.writable => *mounted = Mounted::Written,
                Mounted::Read(tasks) => *tasks += 1,
                Mounted::Written => {}
            }
        }
        let (template, at) = (Arc::clone(&batch.launch), batch.at);
        batch.at += 1;
        batch.count -= 1;
        if batch.count == 0 {
            self.waiting.pop_front();
        }
        let launch = template.task(at);
        let running = Running { template, started: false, killed: false, output: None };
        self.running.insert(launch.spec.id.number, running);
        Some(launch)
    }

    /// It begins. True when it is to end.
    pub(super) fn started(&mut self, number: u64) -> bool {
        let Some(running) = self.running.get_mut(&number) else { return false };
        running.started = true;
        self.started.push(number);
        running.killed
    }

    /// It wrote something. Gives its offset.
    pub(super) fn output(&mut self, number: u64, stream: Stream, bytes: Bytes) -> Option<u64> {
        let running = self.running.get_mut(&number)?;
        Some(Tail::of(running.output.get_or_insert_default(), stream).append(bytes))
    }

    /// Output has come to the agent, and some of it is safe there.
    pub(super) fn taken(&mut self, number: u64, stream: Stream, received: u64, stored: u64) {
        let running = self.running.get_mut(&number).and_then(|running| running.output.as_mut());
        if let Some(output) = running.or_else(|| self.outputs.get_mut(&number)) {
            Tail::of(output, stream).taken(received, stored);
        }
    }

    /// One that ran has ended: what it held is free.
    pub(super) fn ended(&mut self, number: u64, ending: Ending) {
        let Some(Running { template, output, .. }) = self.running.remove(&number) else { return };
        self.free.give(&template.launch.spec.resources);
        for volume in &template.launch.volumes {
            match self.mounted.get_mut(&volume.id) {
                Some(Mounted::Read(tasks)) if *tasks > 1 => *tasks -= 1,
                _ => drop(self.mounted.remove(&volume.id)),
            }
        }
        self.outputs.extend(output.map(|output| (number, output)));
        self.end(number, 1, ending);
    }

    /// Ends one task.
    pub(super) fn kill(&mut self, number: u64) -> Killed {
        if let Some(running) = self.running.get_mut(&number) {
            running.killed = true;
            return Killed::Runs;
        }
        let holds = |batch: &Batch| {
            let first = batch.launch.first() + batch.at;
            number.checked_sub(first).is_some_and(|at| at < batch.count)
        };
        let Some(place) = self.waiting.iter().position(holds) else { return Killed::Nothing };
        let Batch { launch, at, count } = self.waiting.remove(place).expect("it was just found");
        let before = number - launch.first() - at;
        let rest = Batch { launch: Arc::clone(&launch), at: at + before + 1, count: count - before - 1 };
        for part in [rest, Batch { launch, at, count: before }] {
            if part.count > 0 {
                self.waiting.insert(place, part);
            }
        }
        self.end(number, 1, never_began());
        Killed::Waited
    }

    /// Ends every task that waits. Gives those that run, which their executor is to end. All of them say why.
    pub(super) fn kill_all(&mut self, why: Stop) -> Vec<TaskId> {
        self.stopped.get_or_insert(why);
        for Batch { launch, at, count } in std::mem::take(&mut self.waiting) {
            self.end(launch.first() + at, count, never_began());
        }
        self.running.values_mut().for_each(|running| running.killed = true);
        self.running.keys().map(|&number| TaskId { number, ..self.spec.id }).collect()
    }

    /// Somebody has taken note of so many ends more.
    pub(super) fn settle(&mut self, mut ends: u64) {
        while let Some(first) = self.ended.front_mut().filter(|_| ends > 0) {
            let settled = first.count.min(ends);
            for number in first.first..first.first + settled {
                self.outputs.remove(&number);
            }
            first.first += settled;
            first.count -= settled;
            ends -= settled;
            self.unsettled -= settled;
            if first.count == 0 {
                self.ended.pop_front();
                self.told = self.told.saturating_sub(1);
            }
        }
    }

    /// Whether what is to be told of it may wait: it is not much, and there is enough to do.
    pub(super) fn can_wait(&self) -> bool {
        self.ended.len() - self.told < TOGETHER_MAX && !self.waiting.is_empty()
    }

    /// What is to be told of it.
    pub(super) fn news(&mut self) -> Option<Report> {
        let started = std::mem::take(&mut self.started);
        let started: Vec<u64> = started.into_iter().filter(|number| self.running.contains_key(number)).collect();
        let ended: Vec<QueueEnd> = self.ended.range(self.told..).cloned().collect();
        self.told = self.ended.len();
        let is_news = !started.is_empty() || !ended.is_empty();
        is_news.then(|| Report::QueueNews { allocation: self.spec.id, started, ended: as_told(ended) })
    }

    /// Everything about it, to an agent that knows nothing.
    pub(super) fn tell(&mut self, mut report: impl FnMut(Report)) {
        let run = |first, count, state, shape: &Arc<Shape>| HeldRun {
            first,
            count,
            state,
            update: UpdateId::UNACKNOWLEDGED,
            shape: Arc::clone(shape),
        };
        let running = self.running.iter().map(|(&number, running)| {
            let state = if running.started { TaskState::Running } else { TaskState::Staging };
            run(number, 1, state, &running.template.shape)
        });
        let waiting = self
            .waiting
            .iter()
            .map(|batch| run(batch.launch.first() + batch.at, batch.count, TaskState::Staging, &batch.launch.shape));
        let runs: Vec<HeldRun> = running.chain(waiting).collect();
        report(Report::HeldQueue {
            spec: self.spec.clone(),
            last: self.last,
            runs: runs.iter().map(|run| (run.first, run.count, run.state, Shape::clone(&run.shape))).collect(),
            batches: self.batches(),
        });
        if let Some(why) = &self.stopped {
            report(Report::Stopped(self.spec.id, why.clone()));
        }
        let running = self.running.iter().filter_map(|(&number, running)| Some((number, running.output.as_ref()?)));
        for (number, output) in running.chain(self.outputs.iter().map(|(&number, output)| (number, output))) {
            let task = TaskId { number, ..self.spec.id };
            for (stream, tail) in [Stream::Stdout, Stream::Stderr].into_iter().zip(output.iter()) {
                tail.tell(task, stream, &mut report);
            }
        }
        self.started.clear();
        self.told = self.ended.len();
        let ended: Vec<QueueEnd> = self.ended.iter().cloned().collect();
        report(Report::QueueNews { allocation: self.spec.id, started: Vec::new(), ended: as_told(ended) });
    }

    /// Batches of which some tasks have not ended: how many are left of each.
    fn batches(&self) -> Vec<HeldBatch> {
        let mut left: BTreeMap<u64, u64> = BTreeMap::new();
        for batch in &self.waiting {
            *left.entry(batch.launch.first()).or_default() += batch.count;
        }
        for running in self.running.values() {
            *left.entry(running.template.first()).or_default() += 1;
        }
        left.into_iter().map(|(first, left)| HeldBatch { first, left }).collect()
    }

    fn end(&mut self, first: u64, count: u64, ending: Ending) {
        self.unsettled += count;
        let ending = match &self.stopped {
            Some(why) => why.explain(ending),
            None => ending,
        };
        self.ended.push_back(QueueEnd { first, count, source: Source::Executor, ending });
    }
}

/// As they travel: who says so is known.
fn as_told(ended: Vec<QueueEnd>) -> Vec<(u64, u64, Ending)> {
    ended.into_iter().map(|end| (end.first, end.count, end.ending)).collect()
}

fn never_began() -> Ending {
    let reason = Reason::KilledDuringLaunch;
    QueueEnd::never_ran(0, 1, Source::Executor, TaskState::Killed, reason, "killed before it started").ending
}

#[cfg(test)]
mod tests;
