//! A framework that keeps its promises, or not: writes down what it launches before it accepts, and what it hears
//! before it acknowledges.

mod acts;
mod session;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use haggle_core::cluster::{Acknowledgement, FrameworkCall, FrameworkCommand};
use haggle_core::{AgentId, Epoch, FrameworkId, Member, TaskState};

use crate::net::{ConnId, Msg, Way};
use crate::plan::{MS, S, Temper, Time};
use crate::say;
use crate::world::{Event, FrameworkEvent, World};

const HEARTBEAT: Time = 5 * S;
const SILENCE: Time = 12 * S;

/// A framework with its store and its instances.
pub(crate) struct Framework {
    /// How it behaves.
    pub(crate) temper: Temper,
    /// What outlives its instances.
    pub(crate) store: Store,
    /// The instances that run.
    pub(crate) instances: BTreeMap<u64, Instance>,
    /// Counts its instances.
    pub(crate) last: u64,
    /// Counts the identities that it has had.
    pub(crate) identities: u64,
}

/// What a framework keeps, in one place for all its instances. Only the latest instance may write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    /// Its id.
    pub(crate) member: Option<Member<FrameworkId>>,
    /// The latest master that it has subscribed with.
    epoch: Epoch,
    /// The number of its last task.
    pub(crate) last_task: u64,
    /// What became of each.
    pub(crate) tasks: BTreeMap<u64, Record>,
    owner: u64,
    /// Agents that have a canary.
    pub(crate) canaries: BTreeSet<AgentId>,
    declined: BTreeSet<AgentId>,
    /// Acknowledgements that it has given: now and then it gives one again.
    given: Vec<Acknowledgement>,
    /// Whether it has left for good.
    pub(crate) torn_down: bool,
}

/// A task as its framework knows it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Where it was launched.
    pub(crate) agent: AgentId,
    /// The last that was heard.
    pub(crate) state: Option<TaskState>,
    /// Whether the framework wants its end.
    pub(crate) kill: bool,
    /// Whether it proves that its agent works.
    pub(crate) canary: bool,
    /// Acknowledgements that it owes and has not given.
    owed: Vec<Acknowledgement>,
}

/// One instance of a framework.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Until when it stands still.
    pub(crate) paused_until: Time,
    /// Its session.
    pub(crate) conn: Option<ConnId>,
    /// Whether the session's master has taken it in.
    pub(crate) subscribed: bool,
    epoch: Option<Epoch>,
    last_call: u64,
    calls: VecDeque<FrameworkCall>,
    heard: Time,
    target: usize,
    backoff: Time,
    acks: Vec<Acknowledgement>,
    acking: bool,
    revived: bool,
}

impl Framework {
    /// A framework that has not started.
    pub(crate) fn new(temper: Temper) -> Self {
        Self { temper, store: Store::default(), instances: BTreeMap::new(), last: 0, identities: 1 }
    }
}

impl Record {
    /// Whether its end is known.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_some_and(TaskState::is_terminal)
    }
}

impl World {
    /// Until when an instance stands still.
    pub(crate) fn framework_paused(&self, at: usize, life: u64) -> Time {
        self.frameworks[at].instances.get(&life).map_or(0, |instance| instance.paused_until)
    }

    /// Starts an instance, which takes the store over.
    pub(crate) fn start_framework(&mut self, at: usize) {
        let target = self.rng.index(self.plan.masters);
        let framework = &mut self.frameworks[at];
        if framework.store.torn_down {
            return;
        }
        framework.last += 1;
        let life = framework.last;
        framework.store.owner = life;
        framework.instances.insert(
            life,
            Instance {
                paused_until: 0,
                conn: None,
                subscribed: false,
                epoch: None,
                last_call: 0,
                calls: VecDeque::new(),
                heard: self.now,
                target,
                backoff: 50 * MS,
                acks: Vec::new(),
                acking: false,
                revived: false,
            },
        );
        say!(self, "framework {at} starts its instance {life}");
        for event in [FrameworkEvent::Connect, FrameworkEvent::Heartbeat, FrameworkEvent::Act] {
            self.after(MS, Event::Framework(at, life, event));
        }
    }

    /// Ends an instance.
    pub(crate) fn end_instance(&mut self, at: usize, life: u64) {
        if let Some(instance) = self.frameworks[at].instances.remove(&life) {
            say!(self, "framework {at} ends its instance {life}");
            if let Some(conn) = instance.conn {
                self.break_up(conn, true, false);
            }
        }
    }

    pub(super) fn instance(&mut self, at: usize, life: u64) -> Option<&mut Instance> {
        self.frameworks[at].instances.get_mut(&life)
    }

    /// Whether an instance may write to the store. One that was replaced notices here, and ends.
    pub(super) fn may_write(&mut self, at: usize, life: u64) -> bool {
        let owns = self.frameworks[at].store.owner == life;
        if !owns {
            self.end_instance(at, life);
        }
        owns
    }

    /// What happens to an instance.
    pub(crate) fn framework_happens(&mut self, at: usize, life: u64, event: FrameworkEvent) {
        let Some(instance) = self.instance(at, life) else { return };
        match event {
            FrameworkEvent::Connect => {
                if instance.conn.is_none() {
                    self.subscribe(at, life);
                }
            }
            FrameworkEvent::Heartbeat => {
                self.after(HEARTBEAT, Event::Framework(at, life, FrameworkEvent::Heartbeat));
                let now = self.now;
                let Some(instance) = self.instance(at, life) else { return };
                let Some(conn) = instance.conn else { return };
                if now.saturating_sub(instance.heard) > SILENCE {
                    self.break_up(conn, true, false);
                    return self.framework_disconnected(at, life, None);
                }
                if instance.subscribed {
                    self.send(conn, Way::Up, Msg::Ping);
                }
            }
            FrameworkEvent::Acknowledge => {
                instance.acking = false;
                let acks = std::mem::take(&mut instance.acks);
                self.call(at, life, FrameworkCommand::Acknowledge(acks));
            }
            FrameworkEvent::Act => {
                self.act(at, life);
                let wait = if self.faulty { self.rng.range(300 * MS, 3 * S) } else { 2 * S };
                self.after(wait, Event::Framework(at, life, FrameworkEvent::Act));
            }
        }
    }
}
