//! How much of what peers say may be between the wire and the driver.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::Kind;
use crate::limits::Bucket;

/// Bytes of one share that wait for the driver at most, and then who sends waits: some thousand small messages. One that
/// is larger has all of the room.
const WAITING: u32 = 1 << 20;

/// A message above this size, in bytes, is large: of those there may be few in the master.
pub(crate) const LARGE: usize = 256 << 10;

/// All large messages of each kind of peer, in units of [`UNIT`]: 256 MiB. What thousands of sessions send at once must
/// not fill the memory.
const LARGE_OF_KIND: u32 = (256 << 20) / UNIT as u32;

/// In bytes. A semaphore counts no further than some hundred million.
const UNIT: usize = 1 << 10;

/// Large messages of one share: one is received while the other is heard. More would keep the threads that carry
/// everybody's messages busy with those of one.
const LARGE_OF_SHARE: usize = 2;

/// Tasks of one share that are refused within a second, and so many at once, before it is made to wait: some milliseconds of the
/// driver's time.
const REFUSED: u64 = 2_000;

const SECOND: Duration = Duration::from_secs(1);

/// The longest that anybody waits for what was refused. Above, its agents and programs would take the master for dead.
const REST_MAX: Duration = Duration::from_secs(5);

/// The room of everybody.
pub(super) struct Rooms {
    large_of_agents: Arc<Semaphore>,
    large_of_frameworks: Arc<Semaphore>,
    /// Of frameworks that have not introduced themselves.
    newcomers: Arc<Room>,
    roles: Mutex<HashMap<Arc<str>, Weak<Room>>>,
}

/// The room that everybody of one share has together.
#[derive(Debug)]
pub(crate) struct Room {
    waiting: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_of_kind: Arc<Semaphore>,
    /// Its tasks that were refused.
    refused: Mutex<Bucket>,
}

/// The place that a message takes up until it is dropped: from the wire until the driver has heard it. That of a large one
/// until what it launches has left for the agents.
#[derive(Debug, Default)]
pub(crate) struct Place {
    room: Option<Arc<Room>>,
    _waiting: Option<OwnedSemaphorePermit>,
    large: Option<LargePlace>,
}

impl Place {
    /// So many tasks of the message were refused. Above so many, everybody of its share waits with the next one.
    pub(crate) fn refused(&self, tasks: u64, now: Instant) {
        if let Some(room) = &self.room {
            room.refused().owe(now, tasks, REFUSED, SECOND);
        }
    }

    /// Of a piece of the message that is not the last: it takes up nothing, and what is refused of it counts.
    pub(super) fn of_a_piece(&self) -> Self {
        Self { room: self.room.clone(), ..Self::default() }
    }

    /// The part of it that outlasts the driver's hearing.
    pub(crate) fn into_large(self) -> Option<LargePlace> {
        self.large
    }
}

/// A large message's place among those of its share, and among all of its kind.
#[derive(Debug)]
pub(crate) struct LargePlace {
    _of_share: OwnedSemaphorePermit,
    _of_kind: OwnedSemaphorePermit,
}

impl Rooms {
    pub(super) fn new() -> Self {
        let large_of_frameworks = Arc::new(Semaphore::new(LARGE_OF_KIND as usize));
        Self {
            large_of_agents: Arc::new(Semaphore::new(LARGE_OF_KIND as usize)),
            newcomers: Arc::new(Room::new(&large_of_frameworks)),
            large_of_frameworks,
            roles: Mutex::default(),
        }
    }

    /// The room of a peer that has just connected.
    pub(super) fn of_newcomer(&self, kind: Kind) -> Arc<Room> {
        match kind {
            Kind::Agent => Arc::new(Room::new(&self.large_of_agents)),
            Kind::Framework => Arc::clone(&self.newcomers),
        }
    }

    /// The room that a framework has together with all others of its role.
    pub(super) fn of_role(&self, role: &Arc<str>) -> Arc<Room> {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = roles.get(role).and_then(Weak::upgrade) {
            return room;
        }
        // A new role is rare; so there are never more than of the frameworks that are connected, and one.
        roles.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Room::new(&self.large_of_frameworks));
        roles.insert(Arc::clone(role), Arc::downgrade(&room));
        room
    }
}

