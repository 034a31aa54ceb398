//! The one task that owns the cluster: applies what waits, writes what must last, only then speaks.

mod announced;
mod audit;
mod batch;
mod keeper;
mod log_line;
mod pace;
mod peers;
mod room;
mod tenants;
#[cfg(test)]
mod tests;

use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use haggle_core::cluster::{AgentCommand, Announcement, Cluster, Command, Effect, FrameworkEvent, Refusal};
use haggle_core::{Now, SessionId, TaskState};
use haggle_otlp::Tracer;
use tokio::runtime;
use tokio::sync::oneshot;
use tonic::Status;
use tracing::{debug, enabled, error, warn};

use self::announced::log;
use self::audit::Decision;
use self::batch::{Batch, Next};
use self::keeper::Keeper;
use self::log_line::LogLine;
use self::pace::Pace;
use self::peers::Peers;
use self::tenants::Tenants;
use crate::access::{Caller, Guard, limit_of, status_of, wall_clock_ms};
use crate::again::Specs;
use crate::artifacts::Store;
use crate::clock::Clock;
use crate::error::Failure;
use crate::handle::{Answer, Handle, Inbox, Peer, Question, Reign, Request, Room, Verdict};
use crate::happenings::{Happening, Happenings, What};
use crate::inbox::{Heard, LargePlace, Place, Round, Saying};
use crate::metrics::{CommandKind, Commands, Timings};
use crate::registry::{Registry, RegistryError};
use crate::traces::Traces;

/// Happenings that a watcher may be behind, beside those of queues: about half a second of a cluster that starts 5,000 tasks a second.
const HAPPENINGS: usize = 8_192;

pub(crate) use self::audit::object_of;

/// Who else is told what becomes of tasks.
#[derive(Clone, Default)]
pub(crate) struct Observers {
    /// Is told which artifacts tasks need.
    pub(crate) store: Option<Arc<Store>>,
    /// Records their traces.
    pub(crate) tracer: Option<Tracer>,
}

/// Starts the driver, which keeps what the guard knows and what the store is told of needs up to date. What it resolves to says how it ended.
///
/// It is a task of the runtime that serves the `sessions`. Where that has one thread, as in the `haggle` command, nothing that a task's
/// launch or end is waits for another thread; and whatever may take long is done elsewhere.
pub(crate) fn start(
    sessions: &runtime::Handle,
    cluster: Cluster,
    registry: Box<dyn Registry>,
    clock: Clock,
    reign: Reign,
    guard: Guard,
    observers: Observers,
) -> (Handle, oneshot::Receiver<Result<(), Failure>>) {
    let happenings = Arc::new(Happenings::new(HAPPENINGS));
    let room = Room::default();
    let timings = Timings::default();
    let (handle, inbox) =
        Handle::new(reign, room.clone(), Arc::downgrade(&happenings), guard.house().clone(), timings.clone());
    let handle = handle.traced_by(observers.tracer.clone());
    let (done, ended) = oneshot::channel();
    guard.known().begin(&cluster);
    let Observers { store, tracer } = observers;
    let traces = tracer.map(|tracer| Box::new(Traces::new(tracer, reign.cluster)));
    if let Some(store) = &store {
        store.ledger().begin(wall_clock_ms());
    }
    let driver = Driver::new(cluster, registry, clock, room, happenings, guard, timings);
    let driver = Driver { traces, store: store.clone(), specs: handle.specs().clone(), ..driver };
    sessions.spawn(async move {
        let outcome = driver.run(inbox).await;
        if let Some(store) = store {
            store.ledger().end();
        }
        // Nobody waits any more when the master was dropped without being stopped.
        let _ = done.send(outcome);
    });
    (handle, ended)
}

/// What became of a command that was not said on a session.
type Decided = Result<Option<Answer>, Refusal>;

struct Driver {
    cluster: Cluster,
    registry: Keeper,
    pace: Pace,
    clock: Clock,
    room: Room,
    peers: Peers,
    guard: Guard,
    tenants: Tenants,
    timings: Timings,
    /// What was heard so far.
    commands: Commands,
    /// Since when something waits for the next allocation.
    asked: Option<Instant>,
    happenings: Arc<Happenings>,
    /// Records them, if anybody wants them.
    traces: Option<Box<Traces>>,
    /// Where it is noted which artifacts tasks need. `None`: nowhere.
    store: Option<Arc<Store>>,
    /// What the last tasks were launched with.
    specs: Specs,
    /// Of this batch. They stay here until what is to be remembered of them is.
    effects: Vec<Effect>,
    /// Which of them are of a large message, in order.
    large: Vec<(Range<usize>, Arc<LargePlace>)>,
    /// Told after the batch is durable: a verdict is an effect as well.
    verdicts: Vec<(oneshot::Sender<Verdict>, Decided)>,
    /// Answered at the end of the batch.
    questions: Vec<Question>,
    /// Sessions that end with these words, once the batch is let out.
    refused: Vec<(SessionId, Status)>,
    cut_off: Vec<SessionId>,
    /// While a tick is due: after how many turns everybody has been heard who waited when it became due.
    tick_after: Option<[u64; 2]>,
    /// Told to stop.
    stop: bool,
}

