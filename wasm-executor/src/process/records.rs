//! What an executor's process keeps in mind: a record of every task and every queue, and what its agent is still to be told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use haggle_core::queue::Index;
use haggle_core::{AllocationSpec, Ending, Stop, TaskId, TaskSpec, TaskSummary, Usage};
use parking_lot::{Condvar, Mutex};

use super::queue::{Killed, Queue};
use super::tail::Tail;
use super::wire::Report;
use super::writer::Writer;
use crate::event::{Event, Launch, Listener, Stream};
use crate::executor::Executor;

/// Ends of tasks in queues are told together for so long, as long as others wait there: each message costs everybody on the way to
/// the framework, and back, as much as some short tasks. Who keeps a queue filled puts in more than is done meanwhile.
const TOGETHER: Duration = Duration::from_millis(40);

/// Shared by the workers, who report, and the threads that speak to the agent.
///
/// One lock orders everything, so that what an agent is told when it comes and what it is told from then on fit
/// together without a gap. Nothing blocks under it.
#[derive(Default)]
pub(super) struct TaskRecords {
    state: Mutex<State>,
    /// The agent is to be told something that was not sent yet.
    unsent: AtomicBool,
    /// There is no task or no agent any more, or the process is to end.
    quieter: Condvar,
    /// Who runs the tasks of queues.
    executor: OnceLock<Executor>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<TaskId, Record>,
    /// Of allocations.
    queues: BTreeMap<TaskId, Queue>,
    /// In whose queue the tasks of queues are that run.
    homes: HashMap<TaskId, TaskId>,
    /// The process ends: nothing is begun any more.
    ends: bool,
    /// Something other than news of queues is to be told.
    urgent: bool,
    /// When the news of queues were told last.
    reported: Option<Instant>,
    /// To the agent, while there is one.
    writer: Option<Arc<Writer<Report>>>,
    /// Agents so far.
    agents: u32,
    /// Since when there has been no task.
    idle_since: Option<Instant>,
    /// Since when there has been no agent. Before the first, since the start.
    alone_since: Option<Instant>,
    /// Why the process is to end.
    ended: Option<&'static str>,
}

/// What follows from news of a task in a queue.
#[derive(Default)]
struct Next {
    /// There is room for these.
    launches: Vec<Launch>,
    /// It is to end, and may not have been there when that was said.
    kill: Option<TaskId>,
}

/// All that there is to say of a task. Of its spec only what an agent that comes back needs: arguments, environment
/// and standard input may have a MiB, and are the executor's while it runs.
struct Record {
    summary: TaskSummary,
    started: bool,
    /// Why it was told to end before it had.
    stopped: Option<Box<Stop>>,
    /// Apart, since most records are of tasks that have none yet.
    ending: Option<Box<Ending>>,
    outputs: [Tail; 2],
}

/// Since when there has been neither work nor an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    /// Why the process is to end, if that was said.
    pub(super) ended: Option<&'static str>,
    /// Agents so far.
    pub(super) agents: u32,
    pub(super) idle_since: Option<Instant>,
    pub(super) alone_since: Option<Instant>,
}

impl TaskRecords {
    pub(super) fn new() -> Self {
        let records = Self::default();
        {
            let mut state = records.state.lock();
            state.idle_since = Some(Instant::now());
            state.alone_since = Some(Instant::now());
        }
        records
    }

    /// An agent is there: everything that is held becomes the first that it hears. Returns how many came before it, and
    /// what it is to be told.
    pub(super) fn connect(&self) -> (u32, Arc<Writer<Report>>) {
        let mut state = self.state.lock();
        let incarnation = state.agents;
        state.agents += 1;
        state.alone_since = None;
        let writer = Arc::<Writer<Report>>::default();
        for (&task, record) in &mut state.tasks {
            record.tell(task, &writer);
        }
        for queue in state.queues.values_mut() {
            queue.tell(|report| put(&report, &writer));
        }
        put(&Report::Complete { incarnation }, &writer);
        state.writer = Some(Arc::clone(&writer));
        (incarnation, writer)
    }

    /// The agent is gone. What happens from now on is for the next one.
    pub(super) fn disconnect(&self) {
        let mut state = self.state.lock();
        let writer = state.writer.take();
        state.alone_since = Some(Instant::now());
        self.quieter.notify_all();
        drop(state);
        writer.inspect(Writer::finish);
    }

    /// The process is to end, for this reason.
    pub(super) fn end(&self, why: &'static str) {
        self.state.lock().ended = Some(why);
        self.quieter.notify_all();
    }

    /// A task is about to be launched. False when it was before.
    pub(super) fn open(&self, spec: &TaskSpec) -> bool {
        let mut state = self.state.lock();
        state.idle_since = None;
        let new = !state.tasks.contains_key(&spec.id);
        if new {
            let record = Record {
                summary: TaskSummary::from(spec),
                started: false,
                stopped: None,
                ending: None,
                outputs: [Tail::default(), Tail::default()],
            };
            state.tasks.insert(spec.id, record);
        }
        new
    }

