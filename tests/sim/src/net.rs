//! The network: connections that keep the order, lose what is in flight when they break, and may break unnoticed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use haggle_core::Epoch;
use haggle_core::cluster::{AgentCommand, AgentOrder, FrameworkCall, FrameworkEvent};
use haggle_core::planted::{self, Bug};

use crate::plan::{MS, S, Time};
use crate::say;
use crate::world::{Event, World};

/// Names a connection.
pub(crate) type ConnId = u64;

/// How long a connection may be dead before the network of either end says so.
const KEEP_ALIVE: Time = 20 * S;

/// Who is at the other end of a connection to a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The agent of this machine, in this life.
    Agent(usize, u64),
    /// An instance of this framework.
    Framework(usize, u64),
    /// A process of this program.
    Program(usize, u64),
    /// Somebody who wants no answer.
    Rogue(u64),
}

/// A place on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The machine of a master.
    Master(usize),
    /// The machine of an agent.
    Agent(usize),
    /// The machine of a framework.
    Framework(usize),
    /// The machine of a program that uses a runner.
    Program(usize),
    /// The registry.
    Store,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// To the master.
    Up,
    /// To the peer.
    Down,
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Msg {
    /// From an agent.
    Report(AgentCommand),
    /// From a framework.
    Call(FrameworkCall),
    /// Is anybody there?
    Ping,
    /// The answer to that, and to an agent's heartbeat.
    Pong,
    /// From a master to an agent.
    Order(Epoch, AgentOrder),
    /// From a master to a framework.
    Event(Epoch, FrameworkEvent),
    /// This master does not lead; who does, if it knows.
    StandsBy(Option<usize>),
    /// The master ends the session, as it said.
    Closed,
    /// The master ends the session, because of what was said on it.
    Failed(String),
}

/// A connection between a peer and a master.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Who made it.
    pub(crate) peer: Peer,
    /// To which master.
    pub(crate) master: usize,
    broken: bool,
    up: Line,
    down: Line,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(Time, Msg)>,
    last: Time,
    /// The most that may wait: the bound, or one batch that found nothing waiting.
    most: usize,
}

/// All connections, and who cannot reach whom.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// Connections that at least one end believes in.
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    cut: BTreeSet<(Place, Place)>,
    /// Who reads slowly, until when.
    pub(crate) slow: BTreeMap<Place, Time>,
    last: ConnId,
}

impl Peer {
    /// Where it runs.
    pub(crate) fn place(self) -> Option<Place> {
        match self {
            Self::Agent(at, _) => Some(Place::Agent(at)),
            Self::Framework(at, _) => Some(Place::Framework(at)),
            Self::Program(at, _) => Some(Place::Program(at)),
            Self::Rogue(_) => None,
        }
    }
}

impl Net {
    /// Whether what one sends comes to the other.
    pub(crate) fn reaches(&self, from: Place, to: Place) -> bool {
        self.cut.is_empty() || !self.cut.contains(&(from, to))
    }

    /// Whether both can talk.
    pub(crate) fn connects(&self, one: Place, other: Place) -> bool {
        self.reaches(one, other) && self.reaches(other, one)
    }

    fn passes(&self, conn: &Conn, way: Way) -> bool {
        let Some(peer) = conn.peer.place() else { return true };
        match way {
            Way::Up => self.reaches(peer, Place::Master(conn.master)),
            Way::Down => self.reaches(Place::Master(conn.master), peer),
        }
    }
}

impl World {
    /// Opens a connection. Whether anybody is there shows with the first message.
    pub(crate) fn open(&mut self, peer: Peer, master: usize) -> ConnId {
        self.net.last += 1;
        let conn = Conn { peer, master, broken: false, up: Line::default(), down: Line::default() };
        self.net.conns.insert(self.net.last, conn);
        self.net.last
    }

    /// Sends a message, after those before it.
    pub(crate) fn send(&mut self, id: ConnId, way: Way, msg: Msg) {
        match way {
            Way::Up => self.carry(id, way, msg),
            Way::Down => self.put(id, vec![msg]),
        }
    }