impl Driver {
    fn new(
        cluster: Cluster,
        registry: Box<dyn Registry>,
        clock: Clock,
        room: Room,
        happenings: Arc<Happenings>,
        guard: Guard,
        timings: Timings,
    ) -> Self {
        Self {
            cluster,
            registry: Keeper::of(registry),
            pace: Pace::default(),
            clock,
            room,
            peers: Peers::default(),
            guard,
            tenants: Tenants::default(),
            timings,
            commands: Commands::default(),
            asked: None,
            happenings,
            traces: None,
            store: None,
            specs: Specs::default(),
            effects: Vec::new(),
            large: Vec::new(),
            verdicts: Vec::new(),
            questions: Vec::new(),
            refused: Vec::new(),
            cut_off: Vec::new(),
            tick_after: None,
            stop: false,
        }
    }

    async fn run(mut self, mut inbox: Inbox) -> Result<(), Failure> {
        let mut outcome = self.run_until_stopped(&mut inbox).await;
        if outcome.is_ok() {
            outcome = match self.registry.write(self.clock.now(), Vec::new()).await.1 {
                // The time alone is lost, which then goes on from the last write.
                Err(RegistryError::Full(_)) => Ok(()),
                written => written,
            };
        }
        match outcome {
            Ok(()) => {
                self.peers.fail_all(&Status::unavailable("the master is stopping"));
                Ok(())
            }
            Err(RegistryError::Deposed) => {
                self.peers.fail_all(&Status::unavailable("this master no longer leads"));
                Err(Failure::Deposed)
            }
            Err(broken) => {
                error!("{broken}");
                self.peers.fail_all(&Status::unavailable("the master cannot write its registry, and ends"));
                Err(Failure::Registry(broken.to_string()))
            }
        }
    }

    async fn run_until_stopped(&mut self, inbox: &mut Inbox) -> Result<(), RegistryError> {
        let mut batch = Batch::default();
        loop {
            let look = self.clock.next_look(self.cluster.next_deadline());
            // A tick waits for those that are held, who are then heard without a rest.
            let rest = self.pace.rests_at(Instant::now()).filter(|_| self.tick_after.is_none());
            let behind = self.cluster.is_behind();
            if self.stop || batch.take(inbox, look, rest, behind).await == Next::Stop {
                return Ok(());
            }
            let settled = self.step(&mut batch, Instant::now()).await;
            inbox.sayings.charge(batch.effects.drain(..));
            match settled {
                Err(RegistryError::Full(why)) => self.wait_for_room(inbox, why.to_string()).await?,
                settled => settled?,
            }
        }
    }

    /// One batch, taken at `at`: decide all of it, remember it, let it out.
    ///
    /// # Errors
    /// After [`RegistryError::Full`], [`Self::settle`] may be tried again.
    async fn step(&mut self, batch: &mut Batch, at: Instant) -> Result<(), RegistryError> {
        let now = self.clock.look(at);
        self.asked.get_or_insert(at);
        self.look_at_wall_clock(now);
        for request in batch.requests.drain(..) {
            match request {
                Request::Open(session, caller, peer) => self.open(now, session, caller, peer),
                Request::Decide(who, request, command, verdict) => {
                    let before = self.effects.len();
                    let decided = self.apply(now, Command::Operator(who, request, command));
                    let answer = self.effects[before..].iter().find_map(|effect| match effect {
                        Effect::Enrolled(member) => Some(Answer::Enrolled(*member)),
                        Effect::Scheduled(id) => Some(Answer::Scheduled(*id)),
                        Effect::VolumeCreated(volume) => Some(Answer::VolumeCreated(*volume)),
                        _ => None,
                    });
                    self.verdicts.push((verdict, decided.map(|()| answer)));
                }
                Request::Ask(question) => self.questions.push(question),
                // Who asked may have gone meanwhile.
                Request::Levels(answer) => drop(answer.send(self.peers.levels())),
                Request::Stop => self.stop = true,
            }
        }
        for Heard { kind, share, saying } in batch.sayings.drain(..) {
            let before = self.effects.len();
            match saying {
                Saying::Said(session, commands, place) => self.said(now, session, commands, place),
                Saying::Ended(session) => {
                    self.peers.remove(session);
                    self.disconnect(now, session);
                }
            }
            batch.effects.push((kind, share, self.effects.len() - before));
        }
        for session in batch.beats.drain(..) {
            // Refused to one whose registration waits, and which is nobody yet: that is no reason to end its session.
            let _ = self.apply(now, Command::Agent(session, AgentCommand::Heartbeat));
        }
        self.tick_when_due(now, batch);
        self.settle().await
    }