    /// The tasks of queues are launched here from now on.
    pub(super) fn launch_with(&self, executor: Executor) {
        // It is said once.
        let _ = self.executor.set(executor);
    }

    /// An allocation is opened. Again, it goes on as it is.
    pub(super) fn open_queue(&self, spec: AllocationSpec) {
        let mut state = self.state.lock();
        state.idle_since = None;
        state.queues.entry(spec.id).or_insert_with(|| Queue::new(spec));
    }

    /// Tasks come to a queue, and those that fit begin.
    pub(super) fn enqueue(&self, allocation: TaskId, launch: Launch, index: Option<Index>, at: u64, count: u64) {
        self.change(allocation, |queue| queue.push(launch, index, at, count));
    }

    /// No more tasks come to a queue.
    pub(super) fn close_queue(&self, allocation: TaskId) {
        self.change(allocation, Queue::close);
    }

    /// The agent has let the framework take note of ends.
    pub(super) fn settle(&self, allocation: TaskId, ends: u64) {
        self.change(allocation, |queue| queue.settle(ends));
    }

    /// Ends a task, or all that is in a queue.
    pub(super) fn kill(&self, task: TaskId, why: Stop) {
        let mut state = self.state.lock();
        if let Some(record) = state.tasks.get_mut(&task)
            && record.ending.is_none()
        {
            record.stopped.get_or_insert_with(|| Box::new(why));
            drop(state);
            return self.kill_running(task);
        }
        if let Some(queue) = state.queues.get_mut(&task) {
            let running = queue.kill_all(why);
            self.unsent.store(true, Ordering::Release);
            drop(state);
            running.into_iter().for_each(|task| self.kill_running(task));
            return self.flush();
        }
        // What runs, and what waits for nothing but its turn, is the executor's to end.
        let waited = state.queues.values_mut().any(|queue| queue.kill(task.number) == Killed::Waited);
        drop(state);
        match waited {
            true => {
                self.unsent.store(true, Ordering::Release);
                self.flush();
            }
            false => self.kill_running(task),
        }
    }

    /// Nothing in a queue begins any more: the process ends.
    pub(super) fn end_queues(&self) {
        self.state.lock().ends = true;
    }

    fn kill_running(&self, task: TaskId) {
        if let Some(executor) = self.executor.get() {
            executor.kill(task);
        }
    }

    /// Changes a queue, and launches what there is room for then.
    fn change(&self, allocation: TaskId, change: impl FnOnce(&mut Queue)) {
        let mut state = self.state.lock();
        if let Some(queue) = state.queues.get_mut(&allocation) {
            change(queue);
            let next = state.next(allocation);
            drop(state);
            self.launch(next);
        }
    }

    fn launch(&self, next: Vec<Launch>) {
        if let Some(executor) = self.executor.get() {
            next.into_iter().for_each(|launch| executor.launch(launch));
        }
    }

    /// What the executor reports of a task.
    fn hear(&self, event: Event) {
        let (Event::Started { task } | Event::Output { task, .. } | Event::Ended { task, .. }) = event;
        let mut state = self.state.lock();
        if let Some(home) = state.homes.get(&task).copied() {
            let Next { launches, kill } = state.hear_queued(home, event);
            drop(state);
            self.unsent.store(true, Ordering::Release);
            kill.into_iter().for_each(|task| self.kill_running(task));
            return self.launch(launches);
        }
        state.urgent = true;
        let State { tasks, writer, .. } = &mut *state;
        let Some(record) = tasks.get_mut(&task) else { return };
        let report = match event {
            Event::Started { .. } => {
                record.started = true;
                Report::Started(task)
            }
            Event::Output { stream, bytes, .. } => {
                let offset = Tail::of(&mut record.outputs, stream).append(bytes.clone());
                Report::Output { task, stream, offset, bytes }
            }
            Event::Ended { ending, .. } => {
                record.ending = Some(Box::new(ending.clone()));
                Report::Ended(task, ending)
            }
        };
        if let Some(writer) = writer {
            put(&report, writer);
            self.unsent.store(true, Ordering::Release);
        }
    }

    /// Sends what the agent is to be told.
    fn flush(&self) {
        if self.unsent.swap(false, Ordering::AcqRel) {
            let writer = self.state.lock().report_queues();
            writer.inspect(|writer| writer.flush());
        }
    }

    /// The same, but waits for more where few tasks of queues have ended since the last time, and others wait. For how long, if so.
    fn flush_unless_it_can_wait(&self) -> Option<Duration> {
        let waits = self.unsent.load(Ordering::Acquire).then(|| self.state.lock().can_wait()).flatten();
        if waits.is_none() {
            self.flush();
        }
        waits
    }

    /// Output has come to the agent, and some of it is safe there.
    pub(super) fn taken(&self, task: TaskId, stream: Stream, received: u64, stored: u64) {
        let mut state = self.state.lock();
        if let Some(record) = state.tasks.get_mut(&task) {
            return Tail::of(&mut record.outputs, stream).taken(received, stored);
        }
        for queue in state.queues.values_mut() {
            queue.taken(task.number, stream, received, stored);
        }
    }

