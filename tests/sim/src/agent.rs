//! An agent's machine and process around the real node machine: its disk, its link to a master, its executor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{AgentCommand, AgentIdentity, AgentOrder, Rejection};
use haggle_core::node::{self, Command, Effect, Node};
use haggle_core::planted::{self, Bug};
use haggle_core::{
    AgentId, AgentInfo, AgentKey, Bytes, Ending, Epoch, Member, MilliCpu, Now, Reason, Resources, TaskId, TaskSpec,
    TaskState, TaskSummary, Usage,
};

use crate::clock::Clock;
use crate::net::{ConnId, Msg, Peer, Way};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::world::{AgentEvent, Event, ExecutorEvent, World};

/// Heartbeats without an answer after which a session counts as dead.
const SILENT_HEARTBEATS: u64 = 3;

/// A machine with an agent.
pub(crate) struct Agent {
    /// What it has.
    pub(crate) resources: Resources,
    /// What the agent's work folder holds.
    pub(crate) disk: Disk,
    /// The folder as the machine's own, before somebody else's was put there.
    pub(crate) swapped: bool,
    /// Counts the machine's boots.
    pub(crate) boot: u64,
    /// Counts the agent's processes.
    pub(crate) life: u64,
    /// Until when the agent stands still.
    pub(crate) paused_until: Time,
    /// The machine's clock.
    pub(crate) clock: Clock,
    /// The agent, while it runs.
    pub(crate) process: Option<Process>,
    /// What the machine's executors hold. They outlive the agent.
    pub(crate) executor: BTreeMap<TaskId, Held>,
    /// Whether it has left for good.
    pub(crate) left: bool,
}

/// What an agent keeps over its restarts.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Its id.
    pub(crate) member: Option<Member<AgentId>>,
    /// What it proves its id with.
    pub(crate) key: AgentKey,
    /// The latest master that it has seen.
    pub(crate) epoch: Epoch,
}

/// An agent that runs.
pub(crate) struct Process {
    /// The machine.
    pub(crate) node: Node,
    run: u64,
    /// Its session.
    pub(crate) conn: Option<ConnId>,
    /// Whether the session's master has taken it in.
    pub(crate) registered: bool,
    target: usize,
    backoff: Time,
    heard: Time,
    fetching: BTreeMap<TaskId, Arc<TaskSpec>>,
    draining: bool,
    leaving: bool,
    tick_at: Option<Time>,
}

/// A task in an executor.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// What was launched.
    pub(crate) summary: TaskSummary,
    /// Whether it runs, or ran.
    pub(crate) started: bool,
    /// How it ended.
    pub(crate) ending: Option<Ending>,
    incarnation: u32,
}

impl Disk {
    /// A new work folder.
    pub(crate) fn new(key: u128) -> Self {
        Self { member: None, key: AgentKey(key), epoch: Epoch(0) }
    }
}

impl Agent {
    /// A machine that was never on.
    pub(crate) fn new(cores: u64, disk: Disk, clock: Clock) -> Self {
        Self {
            resources: Resources::new(MilliCpu::from_cores(cores), Bytes::from_mib(cores * 512), Bytes::from_mib(64)),
            disk,
            swapped: false,
            boot: 0,
            life: 0,
            paused_until: 0,
            clock,
            process: None,
            executor: BTreeMap::new(),
            left: false,
        }
    }

    /// What tasks on it hold, in truth.
    pub(crate) fn in_use(&self) -> Resources {
        let mut sum = Resources::default();
        for held in self.executor.values().filter(|held| held.ending.is_none()) {
            sum.give(&held.summary.resources);
        }
        if let Some(process) = &self.process {
            for spec in process.fetching.values() {
                sum.give(&spec.resources);
            }
        }
        sum
    }
}

impl World {
    /// Starts a machine and its agent.
    pub(crate) fn boot(&mut self, at: usize) {
        self.agents[at].boot += 1;
        self.start_agent(at, 0);
    }

    /// Has the agent's process start after a while.
    pub(crate) fn start_agent(&mut self, at: usize, wait: Time) {
        let life = self.agents[at].life;
        self.after(wait, Event::Agent(at, life, AgentEvent::Start));
    }

    fn agent_later(&mut self, at: usize, wait: Time, event: AgentEvent) {
        let life = self.agents[at].life;
        let wait = self.agents[at].clock.span(wait);
        self.after(wait, Event::Agent(at, life, event));
    }

