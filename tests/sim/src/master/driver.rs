//! A master's driver: takes in what waits, and decides.

use std::mem;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentCommand, Change, Command, Effect, FrameworkCommand, OperatorCommand};
use haggle_core::planted::{self, Bug};
use haggle_core::{AgentId, ClusterId, Now, RequestId, SessionId};

use super::{COUNTED_MAX, Hit, Input, Lead, SLEEP_MAX, Writing};
use crate::net::{ConnId, Msg, Peer, Way};
use crate::plan::{MS, S, Time};
use crate::say;
use crate::store::LEASE;
use crate::wants;
use crate::words::{Done, Said};
use crate::world::{MasterEvent, World};

impl World {
    /// The driver's clock: what passed while it did not run does not count.
    fn driver_now(&mut self, at: usize) -> Now {
        let master = &mut self.masters[at];
        let shows = master.clock.read(self.now);
        let lead = master.lead.as_mut().expect("it leads");
        let passed = shows.saturating_sub(lead.looked);
        lead.looked = lead.looked.max(shows);
        lead.now += if planted::is(Bug::PausesCount) { passed } else { passed.min(COUNTED_MAX) };
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
            Peer::Program(at, life) => self.programs[at].life == life,
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
        if lead.ended.contains(&conn) {
            return;
        }
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

    /// What every wall clock says: milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.now / MS
    }

    /// An operator asks the master that leads, if there is one. The same request may come twice.
    pub(crate) fn operator(&mut self, request: RequestId, command: &OperatorCommand) {
        let Some(at) = self.leader() else { return };
        let twice = self.faulty && self.rng.chance(200);
        for _ in 0..=usize::from(twice) {
            self.master_input(at, Input::Operator(Some(request), command.clone()));
        }
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
    pub(super) fn step(&mut self, at: usize) {
        if self.masters[at].lead.as_ref().is_none_or(|lead| lead.writing.is_some()) {
            return;
        }
        if self.masters[at].paused_until > self.now {
            return self.master_later(at, 0, MasterEvent::Step);
        }
        let now = self.driver_now(at);
        let mut lead = self.masters[at].lead.take().expect("it was just there");
        let mut hit = None;
        let mut effects = mem::take(&mut lead.held_back);
        let wall_ms = self.wall_ms();
        if lead.cluster.wall_clock_is_due(wall_ms) {
            let before = effects.len();
            let verdict = lead.cluster.apply(now, Command::WallClock(wall_ms), &mut effects);
            self.oracle_hears(&lead, &effects[before..]);
            say!(self, "master {at} looks at the wall clock at {now}: {verdict:?}{}", Done(&effects[before..]));
        }
        if planted::is(Bug::PausesCount) {
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
        if !planted::is(Bug::PausesCount) {
            self.tick(at, &mut lead, now, &mut effects);
        }
        let before = effects.len();
        lead.cluster.allocate(now, &mut effects);
        if let Some(offer) = lead.wants.unwanted(&effects[before..]) {
            self.oracle.fail(format!("master {at} makes an offer that is not wanted: {offer:?}"));
        }
        let changes: Vec<Change> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Remember(change) => Some(change.clone()),
                _ => None,
            })
            .collect();
        if lead.of == self.store.cluster {
            self.check_declared(at, &lead, &changes);
        }
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
        if planted::is(Bug::SpeaksBeforeWrite) {
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
            self.oracle_hears(lead, &effects[before..]);
            say!(self, "master {at} ticks at {now}: {verdict:?}{}", Done(&effects[before..]));
        }
    }

    /// What a master of a cluster that is no more decides concerns nobody.
    fn oracle_hears(&mut self, lead: &Lead, effects: &[Effect]) {
        if lead.of == self.store.cluster {
            self.oracle.decided(lead.epoch, effects);
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
        let current = lead.of == self.store.cluster;
        let acknowledged = match current {
            true => self.oracle.acknowledged(speaker, &command, &lead.cluster),
            false => Vec::new(),
        };
        let claim = claim(&command, lead.of);
        let before_it = match claim {
            Some(Claim::Agent(id)) => lead.cluster.session_of_agent(id).and_then(|session| lead.conn(session)),
            _ => None,
        };
        let words = self.log.lines.is_some().then(|| Said(&command).to_string());
        let before = effects.len();
        let said = wants::said(&command);
        let verdict = lead.cluster.apply(now, command, effects);
        if verdict.is_ok() {
            lead.wants.note(said);
            self.oracle.note(lead.epoch, acknowledged);
        }
        self.oracle_hears(lead, &effects[before..]);
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
    let is_launch = |command: &FrameworkCommand| {
        matches!(command, FrameworkCommand::Accept { .. } | FrameworkCommand::LaunchGroup { .. })
    };
    matches!(command, Command::Framework(_, call) if is_launch(&call.command))
}