impl Room {
    fn new(large_of_kind: &Arc<Semaphore>) -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(WAITING as usize)),
            large: Arc::new(Semaphore::new(LARGE_OF_SHARE)),
            large_of_kind: Arc::clone(large_of_kind),
            refused: Mutex::default(),
        }
    }

    /// Waits while its share has had too much refused.
    async fn rested(&self) {
        let until = Instant::now() + REST_MAX;
        loop {
            let now = Instant::now();
            let wait = self.refused().wait(now, SECOND).min(until.saturating_duration_since(now));
            if wait.is_zero() {
                return;
            }
            sleep(wait).await;
        }
    }

    fn refused(&self) -> MutexGuard<'_, Bucket> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place for a large message of so many bytes. Whoever waits for it has nothing but the message's first
    /// bytes here.
    pub(crate) async fn large(&self, bytes: usize) -> LargePlace {
        // First that of its own, so that nobody waits with a place of everybody's.
        let of_share = acquire(&self.large, 1).await;
        self.rested().await;
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(LARGE_OF_KIND).min(LARGE_OF_KIND);
        let of_kind = acquire(&self.large_of_kind, units).await;
        LargePlace { _of_share: of_share, _of_kind: of_kind }
    }

    /// Waits for room for so many bytes.
    pub(super) async fn place(self: Arc<Self>, bytes: usize, large: Option<LargePlace>) -> Place {
        let bytes = u32::try_from(bytes).unwrap_or(WAITING).min(WAITING);
        let waiting = acquire(&self.waiting, bytes).await;
        // Then: of many that wait, few go on at once.
        self.rested().await;
        Place { _waiting: Some(waiting), large, room: Some(self) }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_many_owned(permits).await.expect("nobody closes it")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LARGEST: usize = 16 << 20;

    fn large_at_once(room: &Room) -> Vec<LargePlace> {
        std::iter::from_fn(|| room.large(LARGEST).now_or_never()).collect()
    }

    #[test]
    fn large_messages_of_one_role_leave_room_for_those_of_others() {
        let rooms = Rooms::new();
        let [greedy, other] = ["greedy", "other"].map(|role| rooms.of_role(&role.into()));

        let places = large_at_once(&greedy);

        assert_eq!(places.len(), LARGE_OF_SHARE);
        assert!(
            rooms.of_role(&"greedy".into()).large(LARGEST).now_or_never().is_none(),
            "it is one room for all of the role"
        );
        assert!(other.large(LARGEST).now_or_never().is_some());
        drop(places);
        assert!(greedy.large(LARGEST).now_or_never().is_some());
    }

    #[test]
    fn large_messages_of_all_roles_are_few_and_those_of_agents_apart() {
        let rooms = Rooms::new();
        let of_roles: Vec<_> = (0..100).map(|role| rooms.of_role(&role.to_string().into())).collect();

        let places: Vec<_> = of_roles.iter().flat_map(|room| large_at_once(room)).collect();

        assert_eq!(places.len() * LARGEST, LARGE_OF_KIND as usize * UNIT);
        assert!(rooms.of_newcomer(Kind::Agent).large(LARGEST).now_or_never().is_some());
    }

    #[test]
    fn who_has_said_much_waits_until_it_was_heard() {
        let room = Rooms::new().of_newcomer(Kind::Framework);
        let first = Arc::clone(&room).place(WAITING as usize - 10, None).now_or_never();

        assert!(Arc::clone(&room).place(11, None).now_or_never().is_none());
        drop(first);
        assert!(room.place(64 << 20, None).now_or_never().is_some(), "what is larger has all of the room");
    }

    #[tokio::test]
    async fn who_has_very_many_tasks_refused_waits_with_its_next_message_and_nobody_else() {
        let rooms = Rooms::new();
        let [greedy, other] = ["greedy", "other"].map(|role| rooms.of_role(&role.into()));
        let place = Arc::clone(&greedy).place(100, None).await;
        place.refused(REFUSED, Instant::now());
        assert!(Arc::clone(&greedy).place(100, None).now_or_never().is_some(), "so many are none too many");

        place.refused(3 * REFUSED, Instant::now());

        assert!(Arc::clone(&greedy).place(100, None).now_or_never().is_none());
        assert!(rooms.of_role(&"greedy".into()).large(LARGEST).now_or_never().is_none());
        assert!(other.place(100, None).now_or_never().is_some());
    }

    #[test]
    fn roles_that_nobody_has_any_more_are_forgotten() {
        let rooms = Rooms::new();
        for role in 0..1_000 {
            rooms.of_role(&role.to_string().into());
        }

        assert_eq!(rooms.roles.lock().unwrap().len(), 1);
    }
}
