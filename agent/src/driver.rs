//! The one task that owns the node: takes what waits, decides, then acts.

mod effects;

use std::io;
use std::mem;
use std::sync::Arc;

use haggle_core::cluster::{AgentCommand, AgentIdentity, AgentOrder, Rejection};
use haggle_core::node::{Command, Effect, Node};
use haggle_core::{AgentId, AgentInfo, Epoch, Member, MilliCpu, Now, Reason, TaskId, Usage, VolumeId};
use haggle_executor::Compiler;
use haggle_proto::outbox::Outbox;
use haggle_proto::v1;
use haggle_proto::v1::agent_report::Report;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::aside::aside;
use crate::checkpoint::WorkDir;
use crate::counters::Told;
use crate::executors::{Executors, Recovered};
use crate::fetch::Fetcher;
use crate::identity::Identity;
use crate::inbox::Inbox;
use crate::logs::Logs;
use crate::message::{Message, Progress};
use crate::reads::Reads;
use crate::registration::Registration;
use crate::runner::{NeverRan, Runner};
use crate::unused::Unused;
use crate::volumes::Volumes;

/// The lives of tasks, to be logged apart from the rest: `--log-level info,haggle_agent::tasks=debug`.
const TASKS: &str = "haggle_agent::tasks";

/// Everything the driver owns.
pub(crate) struct Driver {
    pub(crate) node: Node,
    /// Tasks of an earlier agent, to be taken in first.
    pub(crate) recovered: Vec<Recovered>,
    /// Whether it comes by a certificate.
    pub(crate) is_certified: bool,
    /// As it is on disk.
    pub(crate) identity: Identity,
    /// Which start of the agent's process this is.
    pub(crate) run: u64,
    pub(crate) info: AgentInfo,
    pub(crate) work_dir: Arc<WorkDir>,
    pub(crate) runner: Runner<Executors>,
    pub(crate) fetcher: Fetcher,
    pub(crate) compiler: Compiler,
    pub(crate) logs: Arc<Logs>,
    pub(crate) reads: Reads,
    pub(crate) inbox: Arc<Inbox<Message>>,
    pub(crate) progress: watch::Sender<Progress>,
    /// Measures what tasks leave unused of what they hold, if that is to be offered again.
    pub(crate) unused: Option<Unused>,
    /// What the master has heard of what is counted.
    pub(crate) counters: Told,
    /// What is to be told to the master, while there is a session with one.
    pub(crate) session: Option<Outbox<v1::AgentReport>>,
    /// Whether the master has taken the agent in, in this session.
    pub(crate) registered: bool,
    /// Asked in this session, and answered at the end of the batch: the launch that a question is about may stand
    /// just before it, and is not carried out yet.
    pub(crate) questions: Vec<v1::ReadLogOrder>,
    pub(crate) draining: bool,
    /// The drain is over: what is left to do is the farewell.
    pub(crate) departing: bool,
    /// Whether tasks outlive the end of this driver.
    pub(crate) leaves_tasks: bool,
}

impl Driver {
    /// Drives the node until the agent leaves, is stopped or fails. Tasks have ended then, unless they are left to
    /// the next agent.
    pub(crate) async fn run(mut self) {
        self.drive().await;
        let end = move || {
            let executors = self.runner.executor();
            if self.leaves_tasks {
                executors.leave();
            } else {
                executors.end();
            }
            if matches!(*self.progress.borrow(), Progress::Gone(_) | Progress::Ended(_)) {
                // After its tasks have ended: until then, whoever starts here again must hear of it once more.
                self.forget_identity();
            }
        };
        aside(end).await;
    }

