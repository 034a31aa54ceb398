//! What peers say, until the driver hears it: bounded for each of them, and heard in turns.

mod pieces;
mod room;
mod turns;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::SessionId;
use haggle_core::cluster::{AgentCommand, Command, FrameworkCommand};
use tokio::sync::Notify;

use crate::handle::Stopping;
use pieces::{Piece, pieces};
use room::Rooms;
use turns::Turns;

pub(crate) use room::{LARGE, LargePlace, Place, Room};
pub(crate) use turns::{Round, Share};

/// What the driver hears of each kind of peer in one batch, in bytes. A batch is short, some milliseconds: whoever speaks
/// next is heard no later than that, and what it costs to let a batch out is spread over thousands of small commands.
const BATCH: usize = 256 << 10;

/// What a message costs beside its bytes.
const MESSAGE: usize = 256;

/// What it costs more when the registry is to remember something of it. So a turn has a few dozen of these.
const WRITE: usize = 1 << 10;

/// What is heard of each kind of peer at once of which the registry is to remember something. With what stands around it,
/// so much is one transaction of etcd, which takes 128 changes.
const WRITES: usize = 100;

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

impl Saying {
    /// Whether the registry is to remember something of it, as far as that can be known before it is decided: who comes to
    /// stay, who leaves, what they are from now on, and what is reserved.
    fn is_written(&self) -> bool {
        let Self::Said(_, commands, _) = self else { return false };
        commands.iter().any(|command| match command {
            Command::Agent(_, said) => {
                matches!(said, AgentCommand::Register { .. } | AgentCommand::Drain | AgentCommand::Leave)
            }
            Command::Framework(_, call) => match &call.command {
                FrameworkCommand::Subscribe { .. } | FrameworkCommand::Update(_) | FrameworkCommand::Teardown => true,
                FrameworkCommand::Accept { operations, .. } => !operations.is_empty(),
                FrameworkCommand::LaunchGroup { operations, .. } => !operations.is_empty(),
                _ => false,
            },
            _ => false,
        })
    }
}

/// Something that was said, and by whom: so that its effects can be charged to it.
pub(crate) struct Heard {
    pub(crate) kind: Kind,
    pub(crate) share: Share,
    pub(crate) saying: Saying,
}

/// A new inbox: who speaks, and who hears.
pub(crate) fn inbox() -> (Speakers, Hearing) {
    let shared = Arc::new(Shared {
        rooms: Rooms::new(),
        waiting: Mutex::default(),
        some: Notify::new(),
        beating: Mutex::default(),
    });
    (Speakers(Arc::clone(&shared)), Hearing(shared))
}

/// Lets peers speak. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Speakers(Arc<Shared>);

impl Speakers {
    /// The intake of a connection that has just been made.
    pub(crate) fn intake(&self, kind: Kind) -> Intake {
        Intake(Arc::new(Mutex::new(Arrival { room: self.0.rooms.of_newcomer(kind), large: None, whole: None })))
    }

    /// What agents and what frameworks have said that was not heard yet.
    pub(crate) fn unheard(&self) -> [usize; 2] {
        let waiting = lock(&self.0.waiting);
        [waiting.agents.len(), waiting.frameworks.len()]
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
    /// A large message that was received, and is passed on as an empty one.
    whole: Option<Vec<u8>>,
}

impl Intake {
    /// Waits until a large message of so many bytes may be received.
    pub(crate) async fn make_room(&self, bytes: usize) {
        let room = Arc::clone(&lock(&self.0).room);
        let large = room.large(bytes).await;
        lock(&self.0).large = Some(large);
    }

    /// A large message was received. It is the next that the session hears, and comes as an empty one.
    pub(crate) fn keep(&self, whole: Vec<u8>) {
        lock(&self.0).whole = Some(whole);
    }

    /// The large message that has just come as an empty one.
    pub(crate) fn take_whole(&self) -> Option<Vec<u8>> {
        lock(&self.0).whole.take()
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

    /// Where its messages come in.
    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }

    /// From now on it speaks as one of this role.
    pub(crate) fn introduce(&mut self, role: &str) {
        let role = role.into();
        lock(&self.intake.0).room = self.shared.rooms.of_role(&role);
        self.share = Share::Role(role);
    }

    /// Passes on what a peer said in one message of so many bytes. Waits while there is no room for it, which the message has until
    /// the last piece of it was heard.
    pub(crate) async fn say(&self, commands: Vec<Command>, bytes: usize) -> Result<(), Stopping> {
        let cost = MESSAGE + bytes;
        let (room, large) = {
            let mut arrival = lock(&self.intake.0);
            (Arc::clone(&arrival.room), arrival.large.take())
        };
        if commands.is_empty() {
            return Ok(());
        }
        let whole = room.place(cost, large).await;
        let mut pieces = pieces(commands);
        let last = pieces.pop().unwrap_or_default();
        for Piece { commands, cost } in pieces {
            self.push(Saying::Said(self.session, commands, whole.of_a_piece()), cost)?;
        }
        self.push(Saying::Said(self.session, last.commands, whole), cost + last.cost)
    }

