//! Everything there is, in one thread: what happens next is the first entry of a queue.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use haggle_core::{Ending, TaskId};

use crate::agent::Agent;
use crate::framework::Framework;
use crate::master::{Master, Writing};
use crate::net::{ConnId, Net, Way};
use crate::oracle::Oracle;
use crate::plan::{Plan, Time};
use crate::program::Program;
use crate::rng::Rng;
use crate::store::Store;

/// What can happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A message comes to one end of a connection.
    Arrive(ConnId, Way),
    /// One end finds out that a connection is no more.
    ConnLost(ConnId, Way),
    /// The network looks at a connection that was cut.
    KeepAlive(ConnId),
    /// Of a master, in a certain life.
    Master(usize, u64, MasterEvent),
    /// A write comes to the registry, whether or not its master still lives.
    Commit(usize, u64, Box<Writing>),
    /// Of an agent's process, in a certain life.
    Agent(usize, u64, AgentEvent),
    /// Of an executor, since a certain boot of its machine.
    Executor(usize, u64, TaskId, ExecutorEvent),
    /// Of an instance of a framework.
    Framework(usize, u64, FrameworkEvent),
    /// Of a program's process.
    Program(usize, u64, ProgramEvent),
    /// Something goes wrong.
    Fault,
    /// A fault is over.
    Undo(Undo),
}

/// What a master's process waits for.
#[derive(Clone, Debug)]
pub(crate) enum MasterEvent {
    /// It starts.
    Start,
    /// It tries to lead.
    Campaign,
    /// It reads the registry.
    Open(u64),
    /// It renews its lease.
    KeepAlive,
    /// It looks at what waits.
    Step,
    /// It is time for its next deadline.
    Wake(u64),
    /// The registry has answered.
    Written(WriteEnd),
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteEnd {
    /// It is durable.
    Done,
    /// There is no room.
    Full,
    /// Somebody else leads, or the disk is broken.
    Failed,
}

/// What an agent's process waits for.
#[derive(Clone, Debug)]
pub(crate) enum AgentEvent {
    /// It starts.
    Start,
    /// It connects.
    Connect,
    /// It says that it lives, and looks whether its master does.
    Heartbeat,
    /// Its node has a deadline.
    Tick,
    /// Something that a task needs is being fetched.
    Preparing(TaskId),
    /// What a task needs is there.
    Fetched(TaskId),
    /// The executor says that a task has started.
    Started(TaskId),
    /// The executor says that a task has ended.
    Ended(TaskId, Box<Ending>),
    /// A task was stopped before the executor had it, or died with it.
    GivenUp(TaskId, bool),
}

/// What an executor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecutorEvent {
    /// A task starts.
    Start,
    /// It ends by itself.
    End,
    /// It is stopped.
    Stop,
}

/// What an instance of a framework waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameworkEvent {
    /// It connects.
    Connect,
    /// It says that it lives, and looks whether its master does.
    Heartbeat,
    /// It sends the acknowledgements that wait.
    Acknowledge,
    /// It thinks of something to do.
    Act,
}

/// What a program's process waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramEvent {
    /// It starts.
    Start,
    /// It connects.
    Connect,
    /// A master has had long enough to answer the subscription of this session.
    Unanswered(u64),
    /// It says that it lives, and looks whether its master does.
    Heartbeat,
    /// Its runner decides on what has come.
    Decide,
    /// Its runner has a deadline.
    Wake(u64),
    /// The master has told of its agents, or has not answered.
    Surveyed,
    /// It thinks of something to do.
    Act,
}

/// What is made good again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// A way is open again.
    Cut(crate::net::Place, crate::net::Place),
    /// An instance of a framework ends, and another starts.
    Framework(usize, u64),
    /// A framework starts again.
    Start(usize),
    /// Somebody who follows no rule has had enough.
    Rogue(ConnId),
    /// Somebody reads as fast as before.
    Slow(crate::net::Place),
    /// An agent is started anew, and asks a certain master first.
    Restart(usize, usize),
}

/// Everything.
pub(crate) struct World {
    /// What it was made of.
    pub(crate) plan: Plan,
    /// Decides everything that is left to chance.
    pub(crate) rng: Rng,
    /// The simulation's own time.
    pub(crate) now: Time,
    /// Whether things go wrong.
    pub(crate) faulty: bool,
    /// Whether frameworks launch one task on each agent, and no others.
    pub(crate) canaries: bool,
    /// Whether everybody leaves.
    pub(crate) leaving: bool,
    /// The masters.
    pub(crate) masters: Vec<Master>,
    /// The agents with their machines.
    pub(crate) agents: Vec<Agent>,
    /// The frameworks.
    pub(crate) frameworks: Vec<Framework>,
    /// The programs that use a runner.
    pub(crate) programs: Vec<Program>,
    /// The network.
    pub(crate) net: Net,
    /// The registry.
    pub(crate) store: Store,
    /// Who knows the truth.
    pub(crate) oracle: Oracle,
    /// What happened.
    pub(crate) log: Log,
    queue: BTreeMap<(Time, u64), Event>,
    scheduled: u64,
}