    async fn drive(&mut self) {
        let origin = Instant::now();
        let mut batch = Vec::new();
        let mut effects = Vec::new();
        for Recovered { task, started, stopped, ending, queue, incarnation } in mem::take(&mut self.recovered) {
            let id = task.id;
            if let Some(traces) = self.runner.traces() {
                traces.recovered(&task, started, ending.is_some());
            }
            if queue.is_none() {
                self.runner.recovered(id);
            }
            if ending.is_some() {
                self.runner.ended(id);
            }
            self.apply(Now::ZERO, Command::Recover { task, started, stopped, ending, incarnation }, &mut effects);
            if let Some((queue, batches)) = queue {
                batches.into_iter().for_each(|batch| self.runner.recovered_batch(id, batch));
                self.apply(Now::ZERO, Command::RecoverQueue(queue), &mut effects);
            }
        }
        while !self.progress.borrow().is_final() {
            let next_look = self.unused.as_ref().map(Unused::next_look);
            let deadline = self.node.next_deadline().into_iter().chain(next_look).min();
            self.inbox.take(&mut batch, deadline.map(|due| origin + due.since(Now::ZERO))).await;
            let now = Now::ZERO + origin.elapsed();
            if next_look.is_some_and(|due| due <= now) {
                self.measure(now);
            }
            if self.node.next_deadline().is_some_and(|due| due <= now) {
                self.apply(now, Command::Tick, &mut effects);
            }
            for message in batch.drain(..) {
                self.hear(now, message, &mut effects).await;
                if self.progress.borrow().is_final() {
                    // Nothing more is heard, least of all under an id that could not be written down.
                    break;
                }
            }
            self.node.flush(now, &mut effects);
            for effect in effects.drain(..) {
                self.perform(effect);
            }
            self.runner.executor().flush();
            self.answer();
            if self.departing {
                self.leave();
            }
        }
    }

    async fn hear(&mut self, now: Now, message: Message, effects: &mut Vec<Effect>) {
        match message {
            Message::Connected(session, register) => self.register(now, session, register),
            Message::Disconnected => {
                self.lose_session();
                self.questions.clear();
                self.apply(now, Command::Disconnected, effects);
            }
            Message::TurnedAway(why) => {
                self.leaves_tasks = true;
                self.advance(Progress::TurnedAway(why));
            }
            Message::Order(order) => self.order(now, order, effects).await,
            Message::ReadLog(order) => self.questions.push(order),
            Message::ReadUsage(order) => self.read_usage(order),
            Message::Usage(request, usage) => self.tell_usage(request, usage),
            Message::Heartbeat => self.tell_counters(),
            Message::Started(task) => {
                tracing::debug!(target: TASKS, %task, "task started");
                if let Some(traces) = self.runner.traces() {
                    traces.started(task);
                }
                self.apply(now, Command::Started(task), effects);
            }
            Message::Ended(task, ending) => {
                tracing::debug!(target: TASKS, %task, state = %ending.state, "task ended");
                if let Some(traces) = self.runner.traces() {
                    traces.ended(task, &ending);
                }
                self.runner.ended(task);
                self.runner.executor().ended(task);
                self.apply(now, Command::Ended(task, ending), effects);
            }
            Message::Preparing(task) => self.apply(now, Command::Preparing(task), effects),
            Message::Fetched(digest, outcome) => {
                let began = self.runner.fetched(digest, outcome);
                self.go_on(now, began, effects);
            }
            Message::Compiled(framework, module, meter, outcome) => {
                let began = self.runner.compiled(framework, module, meter, &outcome);
                self.go_on(now, began, effects);
            }
            Message::LaidOut(task, outcome) => {
                let began = self.runner.laid_out(task, outcome);
                self.go_on(now, began, effects);
            }
            Message::QueueNews { allocation, started, ended } => {
                self.runner.trace_queued(allocation, &ended);
                for end in &ended {
                    self.runner.queued_ended(TaskId { number: end.first, ..allocation }, end.count);
                }
                self.apply(now, Command::QueueNews { allocation, started, ended }, effects);
            }
            Message::NeverRan(never_ran) => self.never_ran(now, never_ran, effects),
            Message::ExecutorGone(executor, why) => {
                let tasks = self.runner.executor().gone(executor);
                if !tasks.is_empty() {
                    tracing::warn!(framework = %executor.0, tasks = tasks.len(), why, "an executor is gone");
                }
                for task in tasks {
                    self.runner.forget_queue(task);
                    let reason = Reason::ExecutorTerminated;
                    self.never_ran(now, NeverRan { task, reason, message: why.clone() }, effects);
                }
            }
            Message::ExecutorIdle(executor) => self.runner.executor().idle(executor),
            Message::Drain => {
                self.draining = true;
                self.report(AgentCommand::Drain);
                self.apply(now, Command::Drain, effects);
            }
            Message::Stop => self.advance(Progress::Stopped),
            Message::Leave => {
                self.leaves_tasks = true;
                self.advance(Progress::Stopped);
            }
            Message::EndDrain => {
                // Every task has ended then, and executors keep the ends of which no master has heard.
                self.leaves_tasks = self.departing;
                self.advance(Progress::Stopped);
            }
        }
    }

