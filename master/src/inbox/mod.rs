//! What peers say, until the driver hears it: bounded for each of them, and heard in turns.

mod room;
mod turns;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::SessionId;
use haggle_core::cluster::Command;
use tokio::sync::Notify;

use crate::handle::Stopping;
use room::Rooms;
use turns::Turns;

pub(crate) use room::{LARGE, LargePlace, Place, Room};
pub(crate) use turns::{Round, Share};

/// What the driver hears of each kind of peer in one batch, in bytes. A batch is short, some milliseconds: whoever speaks
/// next is heard no later than that, and what it costs to let a batch out is spread over thousands of small commands.
const BATCH: usize = 256 << 10;

/// What a message costs beside its bytes.
const MESSAGE: usize = 256;

/// What an effect costs: about as much as the small command that brings about one.
const EFFECT: usize = 64;

/// Which kind a peer is of. The driver hears both in each batch, so that neither holds up the other: what many frameworks
/// want at once does not make an agent look silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Agent,
    Framework,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Framework => "framework",
        })
    }
}

/// What a peer says, in the order in which it says it.
#[derive(Debug)]
pub(crate) enum Saying {
    /// A peer said this, in one message.
    Said(SessionId, Vec<Command>, Place),
    /// A peer's connection ended.
    Ended(SessionId),
}

/// Something that was said, and by whom: so that its effects can be charged to it.
pub(crate) struct Heard {
    pub(crate) kind: Kind,
    pub(crate) share: Share,
    pub(crate) saying: Saying,
}

/// A new inbox: who speaks, and who hears.
pub(crate) fn inbox() -> (Speakers, Hearing) {
    let shared = Arc::new(Shared { rooms: Rooms::new(), waiting: Mutex::default(), some: Notify::new() });
    (Speakers(Arc::clone(&shared)), Hearing(shared))
}

/// Lets peers speak. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Speakers(Arc<Shared>);

impl Speakers {
    /// The intake of a connection that has just been made.
    pub(crate) fn intake(&self, kind: Kind) -> Intake {
        Intake(Arc::new(Mutex::new(Arrival { room: self.0.rooms.of_newcomer(kind), large: None })))
    }

    /// Has a session speak, whose messages come by this intake.
    pub(crate) fn speaker(&self, kind: Kind, session: SessionId, intake: Intake) -> Speaker {
        Speaker { shared: Arc::clone(&self.0), kind, session, share: Share::Session(session), intake }
    }
}

/// Where the messages of one session come in. The wire asks it for room for a large one before it is received.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<Mutex<Arrival>>);

#[derive(Debug)]
struct Arrival {
    room: Arc<Room>,
    /// Of the message that is being received.
    large: Option<LargePlace>,
}

impl Intake {
    /// Waits until a large message may be received.
    pub(crate) async fn make_room(&self) {
        let room = Arc::clone(&lock(&self.0).room);
        let large = room.large().await;
        lock(&self.0).large = Some(large);
    }
}

/// A session's voice.
pub(crate) struct Speaker {
    shared: Arc<Shared>,
    kind: Kind,
    session: SessionId,
    share: Share,
    intake: Intake,
}

impl Speaker {
    /// Which session this is.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// From now on it speaks as one of this role.
    pub(crate) fn introduce(&mut self, role: &str) {
        let role = role.into();
        lock(&self.intake.0).room = self.shared.rooms.of_role(&role);
        self.share = Share::Role(role);
    }

    /// Passes on what a peer said in one message of so many bytes. Waits while there is no room for it.
    pub(crate) async fn say(&self, commands: Vec<Command>, bytes: usize) -> Result<(), Stopping> {
        let cost = MESSAGE + bytes;
        let (room, large) = {
            let mut arrival = lock(&self.intake.0);
            (Arc::clone(&arrival.room), arrival.large.take())
        };
        if commands.is_empty() {
            return Ok(());
        }
        let place = room.place(cost, large).await;
        self.push(Saying::Said(self.session, commands, place), cost)
    }

    /// Ends the session, behind what was said.
    pub(crate) fn end(self) -> Result<(), Stopping> {
        self.push(Saying::Ended(self.session), MESSAGE)
    }

    fn push(&self, saying: Saying, cost: usize) -> Result<(), Stopping> {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.deaf {
            return Err(Stopping);
        }
        let is_first = waiting.is_empty();
        waiting.of(self.kind).push(&self.share, self.session, saying, cost);
        drop(waiting);
        if is_first {
            self.shared.some.notify_one();
        }
        Ok(())
    }
}

/// Hears what is said.
pub(crate) struct Hearing(Arc<Shared>);

impl Hearing {
    /// Waits until something was said.
    pub(crate) async fn some(&self) {
        while lock(&self.0.waiting).is_empty() {
            self.0.some.notified().await;
        }
    }

