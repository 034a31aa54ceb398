//! What becomes of tasks on this agent, as spans for whoever collects traces. Nothing here is made for agents that nobody has
//! asked for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::trace::TRACEPARENT;
use haggle_core::{ClusterId, Ending, QueueEnd, TaskId, TaskSpec, TaskStatus, TaskSummary, TaskTrace, TraceContext};
use haggle_otlp::{Kind, Service, Span, Tracer, wall_ns};

/// Which service an agent is.
pub(crate) fn service(name: &str) -> Service {
    let host = sysinfo::System::host_name().unwrap_or_default();
    Service { name: "haggle-agent", version: env!("CARGO_PKG_VERSION"), host, agent: Some(name.to_owned()) }
}

/// The part of a task's trace that its guest runs in: what the guest finds as its caller.
const RUN: &str = "run";

/// Records them. It belongs to the runner, which tells it how far each task has come.
#[derive(Debug)]
pub(crate) struct Traces {
    tracer: Tracer,
    cluster: ClusterId,
    /// Those whose end is not acknowledged.
    tasks: HashMap<TaskId, Life>,
    /// Batches in queues, by the first task of each.
    batches: HashMap<TaskId, Batch>,
}

/// How far a task has come, in nanoseconds since 1970.
#[derive(Debug)]
struct Life {
    trace: TaskTrace,
    name: Box<str>,
    received: u64,
    /// Since when its module is compiled for it.
    compiles: Option<u64>,
    /// When everything was there that it needs.
    ready: Option<u64>,
    started: Option<u64>,
    ended: Option<Ended>,
    /// Whether something was fetched for it.
    fetches: bool,
}

/// How a task ended.
#[derive(Debug)]
struct Ended {
    at: u64,
    /// Which part of it ended so, and when that began.
    part: &'static str,
    since: u64,
    /// Whether its master was told.
    is_told: bool,
}

/// Tasks of one kind in the queue of an allocation.
#[derive(Debug)]
struct Batch {
    name: Box<str>,
    caller: Option<TraceContext>,
    received: u64,
}

/// Tells a guest which span it runs in, where its trace is recorded. `anonymous` guests are told so in the place of what they are told
/// already, and else nothing.
pub(crate) fn hand_over(spec: &mut Arc<TaskSpec>, is_traced_here: bool) {
    let Some(trace) = spec.trace.as_deref().filter(|trace| trace.context.is_sampled) else { return };
    let context = if is_traced_here { trace.part(RUN) } else { trace.context };
    if !spec.grants.anonymous || spec.env.iter().any(|(name, _)| name == TRACEPARENT) {
        // Nobody else holds it, so nothing is copied.
        context.set_in(&mut Arc::make_mut(spec).env);
    }
}

impl Traces {
    pub(crate) fn new(tracer: Tracer) -> Self {
        Self { tracer, cluster: ClusterId::default(), tasks: HashMap::new(), batches: HashMap::new() }
    }

    /// A master of this cluster has taken the agent in.
    pub(crate) fn joined(&mut self, cluster: ClusterId) {
        self.cluster = cluster;
    }

    /// A task has come. Where its master records no traces, the agent begins one, with all of the task.
    pub(crate) fn received(&mut self, spec: &mut Arc<TaskSpec>) {
        let now = wall_ns();
        let trace = match spec.trace.as_deref() {
            Some(trace) => *trace,
            None => {
                let caller = TraceContext::of_env(&spec.env);
                let begun = TaskTrace::begin(self.cluster, spec.id, caller, |trace| self.tracer.samples(trace), now);
                let begun = TaskTrace { sent_ns: 0, ..begun };
                Arc::make_mut(spec).trace = Some(begun.boxed());
                begun
            }
        };
        if !trace.context.is_sampled {
            return;
        }
        if trace.sent_ns > 0 {
            // The master's clock may be ahead of this one.
            let sent = Span { kind: Kind::Consumer, ..Span::part(trace.context, "send", trace.sent_ns.min(now), now) };
            self.tracer.record(sent);
        }
        self.tasks.insert(spec.id, Life::new(trace, &spec.name, now));
    }

    /// One that an earlier agent has launched goes on.
    pub(crate) fn recovered(&mut self, task: &TaskSummary, started: bool, ended: bool) {
        let Some(trace) = task.trace.as_deref().filter(|trace| trace.context.is_sampled && !ended) else { return };
        // When it came and when it began to run is told no more: its usage will say how long it has run.
        let (now, sent) = (wall_ns(), trace.sent_ns.max(trace.began_ns));
        let life = Life::new(*trace, &task.name, sent.min(now));
        let life = Life { ready: Some(now), started: started.then_some(now), ..life };
        self.tasks.insert(task.id, life);
    }

    /// Something is fetched for it.
    pub(crate) fn fetches(&mut self, task: TaskId) {
        self.change(task, |life, _| life.fetches = true);
    }

    /// Everything has come that is fetched for it.
    pub(crate) fn fetched(&mut self, task: TaskId) {
        self.part(task, "fetch", |life, _| Some(life.received));
    }

    /// Its module is to be compiled.
    pub(crate) fn compiles(&mut self, task: TaskId) {
        self.change(task, |life, now| life.compiles = Some(now));
    }

    /// Its module is compiled, for it or for others.
    pub(crate) fn compiled(&mut self, task: TaskId) {
        self.part(task, "compile", |life, _| life.compiles.take());
    }

    /// It is given to an executor.
    pub(crate) fn launched(&mut self, task: TaskId) {
        self.change(task, |life, now| life.ready = Some(now));
    }

