//! What becomes of tasks, as spans for whoever collects traces. Nothing here is made for masters that nobody has asked for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{
    AgentCommand, AgentOrder, Announcement, Cluster, Command, Effect, FrameworkCommand, FrameworkEvent, HeldTask,
};
use haggle_core::{
    AgentId, AllocationSpec, ClusterId, Now, OfferId, TaskId, TaskSpec, TaskStatus, TaskTrace, TraceContext,
};
use haggle_otlp::{Service, Span, Tracer, wall_ns};

/// Tasks of which it is remembered which spans they are. Of those beyond that, which are more than any cluster of ours has run at
/// once, nothing is recorded.
const TASKS_MAX: usize = 1 << 20;

/// Which service a master is.
pub(crate) fn service() -> Service {
    let host = sysinfo::System::host_name().unwrap_or_default();
    Service { name: "haggle-master", version: env!("CARGO_PKG_VERSION"), host, agent: None }
}

/// Records them. It belongs to the driver, which tells it what is decided.
#[derive(Debug)]
pub(crate) struct Traces {
    tracer: Tracer,
    cluster: ClusterId,
    /// Of this batch: what frameworks want launched.
    asked: HashMap<TaskId, Asked>,
    /// Those that have not ended.
    tasks: HashMap<TaskId, Task>,
}

/// A task that is to be launched.
#[derive(Debug)]
struct Asked {
    trace: TaskTrace,
    name: Box<str>,
    /// When the offer was made that it is to be launched on; never before the task's span begins.
    offered_ns: u64,
    heard_ns: u64,
    /// Whether its framework has said how long it waited there.
    waited: bool,
}

#[derive(Debug)]
struct Task {
    trace: TaskTrace,
    name: Box<str>,
    /// It ended while no master was there to hear of it: its agent tells of it next.
    has_ended: bool,
}

/// What a framework says of a task when it has it launched.
struct Launch<'a> {
    id: TaskId,
    name: &'a str,
    caller: Option<TraceContext>,
    waited: Option<Duration>,
}

impl<'a> From<&'a Arc<TaskSpec>> for Launch<'a> {
    fn from(spec: &'a Arc<TaskSpec>) -> Self {
        Self { id: spec.id, name: &spec.name, caller: TraceContext::of_env(&spec.env), waited: spec.waited }
    }
}

impl<'a> From<&'a Arc<AllocationSpec>> for Launch<'a> {
    fn from(spec: &'a Arc<AllocationSpec>) -> Self {
        Self { id: spec.id, name: &spec.name, caller: None, waited: None }
    }
}

impl Traces {
    pub(crate) fn new(tracer: Tracer, cluster: ClusterId) -> Self {
        Self { tracer, cluster, asked: HashMap::new(), tasks: HashMap::new() }
    }

    /// A command is about to be decided: what it names may be gone afterwards.
    pub(crate) fn hear(&mut self, command: &Command, cluster: &Cluster, now: Now) {
        match command {
            Command::Framework(_, call) => match &call.command {
                FrameworkCommand::Accept { offers, tasks, .. } => {
                    self.launches(cluster, now, offers, tasks.iter().map(Launch::from));
                }
                FrameworkCommand::LaunchGroup { offers, tasks, .. } => {
                    self.launches(cluster, now, offers, tasks.iter().map(|placed| Launch::from(&placed.task)));
                }
                FrameworkCommand::Open { offers, allocation, .. } => {
                    self.launches(cluster, now, offers, [Launch::from(allocation)]);
                }
                _ => {}
            },
            Command::Agent(_, AgentCommand::Register { tasks, .. } | AgentCommand::Holds { tasks, .. }) => {
                tasks.iter().for_each(|task| self.held(task));
            }
            Command::Agent(_, AgentCommand::Updates(updates)) => updates.iter().for_each(|status| {
                if self.tasks.get(&status.task).is_some_and(|task| task.has_ended) {
                    self.told(status);
                }
            }),
            _ => {}
        }
    }