    /// Takes what makes a batch, and says how far the turns of agents and of frameworks have come.
    pub(crate) fn take(&self, into: &mut Vec<Heard>) -> [Round; 2] {
        let mut waiting = lock(&self.0.waiting);
        [Kind::Agent, Kind::Framework].map(|kind| {
            let turns = waiting.of(kind);
            turns.take(BATCH, |share, saying| into.push(Heard { kind, share: share.clone(), saying }));
            turns.round()
        })
    }

    /// Charges these for so many effects.
    pub(crate) fn charge(&self, effects: impl Iterator<Item = (Kind, Share, usize)>) {
        let mut waiting = None;
        for (kind, share, effects) in effects {
            let waiting = waiting.get_or_insert_with(|| lock(&self.0.waiting));
            waiting.of(kind).charge(&share, effects * EFFECT);
        }
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        // What waits gives up its places, so that whoever waits for one comes to know.
        let waiting = std::mem::replace(&mut *lock(&self.0.waiting), Waiting { deaf: true, ..Waiting::default() });
        drop(waiting);
    }
}

struct Shared {
    rooms: Rooms,
    waiting: Mutex<Waiting>,
    /// Told when something is said and nothing waited before.
    some: Notify,
}

#[derive(Default)]
struct Waiting {
    agents: Turns<Saying>,
    frameworks: Turns<Saying>,
    /// Nobody hears any more.
    deaf: bool,
}

impl Waiting {
    fn of(&mut self, kind: Kind) -> &mut Turns<Saying> {
        match kind {
            Kind::Agent => &mut self.agents,
            Kind::Framework => &mut self.frameworks,
        }
    }

    fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.frameworks.is_empty()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks but allocation.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use haggle_core::cluster::AgentCommand;

    use super::*;

    fn speaker(speakers: &Speakers, kind: Kind, session: u64) -> Speaker {
        speakers.speaker(kind, SessionId(session), speakers.intake(kind))
    }

    fn heartbeat(session: u64) -> Vec<Command> {
        vec![Command::Agent(SessionId(session), AgentCommand::Heartbeat)]
    }

    fn heard(hearing: &Hearing) -> Vec<Heard> {
        let mut heard = Vec::new();
        hearing.take(&mut heard);
        heard
    }

    #[tokio::test]
    async fn an_agent_is_heard_in_the_next_batch_however_much_frameworks_say() {
        let (speakers, hearing) = inbox();
        for session in 0..1_000 {
            let mut framework = speaker(&speakers, Kind::Framework, session);
            framework.introduce(&session.to_string());
            framework.say(heartbeat(session), 10_000).await.unwrap();
        }
        speaker(&speakers, Kind::Agent, 5_000).say(heartbeat(5_000), 10).await.unwrap();

        let batch = heard(&hearing);

        assert!(batch.len() > 10);
        assert!(batch.len() < 100, "{} are heard at once", batch.len());
        assert!(batch.iter().any(|heard| heard.share == Share::Session(SessionId(5_000))));
    }

    #[tokio::test]
    async fn who_says_much_waits_for_its_own_room_and_for_nobody_elses() {
        let (speakers, hearing) = inbox();
        let [mut first, mut second, mut other] = [1, 2, 3].map(|of| speaker(&speakers, Kind::Framework, of));
        first.introduce("greedy");
        second.introduce("greedy");
        other.introduce("other");

        while first.say(heartbeat(1), 100_000).now_or_never().is_some() {}

        assert!(second.say(heartbeat(1), 100_000).now_or_never().is_none());
        assert!(other.say(heartbeat(1), 100_000).now_or_never().is_some());
        drop(heard(&hearing));
        assert!(second.say(heartbeat(1), 100_000).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_session_ends_behind_what_was_said_on_it() {
        let (speakers, hearing) = inbox();
        let agent = speaker(&speakers, Kind::Agent, 1);
        agent.say(heartbeat(1), 10).await.unwrap();
        agent.end().unwrap();

        let sayings: Vec<_> = heard(&hearing).into_iter().map(|heard| heard.saying).collect();

        assert!(matches!(sayings.as_slice(), [Saying::Said(..), Saying::Ended(SessionId(1))]), "{sayings:?}");
    }

    #[tokio::test]
    async fn who_waits_for_room_comes_to_know_that_nobody_hears_any_more() {
        let (speakers, hearing) = inbox();
        let agent = speaker(&speakers, Kind::Agent, 1);
        agent.say(heartbeat(1), 64 << 20).await.unwrap();
        let waiting = agent.say(heartbeat(1), 64 << 20);

        drop(hearing);

        assert_eq!(waiting.await, Err(Stopping));
    }

    #[tokio::test]
    async fn the_driver_wakes_when_something_is_said() {
        let (speakers, hearing) = inbox();
        let agent = speaker(&speakers, Kind::Agent, 1);
        let hears = tokio::spawn(async move {
            hearing.some().await;
            heard(&hearing).len()
        });

        tokio::task::yield_now().await;
        agent.say(heartbeat(1), 10).await.unwrap();

        assert_eq!(hears.await.unwrap(), 1);
    }
}