    /// Ends the agent's process. What it was fetching is lost; what its executor has goes on.
    pub(crate) fn crash_agent(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let Some(process) = agent.process.take() else { return };
        say!(self, "agent {at} ends");
        let agent = &mut self.agents[at];
        agent.life += 1;
        agent.paused_until = 0;
        for task in process.fetching.keys() {
            self.oracle.never_ran(*task);
        }
        // What a node says of a task that never ran dies with it.
        for (task, _) in process.node.task_states() {
            if !self.agents[at].executor.contains_key(&task) {
                self.oracle.never_ran(task);
            }
        }
        if let Some(conn) = process.conn {
            self.break_up(conn, true, false);
        }
    }

    /// Ends everything on a machine.
    pub(crate) fn power_off(&mut self, at: usize) {
        self.crash_agent(at);
        let agent = &mut self.agents[at];
        agent.boot += 1;
        for task in std::mem::take(&mut agent.executor).into_keys() {
            self.oracle.lost(task);
        }
    }

    /// What happens to an agent's process.
    pub(crate) fn agent_happens(&mut self, at: usize, life: u64, event: AgentEvent) {
        if self.agents[at].life != life {
            return;
        }
        if let AgentEvent::Start = event {
            return self.agent_starts(at);
        }
        if self.agents[at].process.is_none() {
            return;
        }
        match event {
            AgentEvent::Start => {}
            AgentEvent::Connect => self.agent_connects(at),
            AgentEvent::Heartbeat => self.agent_heartbeat(at),
            AgentEvent::Tick => {
                self.agents[at].process.as_mut().expect("it runs").tick_at = None;
                self.node_does(at, Command::Tick);
            }
            AgentEvent::Fetched(task) => self.fetched(at, task),
            AgentEvent::Started(task) => self.node_does(at, Command::Started(task)),
            AgentEvent::Ended(task, ending) => self.node_does(at, Command::Ended(task, *ending)),
            AgentEvent::GivenUp(task, stopped) => {
                let (reason, message) = match stopped {
                    true => (Reason::KilledDuringLaunch, "stopped while it was fetched"),
                    false => (Reason::ExecutorTerminated, "its executor is gone"),
                };
                self.node_does(at, Command::GivenUp { task, reason, message: message.to_string() });
            }
        }
    }

    fn agent_starts(&mut self, at: usize) {
        if self.agents[at].process.is_some() || self.agents[at].left {
            return;
        }
        say!(self, "agent {at} starts with {} tasks in its executor", self.agents[at].executor.len());
        let run = self.rng.next();
        let config = node::Config { unacknowledged_per_framework: self.plan.unacknowledged, ..node::Config::default() };
        let target = self.rng.index(self.plan.masters);
        let agent = &mut self.agents[at];
        agent.process = Some(Process {
            node: Node::new(config),
            run,
            conn: None,
            registered: false,
            target,
            backoff: 100 * MS,
            heard: self.now,
            fetching: BTreeMap::new(),
            draining: false,
            leaving: false,
            tick_at: None,
        });
        if planted::is(Bug::EpochNotOnDisk) {
            agent.disk.epoch = Epoch(0);
        }
        let recovered: Vec<_> = agent
            .executor
            .values_mut()
            .map(|held| {
                held.incarnation += 1;
                held.clone()
            })
            .collect();
        for Held { summary, started, ending, incarnation } in recovered {
            self.node_does(at, Command::Recover { task: summary, started, ending, incarnation });
        }
        self.agent_later(at, 0, AgentEvent::Connect);
        let wait = self.heartbeat();
        self.agent_later(at, wait, AgentEvent::Heartbeat);
    }

    /// How often an agent says that it lives.
    fn heartbeat(&self) -> Time {
        Time::try_from(self.plan.agent_timeout.as_nanos()).expect("seconds") / 5
    }