    /// Tokens and maintenance windows go by the time of people.
    fn look_at_wall_clock(&mut self, now: Now) {
        let wall_ms = wall_clock_ms();
        if self.cluster.wall_clock_is_due(wall_ms) {
            // It is never refused.
            let _ = self.apply(now, Command::WallClock(wall_ms));
        }
    }

    fn open(&mut self, now: Now, session: SessionId, caller: Caller, peer: Peer) {
        let connected = match &caller.who {
            Some(who) => self.apply(now, Command::Connected(session, who.clone())),
            None => Err(Refusal::NotConnected(session)),
        };
        self.peers.open(session, caller, peer);
        if let Err(refusal) = connected {
            self.refused.push((session, status_of(&refusal)));
        }
    }

    /// What was said before a deadline is heard before it: nobody counts as silent whose words wait. It waits for as long
    /// as everybody takes who waits then, and no longer. It may ask for a write, and so waits for the end of a rest.
    fn tick_when_due(&mut self, now: Now, &Batch { rests, rounds, .. }: &Batch) {
        if self.cluster.next_deadline().is_none_or(|deadline| now < deadline) {
            self.tick_after = None;
            return;
        }
        if rests {
            return;
        }
        let after = *self.tick_after.get_or_insert(rounds.map(|round| round.whole));
        let is_heard = |(round, after): (Round, u64)| round.taken >= after || round.taken == round.whole;
        if rounds.into_iter().zip(after).all(is_heard) {
            self.tick_after = None;
            // A tick is never refused.
            let _ = self.apply(now, Command::Tick);
        }
    }

    /// Remembers what was decided, and lets it out.
    async fn settle(&mut self) -> Result<(), RegistryError> {
        let now = self.clock.now();
        loop {
            let began = Instant::now();
            self.cluster.allocate(now, &mut self.effects);
            let ended = Instant::now();
            let waited = began.saturating_duration_since(self.asked.unwrap_or(began));
            self.timings.decided(&self.commands, waited, ended - began);
            self.asked = self.cluster.is_behind().then_some(ended);
            self.remember(now).await?;
            // After the write: that may have taken longer than the lead lasts.
            self.registry.confirm().await?;
            self.let_out();
            if self.cut_off.is_empty() {
                break;
            }
            for session in mem::take(&mut self.cut_off) {
                warn!("{session} was cut off: it does not read what it is sent");
                self.disconnect(now, session);
            }
        }
        for (verdict, decided) in self.verdicts.drain(..) {
            // Who asked may have gone meanwhile.
            let _ = verdict.send(Ok(decided));
        }
        self.answer();
        Ok(())
    }

    fn answer(&mut self) {
        let now = self.clock.now();
        for question in self.questions.drain(..) {
            question(&self.cluster, now);
        }
    }

    fn said(&mut self, now: Now, session: SessionId, commands: Vec<Command>, place: Place) {
        let before = self.effects.len();
        self.decide(now, session, commands);
        if self.peers.caller(session).is_some_and(Caller::is_limited) {
            let refused = self.effects[before..].iter().filter(|effect| is_refusal(effect, session)).count();
            if refused > 0 {
                place.refused(refused as u64, Instant::now());
            }
        }
        if let Some(large) = place.into_large() {
            self.large.push((before..self.effects.len(), Arc::new(large)));
        }
    }

    fn decide(&mut self, now: Now, session: SessionId, commands: Vec<Command>) {
        for command in commands {
            // Whoever was cut off has nothing more to say: it would speak as one that is gone.
            if !self.peers.is_open(session) || self.refused.iter().any(|(refused, _)| *refused == session) {
                return;
            }
            let decision = Decision::of(&command);
            let before = self.effects.len();
            if let Some(traces) = &mut self.traces {
                traces.hear(&command, &self.cluster, now);
            }
            let verdict = self.apply(now, command);
            if decision.is_written(&verdict)
                && let Some(caller) = self.peers.caller(session)
            {
                decision.write(self.guard.audit(), caller, session, &verdict, &self.effects[before..]);
            }
            if let Err(refusal) = verdict {
                if let Some((who, limit)) = limit_of(&refusal) {
                    self.guard.limiter().complain(who, limit, &refusal, Instant::now());
                }
                // What follows in the message was said in the belief that this was done.
                self.refused.push((session, status_of(&refusal)));
                self.disconnect(now, session);
            }
        }
    }

