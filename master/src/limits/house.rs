//! Places at a master, and what else everybody shares: those of agents, of frameworks and of operators are apart, so that no
//! kind shuts out another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use haggle_core::access::{Kind, Principal, Verb};
use haggle_tls::Tally;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::at_limit;
use super::places::{LOBBY, Places};
use super::renewals::{Asker, Renewals, TooMany};
use super::source::Source;

/// TLS handshakes at once.
pub(crate) const HANDSHAKES: usize = 1_000;

/// TLS handshakes at once from one address, with those that wait for their turn.
pub(crate) const HANDSHAKES_OF_ONE: usize = 256;

/// TLS handshakes a second of one address: a tenth of a processor. A thousand agents behind NAT are through in five seconds.
pub(crate) const HANDSHAKES_A_SECOND: u64 = 200;

/// Who is in the house. Clones are of the same one.
#[derive(Clone, Debug)]
pub(crate) struct House {
    agents: Room,
    frameworks: Room,
    /// Connections on which an agent or a framework was let in first.
    peers: Room,
    /// All others on which somebody was.
    operators: Room,
    watches: Room,
    lists: Room,
    transfers: Room,
    copies: Room,
    renewals: Renewals,
    door: Door,
}

/// Those before the door. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door {
    /// Connections on which nobody was let in yet.
    pub(crate) strangers: Tally,
    /// Handshakes that are not over.
    pub(crate) handshakes: BySource,
    /// Handshakes for which there was no room among all.
    pub(crate) turned_away: Arc<AtomicU64>,
    /// The same, among those of one address.
    pub(crate) turned_away_of_one: Arc<AtomicU64>,
}

/// How many of something each source has. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct BySource(Arc<Mutex<HashMap<Source, usize>>>);

impl BySource {
    pub(crate) fn add(&self, source: Source) {
        *self.lock().entry(source).or_default() += 1;
    }

    pub(crate) fn remove(&self, source: Source) {
        if let Entry::Occupied(mut count) = self.lock().entry(source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    pub(crate) fn of(&self, source: Source) -> usize {
        self.lock().get(&source).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> usize {
        self.lock().values().sum()
    }

    /// Of whoever has most.
    pub(crate) fn most(&self) -> usize {
        self.lock().values().copied().max().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches at once. Each has a buffer of its own at the socket, and reads one that all share.
const WATCHES: usize = 1_024;

/// Lists that may be read at once. Each holds a page, however slowly it is read.
pub(crate) const LISTS: usize = 256;

/// Uploads and downloads at once; more wait their turn. Each holds a file and a few chunks.
const TRANSFERS: usize = 128;

/// What whoever finds no place can have done about it.
const MORE_PLACES: &str = "try again later, or have it started with more --places";
const LATER: &str = "try again later";

/// A number of places, and how often there was none. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    name: &'static str,
    what: &'static str,
    most: usize,
    /// What to do when there is none.
    then: &'static str,
    free: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
}

impl Room {
    fn new(name: &'static str, what: &'static str, most: usize, then: &'static str) -> Self {
        Self { name, what, most, then, free: Arc::new(Semaphore::new(most)), refused: Arc::default() }
    }

    fn take(&self) -> Result<OwnedSemaphorePermit, Full> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Full { name: self.name, what: self.what, most: self.most, then: self.then }
        })
    }

    /// Waits for one.
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.free).acquire_owned().await.expect("a room is never closed")
    }

    fn report(&self) -> Shared {
        Shared {
            name: self.name,
            what: self.what,
            most: self.most as u64,
            has: (self.most - self.free.available_permits()) as u64,
            refused: self.refused.load(Ordering::Relaxed),
            in_bytes: false,
        }
    }
}

/// Counts the places of one kind that are taken.
#[derive(Debug)]
pub(crate) struct Taken {
    most: usize,
    free: Arc<Semaphore>,
}

impl Taken {
    /// So many at this moment.
    pub(crate) fn now(&self) -> usize {
        self.most - self.free.available_permits()
    }
}

/// There is no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master is full: all {most} {what} are taken; {then}")]
pub(crate) struct Full {
    name: &'static str,
    what: &'static str,
    most: usize,
    then: &'static str,
}

impl From<Full> for Status {
    fn from(full: Full) -> Self {
        at_limit(full.name, full.to_string())
    }
}

/// What everybody shares at this master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) most: u64,
    pub(crate) has: u64,
    /// How often more was wanted.
    pub(crate) refused: u64,
    pub(crate) in_bytes: bool,
}

impl House {
    /// With these places, of whose connections the system gives so many. Where that is less than are wanted, each kind has
    /// its part of them.
    pub(crate) fn new(places: Places, connections: usize) -> Self {
        let (wanted, given) = (places.connections(), places.connections().min(connections));
        let part = |of: usize| (of * given / wanted).max(1);
        let operators = part(places.operators as usize);
        let peers = given.saturating_sub(operators + part(LOBBY)).max(1);
        Self {
            agents: Room::new("places-agents", "places of agents", places.agents as usize, MORE_PLACES),
            frameworks: Room::new("places-frameworks", "places of frameworks", places.frameworks as usize, MORE_PLACES),
            peers: Room::new("places-connections", "connections of agents and frameworks", peers, MORE_PLACES),
            operators: Room::new("places-operators", "places of operators", operators, MORE_PLACES),
            watches: Room::new("all-watches", "watches at once, of everybody", WATCHES, LATER),
            lists: Room::new("all-lists", "lists read at once, by everybody", LISTS, LATER),
            transfers: Room::new("all-transfers", "uploads and downloads that have their turn", TRANSFERS, LATER),
            copies: Room::new("all-copies", "copies between masters that have their turn", TRANSFERS, LATER),
            renewals: Renewals::default(),
            door: Door::default(),
        }
    }