    fn agent_connects(&mut self, at: usize) {
        let now = self.now;
        let life = self.agents[at].life;
        let agent = &self.agents[at];
        let process = agent.process.as_ref().expect("it runs");
        if process.conn.is_some() {
            return;
        }
        let conn = self.open(Peer::Agent(at, life), process.target);
        let agent = &mut self.agents[at];
        let process = agent.process.as_mut().expect("it runs");
        process.conn = Some(conn);
        process.heard = now;
        let mut held = process.node.held();
        let identity = AgentIdentity { member: agent.disk.member, key: agent.disk.key, run: process.run };
        let info = AgentInfo {
            name: format!("machine-{at}"),
            resources: agent.resources.clone(),
            attributes: BTreeMap::default(),
        };
        let piece = self.rng.index(3) + 1;
        let rest = held.split_off(held.len().min(piece));
        let complete = rest.is_empty();
        let register = AgentCommand::Register { identity, info, tasks: held, complete };
        self.send(conn, Way::Up, Msg::Report(register));
        let pieces = rest.chunks(piece).count();
        for (number, tasks) in rest.chunks(piece).enumerate() {
            let complete = number + 1 == pieces;
            self.send(conn, Way::Up, Msg::Report(AgentCommand::Holds { tasks: tasks.to_vec(), complete }));
        }
    }

    fn agent_heartbeat(&mut self, at: usize) {
        let heartbeat = self.heartbeat();
        self.agent_later(at, heartbeat, AgentEvent::Heartbeat);
        let process = self.agents[at].process.as_ref().expect("it runs");
        let Some(conn) = process.conn else { return };
        if self.now.saturating_sub(process.heard) > heartbeat * SILENT_HEARTBEATS {
            say!(self, "agent {at} gives up a silent master");
            self.break_up(conn, true, false);
            return self.agent_disconnected(at, None);
        }
        if process.registered {
            self.send(conn, Way::Up, Msg::Report(AgentCommand::Heartbeat));
        }
    }

    fn report(&mut self, at: usize, report: AgentCommand) {
        let process = self.agents[at].process.as_ref().expect("it runs");
        if let Some(conn) = process.conn.filter(|_| process.registered) {
            self.send(conn, Way::Up, Msg::Report(report));
        }
    }

    /// A connection of an agent is no more.
    pub(crate) fn agent_lost(&mut self, at: usize, life: u64, conn: ConnId) {
        let agent = &self.agents[at];
        if agent.life == life && agent.process.as_ref().is_some_and(|process| process.conn == Some(conn)) {
            self.agent_disconnected(at, None);
        }
    }

    fn agent_disconnected(&mut self, at: usize, leader: Option<usize>) {
        let masters = self.plan.masters;
        let pause = self.rng.range(MS, 100 * MS);
        let process = self.agents[at].process.as_mut().expect("it runs");
        process.conn = None;
        process.registered = false;
        process.target = leader.unwrap_or((process.target + 1) % masters);
        let wait = if leader.is_some() { pause } else { process.backoff + pause };
        process.backoff = (process.backoff * 2).min(2 * S);
        self.node_does(at, Command::Disconnected);
        self.agent_later(at, wait, AgentEvent::Connect);
    }

    /// Something comes from a master.
    pub(crate) fn agent_receives(&mut self, at: usize, life: u64, conn: ConnId, msg: Msg) {
        let now = self.now;
        let agent = &mut self.agents[at];
        let Some(process) = agent.process.as_mut().filter(|process| process.conn == Some(conn)) else { return };
        if agent.life != life {
            return;
        }
        process.heard = now;
        match msg {
            Msg::Order(epoch, order) => {
                if epoch < agent.disk.epoch && !planted::is(Bug::NoEpochCheck) {
                    say!(self, "agent {at} hangs up on {epoch}");
                    self.break_up(conn, true, false);
                    return self.agent_disconnected(at, None);
                }
                agent.disk.epoch = agent.disk.epoch.max(epoch);
                self.oracle.obeys(at, epoch);
                self.agent_ordered(at, conn, order);
            }
            Msg::StandsBy(leader) => {
                self.break_up(conn, true, false);
                self.agent_disconnected(at, leader);
            }
            Msg::Closed | Msg::Failed(_) => {
                let left =
                    self.agents[at].process.as_ref().is_some_and(|process| process.leaving && process.registered);
                let failed = matches!(msg, Msg::Failed(_));
                if let Msg::Failed(why) = &msg {
                    say!(self, "agent {at} hears that {why}");
                }
                self.break_up(conn, true, false);
                if left && !failed {
                    return self.agent_has_left(at);
                }
                self.agent_disconnected(at, None);
            }
            _ => {}
        }
    }