    /// It runs.
    pub(crate) fn started(&mut self, task: TaskId) {
        self.part(task, "start", |life, now| {
            life.started = Some(now);
            life.ready
        });
    }

    /// It has ended, as its executor saw it.
    pub(crate) fn ended(&mut self, task: TaskId, ending: &Ending) {
        let now = wall_ns();
        let Some(life) = self.tasks.get_mut(&task).filter(|life| life.ended.is_none()) else { return };
        let began = before(now, ending.usage.wall).max(life.received);
        if life.started.is_none() {
            let ready = life.ready.unwrap_or(life.received);
            self.tracer.record(Span::part(life.trace.context, "start", ready, began.max(ready)));
        }
        // The news of a start may come late, and with it that of the end.
        let start = life.started.map_or(began, |started| started.min(began));
        life.ended = Some(Ended { at: now, part: RUN, since: start, is_told: false });
    }

    /// It has ended without that: it never ran, or its executor is gone.
    pub(crate) fn given_up(&mut self, task: TaskId) {
        self.change(task, |life, now| {
            let (part, since) = life.stands();
            life.ended.get_or_insert(Ended { at: now, part, since, is_told: false });
        });
    }

    /// The master is told of it: where that is its end, it is known now what end it is.
    pub(crate) fn told(&mut self, status: &TaskStatus) {
        let Some(life) = self.tasks.get_mut(&status.task).filter(|_| status.state.is_terminal()) else { return };
        let Some(ended) = life.ended.as_mut().filter(|ended| !ended.is_told) else { return };
        ended.is_told = true;
        let Ended { at, part, since, .. } = *ended;
        let end = |span: Span| {
            let span = span.ended(status.state, status.reason, &status.message, status.exit_code);
            status.usage.iter().fold(span, Span::used)
        };
        self.tracer.record(end(Span::part(life.trace.context, part, since, at)));
        // Where no master has said which span the task is, its agent records all of it.
        if life.trace.sent_ns == 0 {
            self.tracer.record(end(Span::of_task(&life.trace, status.task, &life.name, at)));
        }
    }

    /// Nobody needs anything of it any more.
    pub(crate) fn acknowledged(&mut self, task: TaskId) {
        let Some(Life { trace, ended: Some(ended), .. }) = self.tasks.remove(&task) else { return };
        self.tracer.record(Span::part(trace.context, "end", ended.at, wall_ns()));
    }

    /// A batch has come for the queue of an allocation.
    pub(crate) fn queued(&mut self, spec: &TaskSpec) {
        let (caller, received) = (TraceContext::of_env(&spec.env), wall_ns());
        self.batches.insert(spec.id, Batch { name: spec.name.as_str().into(), caller, received });
    }

    /// Some of a batch have ended: each is a trace of its own, or a part of its caller's.
    pub(crate) fn queued_ended(&mut self, first: TaskId, end: &QueueEnd) {
        let Some(Batch { name, caller, received }) = self.batches.get(&first) else { return };
        let (now, id) = (wall_ns(), TaskId { number: end.first, ..first });
        let trace = TaskTrace::begin(self.cluster, id, *caller, |trace| self.tracer.samples(trace), *received);
        if !trace.context.is_sampled {
            return;
        }
        let began = before(now, end.ending.usage.wall).max(*received);
        self.tracer.record(Span::part(trace.context, "queue", *received, began));
        if !end.ending.usage.wall.is_zero() {
            self.tracer.record(Span::part(trace.context, RUN, began, now).came_to(&end.ending));
        }
        let span = Span::of_task(&trace, id, name, now).came_to(&end.ending);
        // Only those that never ran come to the same end as others.
        self.tracer.record(if end.count > 1 { span.with("haggle.tasks", end.count) } else { span });
    }

    /// All of a batch have ended.
    pub(crate) fn forget_batch(&mut self, first: TaskId) {
        self.batches.remove(&first);
    }

    fn change(&mut self, task: TaskId, with: impl FnOnce(&mut Life, u64)) {
        if let Some(life) = self.tasks.get_mut(&task) {
            with(life, wall_ns());
        }
    }

    /// A part has ended that began when `since` says, if it began.
    fn part(&mut self, task: TaskId, name: &'static str, since: impl FnOnce(&mut Life, u64) -> Option<u64>) {
        let Some(life) = self.tasks.get_mut(&task) else { return };
        let now = wall_ns();
        if let Some(start) = since(life, now) {
            self.tracer.record(Span::part(life.trace.context, name, start, now));
        }
    }
}

impl Drop for Traces {
    /// What has ended is acknowledged to nobody any more.
    fn drop(&mut self) {
        let ended: Vec<TaskId> =
            self.tasks.iter().filter(|(_, life)| life.ended.is_some()).map(|(&id, _)| id).collect();
        ended.into_iter().for_each(|task| self.acknowledged(task));
    }
}

impl Life {
    fn new(trace: TaskTrace, name: &str, received: u64) -> Self {
        let (compiles, ready, started, ended) = (None, None, None, None);
        Self { trace, name: name.into(), received, compiles, ready, started, ended, fetches: false }
    }

    /// Which part of it goes on, and since when.
    fn stands(&self) -> (&'static str, u64) {
        match self {
            Self { started: Some(since), .. } => (RUN, *since),
            Self { ready: Some(since), .. } => ("start", *since),
            Self { compiles: Some(since), .. } => ("compile", *since),
            Self { fetches: true, received, .. } => ("fetch", *received),
            Self { received, .. } => ("start", *received),
        }
    }
}

/// So long before that.
fn before(ns: u64, time: Duration) -> u64 {
    ns.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