    /// Notes that the peer lives. Nobody is woken for it: the driver looks several times a second, and before it finds anybody
    /// silent. So thousands of idle agents cost it next to nothing.
    pub(crate) fn beat(&self) {
        lock(&self.shared.beating).insert(self.session);
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
        let is_written = saying.is_written();
        let cost = if is_written { cost + WRITE } else { cost };
        let was_ready = waiting.is_ready();
        waiting.of(self.kind).push(&self.share, self.session, saying, cost, is_written);
        let is_first = !was_ready && waiting.is_ready();
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
    /// Waits until something was said that is not held.
    pub(crate) async fn some(&self) {
        while !lock(&self.0.waiting).is_ready() {
            self.0.some.notified().await;
        }
    }

    /// Whether something was said that is not held.
    pub(crate) fn is_ready(&self) -> bool {
        lock(&self.0.waiting).is_ready()
    }

    /// Whether something is held until the registry is written again.
    pub(crate) fn holds(&self) -> bool {
        let waiting = lock(&self.0.waiting);
        waiting.agents.holds() || waiting.frameworks.holds()
    }

    /// Takes what makes a batch, and says how far the turns of agents and of frameworks have come. What the registry is to
    /// remember is held, unless that `may_write`.
    pub(crate) fn take(&self, into: &mut Vec<Heard>, may_write: bool) -> [Round; 2] {
        let writes = if may_write { WRITES } else { 0 };
        let mut waiting = lock(&self.0.waiting);
        [Kind::Agent, Kind::Framework].map(|kind| {
            let turns = waiting.of(kind);
            turns.take(BATCH, writes, |share, saying| into.push(Heard { kind, share: share.clone(), saying }));
            turns.round()
        })
    }

    /// Takes the sessions whose peers were noted to live since the last time.
    pub(crate) fn take_beats(&self, into: &mut Vec<SessionId>) {
        into.extend(lock(&self.0.beating).drain());
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
    /// Told when something can be heard, and nothing could before.
    some: Notify,
    /// Sessions whose peers live. Each is there once, however often it says so.
    beating: Mutex<HashSet<SessionId>>,
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

    fn is_ready(&self) -> bool {
        self.agents.is_ready() || self.frameworks.is_ready()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks but allocation.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use haggle_core::cluster::{AgentCommand, FrameworkInfo};
    use haggle_core::{OfferOperation, Operation, Resources};

    use super::*;

    fn speaker(speakers: &Speakers, kind: Kind, session: u64) -> Speaker {
        speakers.speaker(kind, SessionId(session), speakers.intake(kind))
    }

    fn heartbeat(session: u64) -> Vec<Command> {
        vec![Command::Agent(SessionId(session), AgentCommand::Heartbeat)]
    }

    fn heard(hearing: &Hearing) -> Vec<Heard> {
        let mut heard = Vec::new();
        hearing.take(&mut heard, true);
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
    async fn what_the_registry_is_to_remember_is_held_with_the_rest_of_its_session_while_that_rests() {
        let (speakers, hearing) = inbox();
        let say = async |session: u64, command: FrameworkCommand| {
            let mut framework = speaker(&speakers, Kind::Framework, session);
            framework.introduce("eng");
            framework.say(vec![Command::Framework(SessionId(session), command.into())], 10).await.unwrap();
        };
        let accept = |operations: Vec<OfferOperation>| FrameworkCommand::Accept {
            offers: vec![],
            operations,
            tasks: vec![],
            refuse: Duration::ZERO,
        };
        let unreserve = Operation::Unreserve { role: "eng".to_owned(), resources: Resources::default() };
        let info = FrameworkInfo {
            name: "f".to_owned(),
            roles: vec!["eng".to_owned()],
            failover_timeout: FrameworkInfo::DEFAULT_FAILOVER_TIMEOUT,
        };
        say(1, accept(vec![unreserve.into()])).await;
        say(1, accept(vec![])).await;
        say(2, FrameworkCommand::Update(info)).await;
        say(3, accept(vec![])).await;

        let mut batch = Vec::new();
        hearing.take(&mut batch, false);
        let sessions = |batch: &[Heard]| -> Vec<u64> {
            let of = |heard: &Heard| match heard.saying {
                Saying::Said(session, ..) | Saying::Ended(session) => session.0,
            };
            batch.iter().map(of).collect()
        };
        assert_eq!(sessions(&batch), [3]);

        assert_eq!(sessions(&heard(&hearing)), [1, 2, 1]);
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

    #[test]
    fn a_heartbeat_wakes_nobody_and_waits_once_however_often_it_comes() {
        let (speakers, hearing) = inbox();
        let [first, second] = [1, 2].map(|session| speaker(&speakers, Kind::Agent, session));

        for _ in 0..1_000 {
            first.beat();
        }
        second.beat();

        assert!(hearing.some().now_or_never().is_none());
        let mut beats = Vec::new();
        hearing.take_beats(&mut beats);
        beats.sort();
        assert_eq!(beats, [SessionId(1), SessionId(2)]);
        beats.clear();
        hearing.take_beats(&mut beats);
        assert_eq!(beats, []);
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