    /// Puts a batch into a master's outbox for one peer. Who has read everything so far is not behind, however large the
    /// batch; who is, is cut off at the bound.
    pub(crate) fn put(&mut self, id: ConnId, batch: Vec<Msg>) {
        let bound = self.plan.outbox;
        let Some(conn) = self.net.conns.get_mut(&id).filter(|conn| !conn.broken) else { return };
        let line = &mut conn.down;
        let behind = !line.waiting.is_empty() && line.waiting.len() + batch.len() > bound;
        if behind && !planted::is(Bug::OutboxUnbounded) {
            let peer = conn.peer;
            say!(self, "{peer:?} is cut off: it reads too slowly");
            return self.break_up(id, true, true);
        }
        line.most = if line.waiting.is_empty() { bound.max(batch.len()) } else { line.most };
        for msg in batch {
            self.carry(id, Way::Down, msg);
        }
    }

    fn carry(&mut self, id: ConnId, way: Way, msg: Msg) {
        let delay = self.delay();
        let now = self.now;
        let Some(conn) = self.net.conns.get(&id).filter(|conn| !conn.broken) else { return };
        let slow = way == Way::Down && conn.peer.place().is_some_and(|place| self.net.slow.contains_key(&place));
        let departs = match way {
            Way::Up => now,
            Way::Down => now.max(self.masters[conn.master].paused_until),
        };
        let reads = if slow && self.faulty { self.rng.range(50 * MS, 500 * MS) } else { 0 };
        let line = self.net.conns.get_mut(&id).expect("it was just there").line(way);
        line.last = line.last.max(departs + delay) + reads;
        let at = line.last;
        line.waiting.push_back((at, msg));
        self.at(at, Event::Arrive(id, way));
    }

    /// The first queue to a peer of a master that is longer than it may be.
    pub(crate) fn overlong(&self, master: usize) -> Option<(Peer, usize)> {
        let of_it = self.net.conns.values().filter(|conn| conn.master == master);
        of_it
            .map(|conn| (conn.peer, &conn.down))
            .find(|(_, line)| line.waiting.len() > line.most)
            .map(|(peer, line)| (peer, line.waiting.len()))
    }

    /// How long a message takes.
    fn delay(&mut self) -> Time {
        if self.faulty && self.rng.chance(self.plan.clogs) {
            return self.rng.range(100 * MS, 5 * S);
        }
        self.rng.range(MS / 20, self.plan.delay_max)
    }

    /// A message comes to its end of the connection, if nothing is in the way.
    pub(crate) fn arrive(&mut self, id: ConnId, way: Way) {
        let now = self.now;
        let Some(conn) = self.net.conns.get(&id) else { return };
        if conn.broken || !self.net.passes(conn, way) {
            return;
        }
        if let Some(resumed) = self.paused(conn, way) {
            self.at(resumed, Event::Arrive(id, way));
            return;
        }
        let conn = self.net.conns.get_mut(&id).expect("it was just there");
        let (peer, master) = (conn.peer, conn.master);
        let line = conn.line(way);
        if line.waiting.front().is_none_or(|&(at, _)| at > now) {
            return;
        }
        let (_, msg) = line.waiting.pop_front().expect("it was just there");
        match (way, peer) {
            (Way::Up, _) => self.master_receives(master, id, msg),
            (Way::Down, Peer::Agent(at, life)) => self.agent_receives(at, life, id, msg),
            (Way::Down, Peer::Framework(at, life)) => self.framework_receives(at, life, id, msg),
            (Way::Down, Peer::Program(at, life)) => self.program_receives(at, life, id, msg),
            (Way::Down, Peer::Rogue(_)) => {}
        }
    }

    /// Until when the one that a message goes to stands still.
    fn paused(&self, conn: &Conn, way: Way) -> Option<Time> {
        let until = match (way, conn.peer) {
            (Way::Up, _) => self.masters[conn.master].paused_until,
            (Way::Down, Peer::Agent(at, _)) => self.agents[at].paused_until,
            (Way::Down, Peer::Framework(at, life)) => self.framework_paused(at, life),
            (Way::Down, Peer::Program(at, life)) => self.program_paused(at, life),
            (Way::Down, Peer::Rogue(_)) => 0,
        };
        (until > self.now).then_some(until)
    }

