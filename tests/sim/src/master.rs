//! A master's process around the real cluster machine: what the driver does, and what can become of it.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentCommand, Change, Cluster, Command, Config, Effect, FrameworkCommand, OperatorCommand};
use haggle_core::{AgentId, ClusterId, Epoch, Now, RequestId, SessionId};

use crate::bugs::{self, Bug};
use crate::clock::Clock;
use crate::net::{ConnId, Msg, Peer, Place, Way};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::store::LEASE;
use crate::words::{Done, Said, Written};
use crate::world::{Event, MasterEvent, World, WriteEnd};

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
    /// Whether its clock stood still while it ran, so that it may not know that it leads no more.
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
    lease: u64,
    /// By the master's own clock.
    leads_until: Time,
    waiting: VecDeque<Input>,
    stepping: bool,
    wake: u64,
    /// What the machine was last told.
    now: u64,
    looked: Time,
    writing: bool,
    held_back: Vec<Effect>,
    /// Sessions that end because of what was said on them, after what was decided before.
    failed: Vec<(SessionId, String)>,
    sessions: BTreeMap<SessionId, ConnId>,
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
    Said(SessionId, Box<Command>),
    Ended(SessionId),
    Operator(Option<RequestId>, OperatorCommand),
    Connected(SessionId),
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

    fn has_leases(&self) -> bool {
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

    fn master_later(&mut self, at: usize, wait: Time, event: MasterEvent) {
        let life = self.masters[at].life;
        self.after(wait, Event::Master(at, life, event));
    }

    /// Ends a master's process, at once and without a word; starts it again after a while.
    pub(crate) fn crash_master(&mut self, at: usize, back_after: Time) {
        if !self.masters[at].up {
            return;
        }
        say!(self, "master {at} ends");
        let master = &mut self.masters[at];
        master.up = false;
        master.lead = None;
        if std::mem::take(&mut master.suspended) {
            let left = master.paused_until.saturating_sub(self.now);
            master.clock.jump(left);
        }
        master.paused -= master.paused_until.saturating_sub(self.now);
        master.paused_until = 0;
        for id in self.conns_where(|conn| conn.master == at) {
            self.break_up(id, false, true);
        }
        let life = self.masters[at].life;
        self.after(back_after, Event::Master(at, life, MasterEvent::Start));
    }

    fn reaches_store(&self, at: usize) -> bool {
        self.store.down_until <= self.now && self.net.connects(Place::Master(at), Place::Store)
    }

    fn campaign(&mut self, at: usize) {
        if self.masters[at].lead.is_some() {
            return;
        }
        let wait = self.rng.range(MS, 50 * MS);
        if !self.has_leases() {
            return self.master_later(at, wait, MasterEvent::Open(0));
        }
        let lease = if self.reaches_store(at) { self.store.campaign(self.now, at) } else { None };
        match lease {
            Some(lease) => {
                say!(self, "master {at} is elected with lease {lease}");
                self.master_later(at, wait, MasterEvent::Open(lease));
            }
            None => {
                let wait = self.rng.range(RETRY / 4, RETRY);
                self.master_later(at, wait, MasterEvent::Campaign);
            }
        }
    }

    fn open_registry(&mut self, at: usize, lease: u64) {
        let can_write = self.store.full_until <= self.now && self.reaches_store(at);
        let leads = !self.has_leases() || self.store.leads(self.now, lease);
        if !can_write || !leads {
            return self.master_later(at, RETRY, MasterEvent::Campaign);
        }
        let recovered = self.store.open(self.now);
        let config = Config {
            offer_timeout: self.plan.offer_timeout,
            agent_timeout: self.plan.agent_timeout,
            agent_gone_after: self.plan.gone_after,
            reregister_timeout: self.plan.reregister_timeout,
            unacknowledged_per_framework: self.plan.unacknowledged,
            history: self.plan.history,
            ..Config::default()
        };
        let looked = self.masters[at].clock.read(self.now);
        say!(self, "master {at} leads as {}", recovered.epoch);
        self.oracle.leads(recovered.epoch);
        let now = self.store.clock;
        let lead = Lead {
            epoch: recovered.epoch,
            cluster: Cluster::new(config, recovered, Now::from_nanos(now)),
            lease,
            // The lease was given before the registry was read.
            leads_until: looked + LEASE - 100 * MS,
            waiting: VecDeque::new(),
            stepping: false,
            wake: 0,
            now,
            looked,
            writing: false,
            held_back: Vec::new(),
            failed: Vec::new(),
            sessions: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            last_session: 0,
            heard: BTreeMap::new(),
            began: self.ran(at),
        };
        self.masters[at].lead = Some(Box::new(lead));
        if self.has_leases() {
            self.master_later(at, S, MasterEvent::KeepAlive);
        }
        self.step(at);
    }

    fn renew(&mut self, at: usize) {
        let asked = self.masters[at].clock.read(self.now);
        let reaches = self.reaches_store(at);
        let Some(lead) = &mut self.masters[at].lead else { return };
        if reaches {
            if !self.store.keep_alive(self.now, lead.lease) {
                say!(self, "master {at} has lost its lease");
                return self.retire(at);
            }
            lead.leads_until = asked + LEASE;
        }
        self.master_later(at, S, MasterEvent::KeepAlive);
    }

    /// A master that does not lead any more starts anew.
    fn retire(&mut self, at: usize) {
        let wait = self.rng.range(10 * MS, 500 * MS);
        self.crash_master(at, wait);
    }

    /// The driver's clock: what passed while it did not run does not count.
    fn driver_now(&mut self, at: usize) -> Now {
        let master = &mut self.masters[at];
        let shows = master.clock.read(self.now);
        let lead = master.lead.as_mut().expect("it leads");
        let passed = shows.saturating_sub(lead.looked);
        lead.looked = lead.looked.max(shows);
        lead.now += if bugs::is(Bug::PausesCount) { passed } else { passed.min(COUNTED_MAX) };
        Now::from_nanos(lead.now)
    }

    /// Something comes in from the network.
    pub(crate) fn master_receives(&mut self, at: usize, conn: ConnId, msg: Msg) {
        if !self.masters[at].up {
            return self.break_up(conn, true, true);
        }
        let ran = self.ran(at);
        let peer = self.net.conns[&conn].peer;
        // An instance that was replaced, and does not know it, says nothing of the one that took its place.
        let is_latest = match peer {
            Peer::Framework(at, life) => self.frameworks[at].last == life,
            _ => true,
        };
        let place = peer.place().filter(|_| is_latest);
        let Some(lead) = &mut self.masters[at].lead else {
            let leader = self.store.leader.as_ref().map(|leader| leader.master).filter(|&leader| leader != at);
            self.send(conn, Way::Down, Msg::StandsBy(leader));
            return;
        };
        // A registration or a subscription may be refused, and says nothing of the one that is connected.
        let introduces = match &msg {
            Msg::Report(report) => {
                matches!(report, AgentCommand::Register { .. } | AgentCommand::Holds { .. })
            }
            Msg::Call(call) => matches!(call.command, FrameworkCommand::Subscribe { .. }),
            _ => false,
        };
        lead.heard.extend(place.filter(|_| !introduces).map(|place| (place, ran)));
        let (session, is_new) = match lead.by_conn.get(&conn) {
            Some(&session) => (session, false),
            None => {
                lead.last_session += 1;
                let session = SessionId(lead.last_session);
                lead.by_conn.insert(conn, session);
                lead.sessions.insert(session, conn);
                (session, true)
            }
        };
        if is_new {
            self.master_input(at, Input::Connected(session));
        }
        let command = match msg {
            Msg::Report(report) => {
                if report == AgentCommand::Heartbeat {
                    self.send(conn, Way::Down, Msg::Pong);
                }
                Command::Agent(session, report)
            }
            Msg::Call(call) => Command::Framework(session, call),
            Msg::Ping => return self.send(conn, Way::Down, Msg::Pong),
            _ => return,
        };
        self.master_input(at, Input::Said(session, Box::new(command)));
    }

    /// A connection to a master is no more.
    pub(crate) fn master_lost(&mut self, at: usize, conn: ConnId) {
        let Some(lead) = &self.masters[at].lead else { return };
        if let Some(&session) = lead.by_conn.get(&conn) {
            self.master_input(at, Input::Ended(session));
        }
    }

    /// An operator asks the master that leads, if there is one. The same request may come twice.
    pub(crate) fn operator(&mut self, request: RequestId, command: &OperatorCommand) {
        let Some(at) = self.leader() else { return };
        let twice = self.faulty && self.rng.chance(200);
        for _ in 0..=usize::from(twice) {
            self.master_input(at, Input::Operator(Some(request), command.clone()));
        }
    }

    /// The master that leads by the registry, and knows it.
    pub(crate) fn leader(&self) -> Option<usize> {
        let newest = |at: &usize| self.masters[*at].lead.as_ref().map(|lead| lead.epoch);
        let at = (0..self.masters.len()).filter(|at| newest(at).is_some()).max_by_key(newest)?;
        (newest(&at) == Some(Epoch(self.store.epoch))).then_some(at)
    }

    fn master_input(&mut self, at: usize, input: Input) {
        let Some(lead) = &mut self.masters[at].lead else { return };
        lead.waiting.push_back(input);
        if !mem::replace(&mut lead.stepping, true) {
            let wait = self.rng.range(MS / 100, MS / 2);
            self.master_later(at, wait, MasterEvent::Step);
        }
    }

    /// One batch: decide all of it, remember it, let it out.
    fn step(&mut self, at: usize) {
        if self.masters[at].lead.as_ref().is_none_or(|lead| lead.writing) {
            return;
        }
        let now = self.driver_now(at);
        let mut lead = self.masters[at].lead.take().expect("it was just there");
        let mut hit = None;
        let mut effects = mem::take(&mut lead.held_back);
        if bugs::is(Bug::PausesCount) {
            self.tick(at, &mut lead, now, &mut effects);
        }
        while let Some(input) = lead.waiting.pop_front() {
            let accept = matches!(&input, Input::Said(_, command) if is_accept(command));
            if accept && self.faulty && self.rng.chance(self.plan.accept_faults) {
                let hits = [Hit::BeforeDeciding, Hit::BeforeSpeaking, Hit::WhileSpeaking, Hit::AfterSpeaking];
                hit = Some(hits[self.rng.index(hits.len())]);
                if hit == Some(Hit::BeforeDeciding) {
                    say!(self, "master {at} is hit before it decides on an accept");
                    lead.waiting.push_front(input);
                    lead.held_back = effects;
                    self.masters[at].lead = Some(lead);
                    return self.hit(at, false);
                }
            }
            self.decide(at, &mut lead, now, input, &mut effects);
            if hit.is_some() {
                break;
            }
        }
        if !bugs::is(Bug::PausesCount) {
            self.tick(at, &mut lead, now, &mut effects);
        }
        lead.cluster.allocate(now, &mut effects);
        let changes: Vec<Change> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Remember(change) => Some(change.clone()),
                _ => None,
            })
            .collect();
        self.check_declared(at, &lead, &changes);
        let epoch = lead.epoch;
        let lease = lead.lease;
        let more = !lead.waiting.is_empty();
        lead.held_back = effects;
        self.masters[at].lead = Some(lead);
        self.check_master(at);
        if hit == Some(Hit::BeforeSpeaking) {
            say!(self, "master {at} is hit before it speaks of an accept");
            return self.hit(at, false);
        }
        if bugs::is(Bug::SpeaksBeforeWrite) {
            self.let_out(at, None);
        }
        if changes.is_empty() {
            self.let_out(at, (hit == Some(Hit::WhileSpeaking)).then_some(()));
            if hit.is_some() {
                say!(self, "master {at} is hit: {hit:?}");
                return self.hit(at, hit == Some(Hit::WhileSpeaking));
            }
        } else {
            let fails = self.faulty && self.rng.chance(self.plan.failed_writes);
            self.write(at, Writing { lease, epoch, clock: now.as_nanos(), changes, fails });
        }
        if more && self.masters[at].lead.is_some() {
            self.master_later(at, 0, MasterEvent::Step);
        }
        self.sleep(at);
    }

    fn tick(&mut self, at: usize, lead: &mut Lead, now: Now, effects: &mut Vec<Effect>) {
        if lead.cluster.next_deadline().is_some_and(|due| due <= now) {
            let before = effects.len();
            let verdict = lead.cluster.apply(now, Command::Tick, effects);
            if lead.cluster.next_deadline().is_some_and(|due| due <= now) {
                self.oracle.fail(format!("master {at} has done what was due, and it is due again"));
            }
            self.oracle.decided(lead.epoch, &effects[before..]);
            say!(self, "master {at} ticks at {now}: {verdict:?}{}", Done(&effects[before..]));
        }
    }

    fn decide(&mut self, at: usize, lead: &mut Lead, now: Now, input: Input, effects: &mut Vec<Effect>) {
        let (command, session) = match input {
            Input::Said(session, command) if lead.sessions.contains_key(&session) => (*command, Some(session)),
            // Whoever was cut off has nothing more to say.
            Input::Said(..) => return,
            Input::Ended(session) => {
                if let Some(conn) = lead.sessions.remove(&session) {
                    lead.by_conn.remove(&conn);
                }
                (Command::Disconnected(session), None)
            }
            Input::Connected(session) => (Command::Connected(session, Principal::owner()), None),
            Input::Operator(request, command) => (Command::Operator(Principal::owner(), request, command), None),
        };
        let conn = session.and_then(|session| lead.conn(session));
        let speaker = conn.and_then(|conn| self.net.conns.get(&conn)).map(|conn| conn.peer);
        let acknowledged = self.oracle.acknowledged(speaker, &command, &lead.cluster);
        let claim = claim(&command, self.store.cluster);
        let before_it = match claim {
            Some(Claim::Agent(id)) => lead.cluster.session_of_agent(id).and_then(|session| lead.conn(session)),
            _ => None,
        };
        let words = self.log.lines.is_some().then(|| Said(&command).to_string());
        let before = effects.len();
        let verdict = lead.cluster.apply(now, command, effects);
        if verdict.is_ok() {
            self.oracle.note(lead.epoch, acknowledged);
        }
        self.oracle.decided(lead.epoch, &effects[before..]);
        self.check_taken_in(claim, conn, before_it, &effects[before..]);
        if let Some(words) = words {
            say!(self, "master {at} at {now}: {words}: {verdict:?}{}", Done(&effects[before..]));
        }
        if verdict.is_err() && effects.len() > before {
            self.oracle.fail(format!("master {at} refused a command, and appended effects"));
        }
        if let (Err(refusal), Some(session)) = (verdict, session) {
            lead.failed.push((session, refusal.to_string()));
        }
    }

    /// The process ends, or stands still, perhaps for longer than it leads.
    fn hit(&mut self, at: usize, dies: bool) {
        if dies || self.rng.chance(500) {
            let wait = self.rng.range(100 * MS, 6 * S);
            self.crash_master(at, wait);
        } else {
            // Once the pause is over, the driver goes on where it stood.
            let pause = self.rng.range(LEASE / 2, 3 * LEASE);
            self.pause_master(at, pause);
            self.master_later(at, 0, MasterEvent::Step);
        }
    }

    fn write(&mut self, at: usize, writing: Writing) {
        let slow = self.faulty && self.rng.chance(self.plan.slow_writes);
        let takes = if slow { self.rng.range(S / 2, 8 * S) } else { self.rng.range(MS / 10, 5 * MS) };
        let life = self.masters[at].life;
        self.masters[at].lead.as_mut().expect("it writes").writing = true;
        let reaches = self.rng.range(0, takes);
        self.after(reaches, Event::Commit(at, life, Box::new(writing)));
    }

    /// A write comes to the registry.
    pub(crate) fn commit(&mut self, at: usize, life: u64, writing: &Writing) {
        let answer = |world: &mut Self, how| {
            let wait = world.rng.range(MS / 10, 5 * MS);
            world.after(wait, Event::Master(at, life, MasterEvent::Written(how)));
        };
        if !self.reaches_store(at) {
            // Nothing is known of it: the client gives up after a while.
            let wait = 2 * S;
            return self.after(wait, Event::Master(at, life, MasterEvent::Written(WriteEnd::Failed)));
        }
        // A process that is no more has closed its connection; what it sent may have come all the same.
        let alive = self.masters[at].up && self.masters[at].life == life;
        if !alive && self.rng.chance(500) {
            return;
        }
        if self.store.full_until > self.now {
            return answer(self, WriteEnd::Full);
        }
        let leads = !self.has_leases() || self.store.leads(self.now, writing.lease) || bugs::is(Bug::NoFence);
        if !leads || (!self.has_leases() && !alive) {
            return answer(self, WriteEnd::Failed);
        }
        if writing.epoch != Epoch(self.store.epoch) {
            self.oracle.fail(format!(
                "the registry took a write of {}, though {} leads",
                writing.epoch,
                Epoch(self.store.epoch)
            ));
        }
        for change in &writing.changes {
            say!(self, "master {at} writes {}", Written(change));
        }
        self.store.write(writing.clock, &writing.changes);
        self.oracle.written(&writing.changes);
        // The answer may be lost, though the write is there.
        answer(self, if writing.fails { WriteEnd::Failed } else { WriteEnd::Done });
    }

    fn written(&mut self, at: usize, how: WriteEnd) {
        let Some(lead) = &mut self.masters[at].lead else { return };
        if !lead.writing {
            return;
        }
        match how {
            WriteEnd::Done => {
                lead.writing = false;
                self.let_out(at, None);
                self.step(at);
            }
            WriteEnd::Full => {
                say!(self, "master {at} has no room to write");
                let changes = lead.held_back.iter().filter_map(|effect| match effect {
                    Effect::Remember(change) => Some(change.clone()),
                    _ => None,
                });
                let (lease, epoch, clock) = (lead.lease, lead.epoch, lead.now);
                let writing = Writing { lease, epoch, clock, changes: changes.collect(), fails: false };
                let life = self.masters[at].life;
                self.after(RETRY, Event::Commit(at, life, Box::new(writing)));
            }
            WriteEnd::Failed => {
                say!(self, "master {at} cannot write, and ends");
                self.retire(at);
            }
        }
    }

    /// Says what was decided. `part` is only a part of it.
    fn let_out(&mut self, at: usize, part: Option<()>) {
        let shows = self.masters[at].clock.read(self.now);
        let leases = self.has_leases();
        let Some(mut lead) = self.masters[at].lead.take() else { return };
        if leases && shows >= lead.leads_until && !bugs::is(Bug::SpeaksAfterLease) {
            self.masters[at].lead = Some(lead);
            say!(self, "master {at} may lead no more, and says nothing");
            return self.retire(at);
        }
        let effects = mem::take(&mut lead.held_back);
        let end = match part {
            Some(()) => self.rng.index(effects.len() + 1),
            None => effects.len(),
        };
        let epoch = lead.epoch;
        // Half a second is what the wrongest clock makes of a lease.
        if !self.masters[at].suspended
            && !effects.is_empty()
            && epoch.0 < self.store.epoch
            && self.now > self.store.opened + S / 2
        {
            self.oracle.fail(format!("master {at} speaks as {epoch}, and {} leads", Epoch(self.store.epoch)));
        }
        for effect in effects.into_iter().take(end) {
            // One that was suspended speaks to connections that nobody listens on any more.
            let epoch_or_latest = if self.masters[at].suspended { Epoch(self.store.epoch) } else { epoch };
            self.oracle.let_out(epoch_or_latest, &effect);
            match effect {
                Effect::Remember(_) | Effect::Announce(_) | Effect::Enrolled(_) => {}
                Effect::ToFramework(session, event) => {
                    if let Some(conn) = lead.conn(session) {
                        self.send(conn, Way::Down, Msg::Event(epoch, event));
                    }
                }
                Effect::ToAgent(session, order) => {
                    if let Some(conn) = lead.conn(session) {
                        self.send(conn, Way::Down, Msg::Order(epoch, order));
                    }
                }
                Effect::Close(session) => {
                    if let Some(conn) = lead.conn(session) {
                        self.send(conn, Way::Down, Msg::Closed);
                    }
                }
            }
        }
        for (session, why) in mem::take(&mut lead.failed) {
            if let Some(conn) = lead.conn(session) {
                self.send(conn, Way::Down, Msg::Failed(why));
                lead.waiting.push_back(Input::Ended(session));
            }
        }
        self.masters[at].lead = Some(lead);
    }

    fn sleep(&mut self, at: usize) {
        let Some(lead) = &mut self.masters[at].lead else { return };
        lead.wake += 1;
        let number = lead.wake;
        let due = lead.cluster.next_deadline().map_or(Duration::MAX, |due| due.since(Now::from_nanos(lead.now)));
        let due = Time::try_from(due.as_nanos()).unwrap_or(Time::MAX).min(SLEEP_MAX);
        let wait = self.masters[at].clock.span(due).max(MS / 10);
        self.master_later(at, wait, MasterEvent::Wake(number));
    }
}

/// Who somebody says he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// An agent or a framework of another cluster.
    Stranger,
    /// An agent of this one.
    Agent(AgentId),
}

fn claim(command: &Command, cluster: ClusterId) -> Option<Claim> {
    match command {
        Command::Agent(_, AgentCommand::Register { identity, .. }) => {
            let member = identity.member?;
            Some(if member.cluster == cluster { Claim::Agent(member.id) } else { Claim::Stranger })
        }
        Command::Framework(_, call) => match &call.command {
            FrameworkCommand::Subscribe { member: Some(member), .. } if member.cluster != cluster => {
                Some(Claim::Stranger)
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_accept(command: &Command) -> bool {
    matches!(command, Command::Framework(_, call) if matches!(call.command, FrameworkCommand::Accept { .. }))
}