    fn disconnect(&mut self, now: Now, session: SessionId) {
        // A connection that is gone is never refused.
        let _ = self.apply(now, Command::Disconnected(session));
    }

    fn apply(&mut self, now: Now, command: Command) -> Result<(), Refusal> {
        let kind = CommandKind::of(&command);
        let line = enabled!(tracing::Level::DEBUG).then(|| LogLine(&command).to_string());
        let before = self.effects.len();
        let verdict = self.cluster.apply(now, command, &mut self.effects);
        if let Some(kind) = kind {
            self.commands.hears(kind, verdict.is_err());
        }
        match (&line, &verdict) {
            (None, _) => {}
            (Some(line), Ok(())) => debug!("{now} {line}: {} effects", self.effects.len() - before),
            (Some(line), Err(refusal)) => debug!("{now} {line}: refused: {refusal}"),
        }
        verdict
    }

    /// Every change of the batch in one transaction; most batches have none, and touch no disk. Nothing is decided meanwhile.
    async fn remember(&mut self, now: Now) -> Result<(), RegistryError> {
        if !self.effects.iter().any(|effect| matches!(effect, Effect::Remember(_))) {
            return Ok(());
        }
        let began = Instant::now();
        let (effects, written) = self.registry.write(now, mem::take(&mut self.effects)).await;
        self.effects = effects;
        let ended = Instant::now();
        self.pace.wrote(began, ended);
        self.timings.wrote(ended - began);
        written
    }

    fn let_out(&mut self) {
        let watched = self.happenings.watchers() > 0;
        let time_ms = if watched { wall_clock_ms() } else { 0 };
        let mut large = mem::take(&mut self.large).into_iter().peekable();
        for (at, mut effect) in self.effects.drain(..).enumerate() {
            if let Some(traces) = &mut self.traces {
                traces.let_out(&mut effect);
            }
            while large.next_if(|(of, _)| of.end <= at).is_some() {}
            let place = large.peek().filter(|(of, _)| of.contains(&at)).map(|(_, place)| place);
            match effect {
                Effect::Remember(change) => self.guard.known().note(&change),
                // It was told who asked.
                Effect::Enrolled(_) | Effect::Scheduled(_) | Effect::VolumeCreated(_) => {}
                Effect::ToFramework(session, event) => self.peers.tell_framework(session, event),
                Effect::ToAgent(session, order) => {
                    if let Some(store) = &self.store {
                        store.use_now(&store.ledger().ordered(&order));
                    }
                    self.specs.note(&order);
                    self.peers.tell_agent(session, order, place);
                }
                Effect::Close(session) => self.peers.close(session),
                Effect::Announce(what) => {
                    log(&what);
                    if let (Announcement::Task(status), Some(store)) = (&what, &self.store)
                        && status.state.is_terminal()
                    {
                        store.ledger().ended(status.task);
                    }
                    let tenant = match &what {
                        // Of these there are many: for nobody, nobody's.
                        Announcement::Task(_) if !watched => None,
                        what => self.tenants.of(what, &self.cluster),
                    };
                    if watched {
                        self.happenings.tell(Happening { time_ms, what: What::Said(what), tenant });
                    }
                }
                Effect::AnnounceQueued(news) if watched => {
                    let tenant = self.tenants.of_task(news.allocation(), &self.cluster);
                    self.happenings.tell(Happening { time_ms, what: What::Queued(news), tenant });
                }
                Effect::AnnounceQueued(_) => {}
            }
        }
        if let Some(traces) = &mut self.traces {
            traces.end_batch();
        }
        self.peers.let_out(&mut self.cut_off);
        // Behind what was decided before: a session that was replaced hears of that, and not that it is unknown.
        for (session, why) in self.refused.drain(..) {
            self.peers.fail(session, why);
        }
    }
}

/// Whether a session hears by it that a task of its was not launched.
fn is_refusal(effect: &Effect, session: SessionId) -> bool {
    let is_bad = |state| matches!(state, TaskState::Dropped | TaskState::Error);
    match effect {
        Effect::ToFramework(to, FrameworkEvent::Update(status)) => *to == session && is_bad(status.state),
        Effect::ToFramework(to, FrameworkEvent::Queue(update)) => {
            *to == session && update.ended.iter().any(|end| is_bad(end.ending.state))
        }
        _ => false,
    }
}