    fn agent_ordered(&mut self, at: usize, conn: ConnId, order: AgentOrder) {
        match order {
            AgentOrder::Registered { member, .. } => {
                let agent = &mut self.agents[at];
                agent.disk.member = Some(member);
                let key = agent.disk.key;
                let process = agent.process.as_mut().expect("it runs");
                process.registered = true;
                process.backoff = 100 * MS;
                let (draining, leaving) = (process.draining, process.leaving);
                self.oracle.named(member, key);
                if draining {
                    self.report(at, AgentCommand::Drain);
                }
                self.node_does(at, Command::Registered(member.id));
                if leaving {
                    self.report(at, AgentCommand::Leave);
                }
            }
            AgentOrder::Refused(rejection) => self.agent_refused(at, conn, &rejection),
            AgentOrder::Launch(spec) => self.node_does(at, Command::Launch(spec)),
            AgentOrder::Kill(task) => self.node_does(at, Command::Kill(task)),
            AgentOrder::Acknowledge(task, update) => self.node_does(at, Command::Acknowledge(task, update)),
            AgentOrder::Resend(framework) => self.node_does(at, Command::Resend(framework)),
            AgentOrder::RemoveFramework(framework) => self.node_does(at, Command::RemoveFramework(framework)),
        }
    }

    fn agent_refused(&mut self, at: usize, conn: ConnId, rejection: &Rejection) {
        self.break_up(conn, true, false);
        if let Rejection::Later(_) = rejection {
            let process = self.agents[at].process.as_mut().expect("it runs");
            process.backoff = process.backoff.max(S);
            return self.agent_disconnected(at, None);
        }
        let leaving = self.agents[at].process.as_ref().is_some_and(|process| process.leaving);
        if leaving {
            return self.agent_has_left(at);
        }
        let member = self.agents[at].disk.member;
        if let Rejection::Final(why) | Rejection::OtherCluster(why) = rejection {
            self.oracle.turned_away(at, member, why);
        }
        if let Rejection::Gone(_) = rejection {
            self.oracle.void(at, member);
        }
        // It ends every task, forgets its id and stops; whoever looks after the machine starts it again.
        self.power_off(at);
        self.agents[at].disk.member = None;
        if let Rejection::Final(_) | Rejection::OtherCluster(_) = rejection {
            let key = self.rng.wide();
            self.agents[at].disk = Disk::new(key);
            self.agents[at].swapped = false;
        }
        self.start_agent(at, 2 * S);
    }

    fn agent_has_left(&mut self, at: usize) {
        say!(self, "agent {at} has left");
        self.power_off(at);
        let agent = &mut self.agents[at];
        agent.disk.member = None;
        if self.leaving {
            agent.left = true;
        } else {
            self.start_agent(at, S);
        }
    }

    /// Has an agent drain, and leave then.
    pub(crate) fn drain(&mut self, at: usize) {
        let Some(process) = &mut self.agents[at].process else { return };
        say!(self, "agent {at} drains");
        let process = match process.draining {
            true => return,
            false => process,
        };
        process.draining = true;
        self.report(at, AgentCommand::Drain);
        self.node_does(at, Command::Drain);
    }

    /// One command for the node, and what follows from it.
    fn node_does(&mut self, at: usize, command: Command) {
        match &command {
            Command::Launch(spec) => say!(self, "agent {at} is to launch {}", spec.id),
            other => say!(self, "agent {at}: {other:?}"),
        }
        let shows = self.agents[at].clock.read(self.now);
        let now = Now::from_nanos(shows);
        let mut effects = Vec::new();
        let process = self.agents[at].process.as_mut().expect("it runs");
        // Late and repeated news are refused, and have changed nothing.
        let _ = process.node.apply(now, command, &mut effects);
        process.node.flush(now, &mut effects);
        for effect in effects {
            self.node_wants(at, effect);
            if self.agents[at].process.is_none() {
                return;
            }
        }
        let agent = &self.agents[at];
        let process = agent.process.as_ref().expect("it runs");
        let due = process.node.next_deadline().map(|due| Time::try_from(due.since(now).as_nanos()).unwrap_or(S));
        if let Some(due) = due {
            let wait = agent.clock.span(due);
            let tick = self.now + wait;
            if process.tick_at.is_none_or(|at| at > tick) {
                self.agents[at].process.as_mut().expect("it runs").tick_at = Some(tick);
                self.after(wait, Event::Agent(at, self.agents[at].life, AgentEvent::Tick));
            }
        }
    }