    /// Ends a connection, and all that is on its way. An end that does not notice finds out by silence.
    pub(crate) fn break_up(&mut self, id: ConnId, master_notices: bool, peer_notices: bool) {
        let Some(conn) = self.net.conns.get_mut(&id).filter(|conn| !conn.broken) else { return };
        conn.broken = true;
        conn.up.waiting.clear();
        conn.down.waiting.clear();
        let soon = self.now + self.rng.range(MS / 10, 50 * MS);
        for (way, notices) in [(Way::Up, master_notices), (Way::Down, peer_notices)] {
            let at = if notices { soon } else { self.now + KEEP_ALIVE };
            self.at(at, Event::ConnLost(id, way));
        }
    }

    /// One end finds out that a connection is no more.
    pub(crate) fn lost(&mut self, id: ConnId, way: Way) {
        let Some(conn) = self.net.conns.get(&id) else { return };
        let (peer, master) = (conn.peer, conn.master);
        if let Some(resumed) = self.paused(conn, way) {
            self.at(resumed, Event::ConnLost(id, way));
            return;
        }
        match (way, peer) {
            (Way::Up, _) => self.master_lost(master, id),
            (Way::Down, Peer::Agent(at, life)) => self.agent_lost(at, life, id),
            (Way::Down, Peer::Framework(at, life)) => self.framework_lost(at, life, id),
            (Way::Down, Peer::Program(at, life)) => self.program_lost(at, life, id),
            (Way::Down, Peer::Rogue(_)) => {}
        }
    }

    /// Cuts or mends the way from one place to another.
    pub(crate) fn set_cut(&mut self, from: Place, to: Place, cut: bool) {
        if cut {
            self.net.cut.insert((from, to));
            let dead = self.now + KEEP_ALIVE;
            for id in self.conns_between(from, to) {
                self.at(dead, Event::KeepAlive(id));
            }
        } else if self.net.cut.remove(&(from, to)) {
            for id in self.conns_between(from, to) {
                for way in [Way::Up, Way::Down] {
                    let count = self.net.conns[&id].line_ref(way).waiting.len();
                    for _ in 0..count {
                        let soon = self.now + self.rng.range(MS, 200 * MS);
                        self.at(soon, Event::Arrive(id, way));
                    }
                    // Those that are still on their way have their event.
                }
            }
        }
    }

    /// Everybody can reach everybody again.
    pub(crate) fn mend_all(&mut self) {
        for (from, to) in self.net.cut.clone() {
            self.set_cut(from, to, false);
        }
    }

    /// A connection that was cut off for so long is given up by the network.
    pub(crate) fn keep_alive(&mut self, id: ConnId) {
        let Some(conn) = self.net.conns.get(&id) else { return };
        if !(self.net.passes(conn, Way::Up) && self.net.passes(conn, Way::Down)) {
            self.break_up(id, true, true);
        }
    }

    /// Connections that use a way, in either direction.
    fn conns_between(&self, from: Place, to: Place) -> Vec<ConnId> {
        let uses = |conn: &Conn| {
            let (peer, master) = (conn.peer.place(), Some(Place::Master(conn.master)));
            (peer, master) == (Some(from), Some(to)) || (peer, master) == (Some(to), Some(from))
        };
        self.net.conns.iter().filter(|(_, conn)| !conn.broken && uses(conn)).map(|(&id, _)| id).collect()
    }

    /// Connections that are not broken.
    pub(crate) fn live_conns(&self) -> Vec<ConnId> {
        self.net.conns.iter().filter(|(_, conn)| !conn.broken).map(|(&id, _)| id).collect()
    }

    /// Connections to or from somebody.
    pub(crate) fn conns_where(&self, wanted: impl Fn(&Conn) -> bool) -> Vec<ConnId> {
        self.net.conns.iter().filter(|(_, conn)| !conn.broken && wanted(conn)).map(|(&id, _)| id).collect()
    }

    /// Forgets connections that nobody can use any more.
    pub(crate) fn sweep_conns(&mut self) {
        let kept: BTreeSet<ConnId> = self.queue_conns();
        self.net.conns.retain(|id, conn| !conn.broken || kept.contains(id));
    }
}

impl Conn {
    fn line(&mut self, way: Way) -> &mut Line {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    fn line_ref(&self, way: Way) -> &Line {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}