    async fn order(&mut self, now: Now, order: AgentOrder, effects: &mut Vec<Effect>) {
        let command = match order {
            AgentOrder::Registered { member, epoch } => {
                if !self.registered(member, epoch).await {
                    return;
                }
                Command::Registered(member.id)
            }
            AgentOrder::Refused(rejection) => return self.refused(rejection),
            AgentOrder::Launch(spec) => Command::Launch(spec),
            AgentOrder::Open(spec) => Command::Open(spec),
            AgentOrder::Enqueue { allocation, tasks, last } => Command::Enqueue { allocation, tasks, last },
            AgentOrder::Kill(task) => Command::Kill(task),
            AgentOrder::End { task, reason, why } => Command::End { task, reason, why },
            AgentOrder::StopAll => Command::StopAll,
            AgentOrder::Acknowledge(task, update) => Command::Acknowledge(task, update),
            AgentOrder::Resend(framework) => Command::Resend(framework),
            AgentOrder::RemoveFramework(framework) => {
                self.runner.executor().framework_gone(framework);
                Command::RemoveFramework(framework)
            }
            AgentOrder::CreateVolume { volume, role, size } => {
                let made = self.change_volumes(move |volumes| volumes.make(volume, &role, size)).await;
                return self.volume_changed(volume, "made", made);
            }
            AgentOrder::DestroyVolume(volume) => {
                let removed = self.change_volumes(move |volumes| volumes.remove(volume)).await;
                return self.volume_changed(volume, "removed", removed);
            }
        };
        self.apply(now, command, effects);
    }

    fn apply(&mut self, now: Now, command: Command, effects: &mut Vec<Effect>) {
        tracing::trace!(?command, "deciding");
        if let Err(refusal) = self.node.apply(now, command, effects) {
            // Late and repeated news are refused all the time; the node has changed nothing.
            tracing::debug!(%refusal, "refused");
        }
    }

    fn never_ran(&mut self, now: Now, never_ran: NeverRan, effects: &mut Vec<Effect>) {
        let NeverRan { task, reason, message } = never_ran;
        if let Some(traces) = self.runner.traces() {
            traces.given_up(task);
        }
        self.runner.ended(task);
        self.logs.end(task);
        self.apply(now, Command::GivenUp { task, reason, message }, effects);
    }

    /// The first report of a session: who this is, and what it holds.
    fn register(&mut self, now: Now, session: Outbox<v1::AgentReport>, register: oneshot::Sender<Registration>) {
        self.session = Some(session);
        self.registered = false;
        self.counters.begin();
        let identity = AgentIdentity { member: self.identity.member, key: self.identity.key, run: self.run };
        let held = self.node.held(now);
        let registration = Registration { identity, info: self.info.clone(), held, queues: self.node.held_queues() };
        // A session that is over already is told next.
        let _ = register.send(registration);
    }

    /// Writes id and epoch down before anything is done under them. False when that failed.
    async fn registered(&mut self, member: Member<AgentId>, epoch: Epoch) -> bool {
        let identity = Identity { member: Some(member), epoch, ..self.identity };
        if self.identity != identity {
            let (work_dir, new) = (Arc::clone(&self.work_dir), identity.clone());
            if let Err(error) = aside(move || work_dir.remember(&new)).await {
                self.advance(Progress::Unwritable(error.to_string()));
                return false;
            }
            self.identity = identity;
        }
        let Member { cluster, id: agent } = member;
        if let Some(traces) = self.runner.traces() {
            traces.joined(cluster);
        }
        let (name, resources) = (&self.info.name, &self.info.resources);
        tracing::info!(%agent, %cluster, %epoch, name, %resources, "registered with the master");
        self.registered = self.session.is_some();
        self.advance(Progress::Registered(agent));
        self.tell_volumes();
        if self.draining {
            self.report(AgentCommand::Drain);
        }
        let unused = match &self.unused {
            Some(unused) => unused.told(),
            // An earlier agent offered what nobody measures any more.
            None => (!self.node.used().revocable.is_zero()).then_some(MilliCpu::ZERO),
        };
        if let Some(unused) = unused {
            self.report(AgentCommand::Unused(unused));
        }
        true
    }

    /// Changes the volumes on a thread that may wait for the disk. Nothing is decided meanwhile.
    async fn change_volumes(
        &mut self,
        change: impl FnOnce(&mut Volumes) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let mut volumes = mem::take(self.runner.volumes());
        let change = move || {
            let changed = change(&mut volumes);
            (volumes, changed)
        };
        let (volumes, changed) = aside(change).await;
        *self.runner.volumes() = volumes;
        changed
    }