    /// Those before its door.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// A place for a session of an agent.
    pub(crate) fn agent(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.agents.take()
    }

    /// Agents that have a session.
    pub(crate) fn agents(&self) -> Taken {
        Taken { most: self.agents.most, free: Arc::clone(&self.agents.free) }
    }

    /// A place for a session of a framework.
    pub(crate) fn framework(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.frameworks.take()
    }

    /// A place for a watch.
    pub(crate) fn watch(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.watches.take()
    }

    /// A place for a list that is read.
    pub(crate) fn list(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.lists.take()
    }

    /// Turns of artifacts that are brought or fetched.
    pub(crate) fn transfers(&self) -> &Room {
        &self.transfers
    }

    /// Turns of artifacts that masters hand each other: apart, or two masters that are full would wait for each other.
    pub(crate) fn copies(&self) -> &Room {
        &self.copies
    }

    /// A certificate is to be renewed.
    ///
    /// # Errors
    /// When that is asked for too often.
    pub(crate) fn renewal(&self, who: Asker, now: Instant) -> Result<(), TooMany> {
        self.renewals.ask(who, now)
    }

    /// How full each room is, who is before the door, and what else is bounded for everybody together.
    pub(crate) fn report(&self, now: Instant) -> impl Iterator<Item = Shared> {
        let Door { strangers, handshakes, turned_away, turned_away_of_one } = &self.door;
        let of = |name, what, most, has, refused| Shared { name, what, most, has, refused, in_bytes: false };
        let (all, most) = (handshakes.all() as u64, handshakes.most() as u64);
        let [away, away_of_one] = [turned_away, turned_away_of_one].map(|counter| counter.load(Ordering::Relaxed));
        let before_the_door = [
            of(
                "strangers",
                "connections on which nobody was let in yet",
                LOBBY as u64,
                strangers.now(),
                strangers.turned_out(),
            ),
            of("handshakes", "TLS handshakes at once", HANDSHAKES as u64, all, away),
            of(
                "handshakes-per-address",
                "TLS handshakes at once from one address",
                HANDSHAKES_OF_ONE as u64,
                most,
                away_of_one,
            ),
            of(
                "handshakes-per-second",
                "TLS handshakes a second from one address; more wait",
                HANDSHAKES_A_SECOND,
                0,
                0,
            ),
        ];
        let Self { agents, frameworks, peers, operators, watches, lists, transfers, copies, renewals, .. } = self;
        let rooms = [agents, frameworks, peers, operators, watches, lists, transfers, copies].map(Room::report);
        rooms.into_iter().chain(before_the_door).chain(renewals.report(now))
    }

    fn room_of(&self, who: &Principal, verb: Verb) -> &Room {
        match (&who.kind, verb) {
            (Kind::Agent(_) | Kind::Joiner | Kind::Framework(_), _)
            // On its own machine the owner comes as all of them.
            | (
                _,
                Verb::AgentSession
                | Verb::FrameworkSession
                | Verb::SchedulerCall
                | Verb::Upload
                | Verb::Pull
                | Verb::Download
                | Verb::Stat,
            ) => &self.peers,
            _ => &self.operators,
        }
    }
}

/// The place of one connection, which it takes when somebody is first let in on it. Goes with the connection and its last
/// call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Seat {
    /// # Errors
    /// When it has none, and there is none left.
    pub(crate) fn take(&self, house: &House, who: &Principal, verb: Verb) -> Result<(), Full> {
        let mut seat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seat.is_none() {
            *seat = Some(house.room_of(who, verb).take()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::AgentId;

    use super::*;

    const SMALL: Places = Places { agents: 2, frameworks: 2, operators: 2 };

    #[test]
    fn no_kind_takes_the_places_of_another() {
        let house = House::new(SMALL, usize::MAX);
        let (agent, operator) =
            (Principal::agent(AgentId(1)), Principal { kind: Kind::Operator, ..Principal::owner() });
        let mut seats = Vec::new();
        let mut sit = |who: &Principal, verb| {
            let seat = Seat::default();
            seats.push(seat.clone());
            seat.take(&house, who, verb)
        };

        while sit(&agent, Verb::Download).is_ok() {}

        let full = sit(&agent, Verb::AgentSession).unwrap_err();
        assert_eq!(
            full.to_string(),
            "the master is full: all 6 connections of agents and frameworks are taken; try again later, or have it started with more --places"
        );
        assert!(sit(&operator, Verb::ListTasks).is_ok() && sit(&Principal::owner(), Verb::WhoAmI).is_ok());
        assert_eq!(sit(&operator, Verb::ListTasks).unwrap_err().name, "places-operators");
    }

    #[test]
    fn a_connection_takes_one_place_until_its_end() {
        let house = House::new(Places { operators: 1, ..SMALL }, usize::MAX);
        let (first, second) = (Seat::default(), Seat::default());
        for _ in 0..3 {
            first.clone().take(&house, &Principal::owner(), Verb::WhoAmI).unwrap();
        }
        assert!(second.take(&house, &Principal::owner(), Verb::WhoAmI).is_err());

        drop(first);

        second.take(&house, &Principal::owner(), Verb::WhoAmI).unwrap();
        let report = house.report(Instant::now()).find(|room| room.name == "places-operators").unwrap();
        assert_eq!((report.most, report.has, report.refused), (1, 1, 1));
    }

    #[test]
    fn where_the_system_gives_few_connections_each_kind_has_its_part() {
        let house = House::new(Places::default(), 512);

        let most = |name| house.report(Instant::now()).find(|room| room.name == name).unwrap().most;

        assert!(most("places-operators") > 16 && most("places-connections") > 256);
        assert!(most("places-operators") + most("places-connections") < 512);
    }
}
