//! An agent's machine and process around the real node machine.

mod executor;
mod link;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haggle_core::node::{self, Command, Node};
use haggle_core::planted::{self, Bug};
use haggle_core::{
    AgentId, AgentKey, Bytes, Ending, Epoch, Member, MilliCpu, Reason, Resources, Stop, TaskId, TaskSpec, TaskSummary,
    VolumeId,
};

use crate::clock::Clock;
use crate::net::ConnId;
use crate::plan::{MS, Time};
use crate::say;
use crate::world::{AgentEvent, Event, World};

/// Heartbeats without an answer after which a session counts as dead.
const SILENT_HEARTBEATS: u64 = 3;

/// A machine with an agent.
pub(crate) struct Agent {
    /// What it has.
    pub(crate) resources: Resources,
    /// What of that it keeps for roles, by the flags that it was started with.
    pub(crate) keeps: BTreeMap<String, Resources>,
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
    /// The master that its next process asks first.
    pub(crate) first_target: Option<usize>,
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
    /// The folders of volumes.
    pub(crate) volumes: BTreeSet<VolumeId>,
}

/// An agent that runs.
pub(crate) struct Process {
    /// The machine.
    pub(crate) node: Node,
    run: u64,
    /// Of the masters that have taken it in.
    highest: Epoch,
    /// Its session.
    pub(crate) conn: Option<ConnId>,
    /// Whether the session's master has taken it in.
    pub(crate) registered: bool,
    target: usize,
    backoff: Time,
    heard: Time,
    pub(crate) fetching: BTreeMap<TaskId, Arc<TaskSpec>>,
    draining: bool,
    leaving: bool,
    tick_at: Option<Time>,
}

/// A task in an executor.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// What was launched.
    pub(crate) summary: TaskSummary,
    /// The volumes that it mounts, and whether it writes them.
    pub(crate) mounts: Vec<(VolumeId, bool)>,
    /// Whether it runs, or ran.
    pub(crate) started: bool,
    /// Why it was told to end before it had.
    pub(crate) stopped: Option<Stop>,
    /// How it ended.
    pub(crate) ending: Option<Ending>,
    incarnation: u32,
}

impl Disk {
    /// A new work folder.
    pub(crate) fn new(key: u128) -> Self {
        Self { member: None, key: AgentKey(key), epoch: Epoch(0), volumes: BTreeSet::new() }
    }
}

impl Agent {
    /// A machine that was never on.
    pub(crate) fn new(cores: u64, disk: Disk, clock: Clock) -> Self {
        Self {
            resources: Resources::new(MilliCpu::from_cores(cores), Bytes::from_mib(cores * 512), Bytes::from_mib(64)),
            keeps: BTreeMap::new(),
            disk,
            swapped: false,
            boot: 0,
            life: 0,
            paused_until: 0,
            clock,
            process: None,
            executor: BTreeMap::new(),
            first_target: None,
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

    pub(super) fn agent_later(&mut self, at: usize, wait: Time, event: AgentEvent) {
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
            self.loses(at, *task);
        }
        // What a node says of a task that never ran dies with it.
        for (task, _) in process.node.task_states() {
            if !self.agents[at].executor.contains_key(&task) {
                self.loses(at, task);
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
            self.loses(at, task);
        }
    }

    /// Whether a machine's agent, and with it what runs there, is of the cluster that there is now.
    pub(crate) fn is_of_this_cluster(&self, at: usize) -> bool {
        self.agents[at].disk.member.is_some_and(|member| member.cluster == self.store.cluster)
    }

    /// A task is lost on a machine, or never came to run there.
    pub(super) fn loses(&mut self, at: usize, task: TaskId) {
        if self.is_of_this_cluster(at) {
            self.oracle.lost(task);
        }
    }

    /// A machine gets an empty work folder.
    pub(crate) fn clear_disk(&mut self, at: usize) {
        let key = self.rng.wide();
        self.agents[at].disk = Disk::new(key);
        self.agents[at].swapped = false;
        self.oracle.forgets_epoch(at);
    }

    /// Nothing of the work folder is left but what nobody removes but an operator: the volumes.
    pub(crate) fn forget_identity(&mut self, at: usize) {
        let volumes = std::mem::take(&mut self.agents[at].disk.volumes);
        self.clear_disk(at);
        self.agents[at].disk.volumes = volumes;
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
            AgentEvent::Preparing(task) => self.node_does(at, Command::Preparing(task)),
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
        let keeps = self.faulty && self.rng.chance(self.plan.keeps);
        let keeps = keeps.then(|| (self.a_role_to_reserve(), self.some_of_an_agent())).into_iter().collect();
        let agent = &mut self.agents[at];
        agent.keeps = keeps;
        let target = agent.first_target.take().unwrap_or(target);
        let highest = if planted::is(Bug::EpochNotOnDisk) { Epoch(0) } else { agent.disk.epoch };
        agent.process = Some(Process {
            node: Node::new(config, agent.resources.clone()),
            run,
            highest,
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
        let recovered: Vec<_> = agent
            .executor
            .values_mut()
            .map(|held| {
                held.incarnation += 1;
                held.clone()
            })
            .collect();
        for Held { summary, mounts: _, started, stopped, ending, incarnation } in recovered {
            self.node_does(at, Command::Recover { task: summary, started, stopped, ending, incarnation });
        }
        self.agent_later(at, 0, AgentEvent::Connect);
        let wait = self.heartbeat();
        self.agent_later(at, wait, AgentEvent::Heartbeat);
    }
}