    fn node_wants(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Run(spec) => {
                let task = spec.id;
                self.agents[at].process.as_mut().expect("it runs").fetching.insert(task, spec);
                self.check_machine(at);
                let takes = if self.rng.chance(200) { self.rng.range(MS, 3 * S) } else { self.rng.range(MS, 20 * MS) };
                self.agent_later(at, takes, AgentEvent::Fetched(task));
            }
            Effect::Stop(task) => {
                let process = self.agents[at].process.as_mut().expect("it runs");
                if process.fetching.remove(&task).is_some() {
                    self.agent_later(at, 0, AgentEvent::GivenUp(task, true));
                } else {
                    let boot = self.agents[at].boot;
                    let wait = self.rng.range(MS, 300 * MS);
                    self.after(wait, Event::Executor(at, boot, task, ExecutorEvent::Stop));
                }
            }
            Effect::Send(updates) => {
                for status in &updates {
                    say!(self, "agent {at} tells {}", crate::words::told(status));
                }
                self.report(at, AgentCommand::Updates(updates));
            }
            Effect::Forget(task) => {
                if self.agents[at].executor.get(&task).is_some_and(|held| held.ending.is_none()) {
                    self.oracle.fail(format!("the node of agent {at} forgets {task}, which runs"));
                }
                self.agents[at].executor.remove(&task);
            }
            Effect::Drained => {
                self.agents[at].process.as_mut().expect("it runs").leaving = true;
                self.report(at, AgentCommand::Leave);
            }
        }
    }

    fn fetched(&mut self, at: usize, task: TaskId) {
        let agent = &mut self.agents[at];
        let process = agent.process.as_mut().expect("it runs");
        let Some(spec) = process.fetching.remove(&task) else { return };
        let held = Held { summary: TaskSummary::from(&*spec), started: false, ending: None, incarnation: 0 };
        if agent.executor.insert(task, held).is_some() {
            self.oracle.fail(format!("agent {at} runs {task} a second time"));
        }
        let boot = self.agents[at].boot;
        let wait = self.rng.range(MS / 10, 10 * MS);
        self.after(wait, Event::Executor(at, boot, task, ExecutorEvent::Start));
    }

    /// What happens in an executor.
    pub(crate) fn executor_happens(&mut self, at: usize, boot: u64, task: TaskId, event: ExecutorEvent) {
        let agent = &mut self.agents[at];
        if agent.boot != boot {
            return;
        }
        let Some(held) = agent.executor.get_mut(&task).filter(|held| held.ending.is_none()) else { return };
        let life = agent.life;
        match event {
            ExecutorEvent::Start => {
                held.started = true;
                say!(self, "{task} starts on agent {at}");
                let takes = self.oracle.started(task, at);
                self.program_started(task);
                self.after(takes, Event::Executor(at, boot, task, ExecutorEvent::End));
                self.after(0, Event::Agent(at, life, AgentEvent::Started(task)));
            }
            ExecutorEvent::End | ExecutorEvent::Stop => {
                let state = match event {
                    ExecutorEvent::Stop => TaskState::Killed,
                    _ => self.oracle.outcome(task),
                };
                let ending = Ending {
                    state,
                    reason: (state != TaskState::Finished).then_some(Reason::Exit),
                    message: String::new(),
                    exit_code: Some(0),
                    exceeded: None,
                    usage: Usage { wall: Duration::from_nanos(1), ..Usage::default() },
                };
                held.ending = Some(ending.clone());
                say!(self, "{task} ends as {state} on agent {at}");
                self.oracle.ended(task, state);
                self.after(0, Event::Agent(at, life, AgentEvent::Ended(task, Box::new(ending))));
            }
        }
    }

    /// The executor of one framework ends, and its tasks with it.
    pub(crate) fn crash_executor(&mut self, at: usize, task: TaskId) {
        let agent = &mut self.agents[at];
        let dead: Vec<TaskId> =
            agent.executor.keys().copied().filter(|held| held.framework == task.framework).collect();
        say!(self, "the executor of {} on agent {at} ends", task.framework);
        for task in dead {
            let agent = &mut self.agents[at];
            let held = agent.executor.remove(&task).expect("it was just there");
            let life = agent.life;
            if held.ending.is_none() {
                self.oracle.lost(task);
                self.after(0, Event::Agent(at, life, AgentEvent::GivenUp(task, false)));
            } else {
                // Its record is gone; a later agent does not know of it.
                self.oracle.lost(task);
            }
        }
    }
}
