//! A master's process around the real cluster machine: what can become of it.

mod driver;
mod lead;
mod speak;
mod write;

pub(crate) use driver::Claim;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use haggle_core::cluster::{Change, Cluster, Command, Effect, OperatorCommand};
use haggle_core::{ClusterId, Epoch, RequestId, SessionId};

use crate::clock::Clock;
use crate::net::{ConnId, Place};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::wants::Wants;
use crate::world::{Event, MasterEvent, World};

/// The longest that a driver sleeps: what passes beyond that, and a little, was a pause.
const SLEEP_MAX: Time = S;
/// The most time that counts between two looks at the clock.
pub(crate) const COUNTED_MAX: Time = SLEEP_MAX + S;
/// Between two tries to lead, or to write to a full disk.
const RETRY: Time = S;

/// A master's machine and process.
pub(crate) struct Master {
    /// Counts its processes.
    pub(crate) life: u64,
    /// Until when it stands still.
    pub(crate) paused_until: Time,
    /// How long it has stood still in all.
    pub(crate) paused: Time,
    /// The most that its driver's clock can have counted too much because of that, and of jumps.
    pub(crate) counted: Time,
    /// Whether all its clocks stood still while it ran, so that it may not know that it leads no more.
    pub(crate) suspended: bool,
    /// Its machine's clock.
    pub(crate) clock: Clock,
    /// What it does when it leads.
    pub(crate) lead: Option<Box<Lead>>,
    /// Whether its process runs.
    pub(crate) up: bool,
}

/// A master that leads, or believes so.
pub(crate) struct Lead {
    /// The machine.
    pub(crate) cluster: Cluster,
    /// Which master this is.
    pub(crate) epoch: Epoch,
    /// Of which cluster.
    pub(crate) of: ClusterId,
    lease: u64,
    /// By the master's clock that goes on while its machine sleeps.
    leads_until: Time,
    waiting: VecDeque<Input>,
    stepping: bool,
    wake: u64,
    /// What the machine was last told.
    now: u64,
    looked: Time,
    /// What is on its way to the registry.
    writing: Option<Writing>,
    held_back: Vec<Effect>,
    /// What those want who are connected, as they have said it.
    wants: Wants,
    /// Sessions that end because of what was said on them, after what was decided before.
    failed: Vec<(SessionId, String)>,
    sessions: BTreeMap<SessionId, ConnId>,
    /// Connections whose session it has ended, and whose peers may not know it yet. Nothing more is heard on them.
    ended: BTreeSet<ConnId>,
    by_conn: BTreeMap<ConnId, SessionId>,
    last_session: u64,
    /// When each peer was last heard, by a clock without pauses: for the checks alone.
    pub(crate) heard: BTreeMap<Place, Time>,
    /// When it began to lead, likewise.
    pub(crate) began: Time,
}

/// What waits for the driver.
#[derive(Debug)]
enum Input {
    /// Everybody is the owner here.
    Connected(SessionId),
    Said(SessionId, Box<Command>),
    Ended(SessionId),
    Operator(Option<RequestId>, OperatorCommand),
}

/// A write on its way to the registry.
#[derive(Clone, Debug)]
pub(crate) struct Writing {
    lease: u64,
    epoch: Epoch,
    clock: u64,
    changes: Vec<Change>,
    fails: bool,
}

/// Where in an accept the master is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    BeforeDeciding,
    BeforeSpeaking,
    WhileSpeaking,
    AfterSpeaking,
}

impl Master {
    /// A master that has not started.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { life: 0, paused_until: 0, paused: 0, counted: 0, suspended: false, clock, lead: None, up: false }
    }
}

impl Lead {
    /// Sessions that the driver knows.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The peer of a session.
    pub(crate) fn conn(&self, session: SessionId) -> Option<ConnId> {
        self.sessions.get(&session).copied()
    }
}

impl World {
    /// The most that a driver's clock can have counted: for the checks alone.
    pub(crate) fn ran(&self, at: usize) -> Time {
        self.now + self.masters[at].counted - self.masters[at].paused
    }

    pub(super) fn has_leases(&self) -> bool {
        self.plan.masters > 1
    }

    /// What happens to a master's process.
    pub(crate) fn master_happens(&mut self, at: usize, life: u64, event: &MasterEvent) {
        if let MasterEvent::Start = event {
            if !self.masters[at].up && self.masters[at].life == life {
                self.start_master(at);
            }
            return;
        }
        if self.masters[at].life != life || !self.masters[at].up {
            return;
        }
        match event {
            MasterEvent::Start => {}
            MasterEvent::Campaign => self.campaign(at),
            &MasterEvent::Open(lease) => self.open_registry(at, lease),
            MasterEvent::KeepAlive => self.renew(at),
            MasterEvent::Step => {
                if let Some(lead) = &mut self.masters[at].lead {
                    lead.stepping = false;
                }
                self.step(at);
            }
            &MasterEvent::Wake(number) => {
                if self.masters[at].lead.as_ref().is_some_and(|lead| lead.wake == number) {
                    self.step(at);
                }
            }
            &MasterEvent::Written(how) => self.written(at, how),
        }
    }

    fn start_master(&mut self, at: usize) {
        let master = &mut self.masters[at];
        master.life += 1;
        master.up = true;
        say!(self, "master {at} starts");
        self.master_later(at, 0, MasterEvent::Campaign);
    }

    pub(super) fn master_later(&mut self, at: usize, wait: Time, event: MasterEvent) {
        let life = self.masters[at].life;
        self.after(wait, Event::Master(at, life, event));
    }

    /// Ends a master's process, at once and without a word; starts it again after a while.
    pub(crate) fn crash_master(&mut self, at: usize, back_after: Time) {
        if !self.masters[at].up {
            return;
        }
        say!(self, "master {at} ends");
        let leases = self.has_leases();
        let master = &mut self.masters[at];
        master.up = false;
        let writing = master.lead.take().and_then(|lead| lead.writing).filter(|_| !leases);
        // What its own disk was writing is there or not, all of it.
        if let Some(writing) = writing.filter(|_| self.rng.chance(500)) {
            self.store_writes(at, &writing);
        }
        let master = &mut self.masters[at];
        master.suspended = false;
        master.clock.wake(self.now);
        master.paused -= master.paused_until.saturating_sub(self.now);
        master.paused_until = 0;
        for id in self.conns_where(|conn| conn.master == at) {
            self.break_up(id, false, true);
        }
        let life = self.masters[at].life;
        self.after(back_after, Event::Master(at, life, MasterEvent::Start));
    }

    /// A master that does not lead any more starts anew.
    pub(super) fn retire(&mut self, at: usize) {
        let wait = self.rng.range(10 * MS, 500 * MS);
        self.crash_master(at, wait);
    }

    /// The master that leads by the registry, and knows it.
    pub(crate) fn leader(&self) -> Option<usize> {
        let newest = |at: &usize| {
            self.masters[*at].lead.as_ref().filter(|lead| lead.of == self.store.cluster).map(|lead| lead.epoch)
        };
        let at = (0..self.masters.len()).filter(|at| newest(at).is_some()).max_by_key(newest)?;
        (newest(&at) == Some(Epoch(self.store.epoch))).then_some(at)
    }
}