/// What happened: a hash always, the words when asked for.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Of everything so far.
    pub(crate) hash: u64,
    /// How many events there were.
    pub(crate) events: u64,
    /// The words, when they are kept.
    pub(crate) lines: Option<Vec<String>>,
}

impl Log {
    /// Adds something to the hash.
    pub(crate) fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }

    /// Adds a line, when lines are kept.
    pub(crate) fn line(&mut self, now: Time, text: fmt::Arguments<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6} {text}", now as f64 / 1e9));
        }
    }
}

/// Writes a line into the log.
#[macro_export]
macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if $world.log.lines.is_some() {
            let now = $world.now;
            $world.log.line(now, format_args!($($text)*));
        }
    };
}

impl World {
    /// A world in which nothing has happened.
    pub(crate) fn new(plan: Plan, rng: Rng, words: bool) -> Self {
        Self {
            plan,
            rng,
            now: 0,
            faulty: true,
            canaries: false,
            leaving: false,
            masters: Vec::new(),
            agents: Vec::new(),
            frameworks: Vec::new(),
            programs: Vec::new(),
            net: Net::default(),
            store: Store::default(),
            oracle: Oracle::default(),
            log: Log { lines: words.then(Vec::new), ..Log::default() },
            queue: BTreeMap::new(),
            scheduled: 0,
        }
    }

    /// Has something happen at a time.
    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.scheduled += 1;
        self.queue.insert((time.max(self.now), self.scheduled), event);
    }

    /// Has something happen after a while.
    pub(crate) fn after(&mut self, wait: Time, event: Event) {
        self.at(self.now + wait, event);
    }

    /// Lets everything happen until then, or until a promise is broken.
    pub(crate) fn run_until(&mut self, end: Time) {
        while self.oracle.broken.is_none()
            && let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((time, number), event) = entry.remove_entry();
            self.now = time;
            self.log.events += 1;
            self.log.mix(time ^ number.rotate_left(32));
            self.happen(event);
        }
        self.now = self.now.max(end);
    }

    /// The connections of which an event is still to come.
    pub(crate) fn queue_conns(&self) -> BTreeSet<ConnId> {
        self.queue
            .values()
            .filter_map(|event| match event {
                Event::Arrive(id, _) | Event::ConnLost(id, _) | Event::KeepAlive(id) => Some(*id),
                _ => None,
            })
            .collect()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(id, way) => self.arrive(id, way),
            Event::ConnLost(id, way) => self.lost(id, way),
            Event::KeepAlive(id) => self.keep_alive(id),
            Event::Master(at, life, event) => {
                let until = self.masters[at].paused_until;
                if until > self.now {
                    return self.at(until, Event::Master(at, life, event));
                }
                self.master_happens(at, life, &event);
            }
            Event::Commit(at, life, writing) => self.commit(at, life, &writing),
            Event::Agent(at, life, event) => {
                let until = self.agents[at].paused_until;
                if until > self.now {
                    return self.at(until, Event::Agent(at, life, event));
                }
                self.agent_happens(at, life, event);
            }
            Event::Executor(at, boot, task, event) => self.executor_happens(at, boot, task, event),
            Event::Framework(at, life, event) => {
                let until = self.framework_paused(at, life);
                if until > self.now {
                    return self.at(until, Event::Framework(at, life, event));
                }
                self.framework_happens(at, life, event);
            }
            Event::Program(at, life, event) => {
                let until = self.program_paused(at, life);
                if until > self.now {
                    return self.at(until, Event::Program(at, life, event));
                }
                self.program_happens(at, life, event);
            }
            Event::Fault => self.strike(),
            Event::Undo(Undo::Cut(from, to)) => self.set_cut(from, to, false),
            Event::Undo(Undo::Rogue(id)) => self.break_up(id, true, true),
            Event::Undo(Undo::Slow(place)) => {
                if self.net.slow.get(&place).is_some_and(|&until| until <= self.now) {
                    self.net.slow.remove(&place);
                }
            }
            // Whoever is asked to drain once nothing goes wrong any more is asked once.
            Event::Undo(Undo::Restart(at, master)) if self.faulty => {
                self.crash_agent(at);
                self.agents[at].first_target = Some(master);
                let wait = self.rng.range(10 * crate::plan::MS, 200 * crate::plan::MS);
                self.start_agent(at, wait);
            }
            Event::Undo(Undo::Restart(..)) => {}
            Event::Undo(Undo::Start(at)) => {
                if self.frameworks[at].instances.is_empty() {
                    self.start_framework(at);
                }
            }
            Event::Undo(Undo::Framework(at, life)) => {
                if self.frameworks[at].instances.contains_key(&life) {
                    self.end_instance(at, life);
                    self.start_framework(at);
                }
            }
        }
    }
}