    fn launches<'a>(
        &mut self,
        cluster: &Cluster,
        now: Now,
        offers: &[OfferId],
        launches: impl IntoIterator<Item = Launch<'a>>,
    ) {
        let heard_ns = wall_ns();
        let offered_ns = cluster.offered_since(offers).map(|since| before(heard_ns, now.since(since)));
        for Launch { id, name, caller, waited } in launches {
            let began_ns = waited.map(|waited| before(heard_ns, waited)).or(offered_ns).unwrap_or(heard_ns);
            let sampled = |trace| self.tracer.samples(trace);
            let trace = TaskTrace::begin(self.cluster, id, caller, sampled, began_ns);
            let offered_ns = offered_ns.unwrap_or(heard_ns).max(began_ns);
            let asked = Asked { trace, name: name.into(), offered_ns, heard_ns, waited: waited.is_some() };
            self.asked.insert(id, asked);
        }
    }

    /// An agent holds a task: of one that an earlier master has launched, the trace goes on.
    fn held(&mut self, held: &HeldTask) {
        let Some(trace) = held.trace.as_deref().filter(|trace| trace.context.is_sampled && trace.sent_ns > 0) else {
            return;
        };
        let has_ended = held.state.is_terminal();
        let task = Task { trace: *trace, name: held.name.as_str().into(), has_ended };
        if !self.tasks.contains_key(&held.id) {
            self.remember(held.id, task);
        }
    }

    /// What was decided is about to be let out. A task that is launched is told which span it is.
    pub(crate) fn let_out(&mut self, effect: &mut Effect) {
        match effect {
            Effect::ToAgent(_, AgentOrder::Launch(spec)) => {
                if let Some(trace) = self.launched(spec.id) {
                    // Nobody else holds it, so nothing is copied.
                    Arc::make_mut(spec).trace = Some(trace.boxed());
                }
            }
            Effect::ToAgent(_, AgentOrder::Open(spec)) => {
                // What runs in it tells of itself.
                let _ = self.launched(spec.id);
            }
            Effect::Announce(Announcement::Task(status)) if status.state.is_terminal() => self.told(status),
            Effect::ToFramework(_, FrameworkEvent::Update(status)) if status.state.is_terminal() => {
                self.refused(status);
            }
            _ => {}
        }
    }

    /// What was asked for in this batch has become something, or nothing.
    pub(crate) fn end_batch(&mut self) {
        self.asked.clear();
    }

    fn launched(&mut self, id: TaskId) -> Option<TaskTrace> {
        let Asked { trace, name, offered_ns, heard_ns, waited } = self.asked.remove(&id)?;
        let now = wall_ns();
        let trace = TaskTrace { sent_ns: now, ..trace };
        self.offered(&trace, waited, offered_ns, heard_ns);
        self.tracer.record(Span::part(trace.context, "accept", heard_ns, now));
        if trace.context.is_sampled {
            self.remember(id, Task { trace, name, has_ended: false });
        }
        Some(trace)
    }

    fn offered(&self, trace: &TaskTrace, waited: bool, offered_ns: u64, heard_ns: u64) {
        if waited {
            self.tracer.record(Span::part(trace.context, "queue", trace.began_ns, offered_ns));
        }
        self.tracer.record(Span::part(trace.context, "offer", offered_ns, heard_ns));
    }

    fn remember(&mut self, id: TaskId, task: Task) {
        if self.tasks.len() < TASKS_MAX {
            self.tasks.insert(id, task);
        } else {
            self.tracer.lose(1);
        }
    }

    /// One that was asked for in this batch is not launched.
    fn refused(&mut self, status: &TaskStatus) {
        let Some(Asked { trace, name, offered_ns, heard_ns, waited }) = self.asked.remove(&status.task) else { return };
        let now = wall_ns();
        self.offered(&trace, waited, offered_ns, heard_ns);
        let TaskStatus { state, reason, message, .. } = status;
        let accept = Span::part(trace.context, "accept", heard_ns, now).ended(*state, *reason, message, None);
        self.tracer.record(accept);
        self.tracer.record(Span::of_task(&trace, status.task, &name, now).ended(*state, *reason, message, None));
    }

    /// A task has come to its end, once.
    fn told(&mut self, status: &TaskStatus) {
        let Some(Task { trace, name, .. }) = self.tasks.remove(&status.task) else { return };
        let TaskStatus { task, state, reason, message, exit_code, usage, agent, .. } = status;
        let span = Span::of_task(&trace, *task, &name, wall_ns()).ended(*state, *reason, message, *exit_code);
        let span = usage.iter().fold(span, Span::used);
        self.tracer
            .record(agent.iter().fold(span, |span, agent: &AgentId| span.with("haggle.agent.id", agent.to_string())));
    }
}

/// So long before that.
fn before(ns: u64, time: Duration) -> u64 {
    ns.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