    /// Nobody will ask for this task again.
    pub(super) fn forget(&self, task: TaskId) {
        let mut state = self.state.lock();
        let forgotten = (state.tasks.remove(&task), state.queues.remove(&task));
        if state.tasks.is_empty() && state.queues.is_empty() && state.idle_since.is_none() {
            state.idle_since = Some(Instant::now());
            self.quieter.notify_all();
        }
        drop(state);
        // It may hold a lot.
        drop(forgotten);
    }

    /// Answers the agent.
    pub(super) fn tell_usage(&self, request: u64, usage: Option<Usage>) {
        let state = self.state.lock();
        if let Some(writer) = &state.writer {
            put(&Report::Usage { request, usage }, writer);
            writer.flush();
        }
    }

    /// Tells the agent that there has been nothing to do, and begins to count anew.
    pub(super) fn say_idle(&self) {
        let mut state = self.state.lock();
        if state.tasks.is_empty() && state.queues.is_empty() {
            state.idle_since = Some(Instant::now());
            if let Some(writer) = &state.writer {
                put(&Report::Idle, writer);
                writer.flush();
            }
        }
    }

    /// Waits until it may have become quieter, or the moment comes; `None` waits for the first alone.
    pub(super) fn wait_for_quiet(&self, until: Option<Instant>) -> Quiet {
        let mut state = self.state.lock();
        match until {
            Some(until) => {
                self.quieter.wait_until(&mut state, until);
            }
            None => self.quieter.wait(&mut state),
        }
        state.quiet()
    }

    /// How quiet it is now.
    pub(super) fn quiet(&self) -> Quiet {
        self.state.lock().quiet()
    }
}

/// The records as what listens to the executor.
#[derive(Clone)]
pub(super) struct Listening(pub(super) Arc<TaskRecords>);

impl Listener for Listening {
    fn hear(&self, event: Event) {
        self.0.hear(event);
    }

    fn pause(&self) -> Option<Duration> {
        self.0.flush_unless_it_can_wait()
    }
}

impl State {
    /// Takes out of a queue what there is room for.
    fn next(&mut self, allocation: TaskId) -> Vec<Launch> {
        let Some(queue) = self.queues.get_mut(&allocation).filter(|_| !self.ends) else { return Vec::new() };
        let next: Vec<Launch> = std::iter::from_fn(|| queue.next()).collect();
        self.homes.extend(next.iter().map(|launch| (launch.spec.id, allocation)));
        next
    }

    /// What the executor reports of a task in a queue.
    fn hear_queued(&mut self, home: TaskId, event: Event) -> Next {
        let mut next = Next::default();
        let Some(queue) = self.queues.get_mut(&home) else { return next };
        match event {
            Event::Started { task } => next.kill = queue.started(task.number).then_some(task),
            Event::Output { task, stream, bytes } => {
                if let Some(offset) = queue.output(task.number, stream, bytes.clone())
                    && let Some(writer) = &self.writer
                {
                    self.urgent = true;
                    put(&Report::Output { task, stream, offset, bytes }, writer);
                }
            }
            Event::Ended { task, ending } => {
                self.homes.remove(&task);
                queue.ended(task.number, ending);
                next.launches = self.next(home);
            }
        }
        next
    }

    /// For how long what the agent is to be told may wait for more: all of it is of queues, and was told a short while ago.
    fn can_wait(&self) -> Option<Duration> {
        let waits = TOGETHER.checked_sub(self.reported?.elapsed()).filter(|waits| !waits.is_zero());
        waits.filter(|_| !self.urgent && self.queues.values().all(Queue::can_wait))
    }

    /// Has the agent told what is new in queues, all of each in one report.
    fn report_queues(&mut self) -> Option<Arc<Writer<Report>>> {
        let writer = self.writer.clone()?;
        self.urgent = false;
        self.reported = Some(Instant::now());
        for report in self.queues.values_mut().filter_map(Queue::news) {
            put(&report, &writer);
        }
        Some(writer)
    }

    fn quiet(&self) -> Quiet {
        let Self { agents, idle_since, alone_since, ended, .. } = *self;
        Quiet { ended, agents, idle_since, alone_since }
    }
}

/// Reports hold no paths, and so can always be written.
fn put(report: &Report, writer: &Writer<Report>) {
    if let Err(error) = writer.push(report) {
        tracing::error!(%error, "a report cannot be written");
    }
}

impl Record {
    /// Everything about it, to an agent that knows nothing.
    fn tell(&mut self, task: TaskId, writer: &Writer<Report>) {
        put(&Report::Held(self.summary.clone()), writer);
        if self.started {
            put(&Report::Started(task), writer);
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            Tail::of(&mut self.outputs, stream).tell(task, stream, &mut |report| put(&report, writer));
        }
        if let Some(why) = &self.stopped {
            put(&Report::Stopped(task, Stop::clone(why)), writer);
        }
        if let Some(ending) = &self.ending {
            put(&Report::Ended(task, Ending::clone(ending)), writer);
        }
    }
}

#[cfg(test)]
mod tests;