    /// Says what is held, whatever came of it.
    fn volume_changed(&mut self, volume: VolumeId, what: &str, done: io::Result<()>) {
        match done {
            Ok(()) => tracing::info!(%volume, "a volume is {what}"),
            Err(error) => tracing::error!(%volume, %error, "a volume cannot be {what}"),
        }
        self.tell_volumes();
    }

    fn tell_volumes(&mut self) {
        let held = self.runner.volumes().held();
        self.report(AgentCommand::Volumes(held));
    }

    /// Looks at what tasks leave unused, and tells the master of it where that is news.
    fn measure(&mut self, now: Now) {
        let Some(unused) = &mut self.unused else { return };
        let (held, cpu) = (self.node.used().cpus, self.runner.executor().cpu_time());
        if let Some(unused) = unused.look(now, held, cpu)
            && self.registered
        {
            tracing::debug!(%unused, "tasks leave processor time unused that they hold");
            self.report(AgentCommand::Unused(unused));
        }
    }

    fn refused(&mut self, rejection: Rejection) {
        match rejection {
            // The link has hung up, and tries again.
            Rejection::Later(_) => {}
            Rejection::Gone(why) => {
                tracing::error!(why, "the master has given this agent up for good; its tasks end");
                self.advance(if self.is_certified { Progress::Ended(why) } else { Progress::Gone(why) });
            }
            Rejection::OtherCluster(why) | Rejection::Final(why) => {
                self.leaves_tasks = true;
                self.advance(Progress::Refused(why));
            }
        }
    }

    fn answer(&mut self) {
        for order in self.questions.drain(..) {
            if let Some(task) = order.task.map(TaskId::from).filter(|&task| self.node.allocation_of(task).is_some()) {
                // It may be there to be waited for before it has written anything.
                self.logs.open(task);
            }
            if let Some(session) = &self.session {
                self.reads.answer(order, session.clone());
            }
        }
    }

    fn read_usage(&mut self, order: v1::ReadUsageOrder) {
        let asked = order.task.map(TaskId::from).is_some_and(|task| {
            // One in a queue is where its allocation is.
            let home = self.node.allocation_of(task).unwrap_or(task);
            self.runner.executor().ask_usage(home, task, order.request)
        });
        if !asked {
            self.tell_usage(order.request, None);
        }
    }

    /// Whoever asked in an earlier session is gone, and its number means nothing to the master of this one.
    fn tell_usage(&mut self, request: u64, usage: Option<Usage>) {
        self.say(Report::Usage(v1::UsageSoFar { request, usage: usage.map(Into::into) }));
    }

    fn tell_counters(&mut self) {
        if self.registered {
            let now = self.runner.counters();
            if let Some(news) = self.counters.news(&now) {
                self.counters.said(now);
                self.say(Report::Counters(news));
            }
        }
    }

    /// Says farewell once there is a master to hear it and room to say it, and only then gives up the id: a master that was away would
    /// miss an agent that has left without a word.
    fn leave(&mut self) {
        if self.session.is_none() && self.identity.member.is_none() {
            // No master knows it.
            return self.advance(Progress::Left);
        }
        let Some(session) = self.session.clone().filter(|session| self.registered && session.has_room()) else {
            return;
        };
        // Before the farewell: the link must not take the master's hanging up for a loss.
        self.advance(Progress::Left);
        let _ = session.push(AgentCommand::Leave.into());
        session.close();
        self.forget_identity();
    }

    fn forget_identity(&self) {
        if let Err(error) = self.work_dir.forget() {
            tracing::error!(%error, "the next agent in this folder will ask for the id of this one");
        }
    }

    fn lose_session(&mut self) {
        self.session = None;
        self.registered = false;
    }

    /// Nothing follows what is final: the master's welcome may stand in the same batch as the order to stop.
    fn advance(&mut self, next: Progress) {
        self.progress.send_if_modified(|progress| {
            let moves = !progress.is_final();
            if moves {
                *progress = next;
            }
            moves
        });
    }

    /// Without a session nothing is lost: who reconnects registers, and the node sends what matters again.
    fn report(&mut self, command: AgentCommand) {
        self.send_report(command.into());
    }

    /// A word to the master's shell.
    fn say(&mut self, report: Report) {
        self.send_report(v1::AgentReport { report: Some(report) });
    }

    fn send_report(&mut self, report: v1::AgentReport) {
        let Some(session) = &self.session else { return };
        if session.push(report).is_err() {
            self.lose_session();
        }
    }
}
