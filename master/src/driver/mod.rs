//! The one thread that owns the cluster: applies what waits, writes what must last, only then speaks.

mod peers;
mod spoken;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::mem;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_core::cluster::{Announcement, Cluster, Command, Effect, Refusal};
use haggle_core::{Now, SessionId};
use tokio::runtime;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::sleep_until;
use tonic::Status;
use tracing::{debug, enabled, error, info, warn};

use self::peers::Peers;
use self::spoken::Spoken;
use crate::clock::Clock;
use crate::error::Failure;
use crate::handle::{Handle, Happening, INPUTS, Input, Question};
use crate::registry::{Registry, RegistryError};

/// Happenings that a watcher may be behind: about half a second of a cluster that starts 5,000 tasks a second.
const HAPPENINGS: usize = 8_192;

/// Starts the driver. What it resolves to says how it ended.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn start(
    cluster: Cluster,
    registry: Registry,
    clock: Clock,
) -> io::Result<(Handle, oneshot::Receiver<Result<(), Failure>>)> {
    let (inputs, waiting) = mpsc::channel(INPUTS);
    let (happenings, _) = broadcast::channel(HAPPENINGS);
    let handle = Handle::new(inputs, happenings.downgrade());
    let (done, ended) = oneshot::channel();
    // Not one of the runtime's threads: what serves sockets must not wait for the registry's disk, and this
    // thread must not wait for what serves sockets.
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let driver = Driver::new(cluster, registry, clock, happenings);
    thread::Builder::new().name("haggle-driver".to_owned()).spawn(move || {
        let outcome = runtime.block_on(driver.run(waiting));
        // Nobody waits any more when the master was dropped without being stopped.
        let _ = done.send(outcome);
    })?;
    Ok((handle, ended))
}

struct Driver {
    cluster: Cluster,
    registry: Registry,
    clock: Clock,
    peers: Peers,
    happenings: broadcast::Sender<Happening>,
    effects: Vec<Effect>,
    /// Told after the batch is durable: an answer is an effect as well.
    answers: Vec<Question>,
    cut_off: Vec<SessionId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

impl Driver {
    fn new(cluster: Cluster, registry: Registry, clock: Clock, happenings: broadcast::Sender<Happening>) -> Self {
        Self {
            cluster,
            registry,
            clock,
            peers: Peers::default(),
            happenings,
            effects: Vec::new(),
            answers: Vec::new(),
            cut_off: Vec::new(),
        }
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Input>) -> Result<(), Failure> {
        let mut batch = Vec::with_capacity(INPUTS);
        loop {
            let deadline = self.cluster.next_deadline().and_then(|then| self.clock.instant(then));
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline.into()).await,
                    None => pending().await,
                }
            };
            let taken = tokio::select! {
                biased;
                taken = waiting.recv_many(&mut batch, INPUTS) => Some(taken),
                () = due => None,
            };
            let next = match taken {
                // Every handle is gone, and with them everyone who could be served.
                Some(0) => Ok(Next::Stop),
                _ => self.step(&mut batch),
            };
            let next = next.and_then(|next| {
                if next == Next::Stop {
                    self.registry.write(self.clock.now(), [])?;
                }
                Ok(next)
            });
            match next {
                Ok(Next::GoOn) => {}
                Ok(Next::Stop) => {
                    self.peers.fail_all(&Status::unavailable("the master is stopping"));
                    return Ok(());
                }
                Err(broken) => {
                    error!("{broken}");
                    self.peers.fail_all(&Status::unavailable("the master cannot write its registry, and ends"));
                    return Err(Failure::Registry(broken.to_string()));
                }
            }
        }
    }

    /// One batch: decide all of it, remember it, let it out.
    fn step(&mut self, batch: &mut Vec<Input>) -> Result<Next, RegistryError> {
        let now = self.clock.now();
        let mut next = Next::GoOn;
        if self.cluster.next_deadline().is_some_and(|deadline| deadline <= now) {
            // A tick is never refused.
            let _ = self.apply(now, Command::Tick);
        }
        for input in batch.drain(..) {
            match input {
                Input::Open(session, peer) => self.peers.open(session, peer),
                Input::Said(session, commands) => self.said(now, session, commands),
                Input::Ended(session) => {
                    self.peers.remove(session);
                    self.disconnect(now, session);
                }
                Input::Decide(command, verdict) => {
                    let decided = self.apply(now, command);
                    // Who asked may have gone meanwhile.
                    self.answers.push(Box::new(move |_| drop(verdict.send(decided))));
                }
                Input::Ask(question) => self.answers.push(question),
                Input::Stop => next = Next::Stop,
            }
        }
        loop {
            self.cluster.allocate(now, &mut self.effects);
            self.remember(now)?;
            self.let_out();
            if self.cut_off.is_empty() {
                break;
            }
            for session in mem::take(&mut self.cut_off) {
                warn!("{session} was cut off: it does not read what it is sent");
                self.disconnect(now, session);
            }
        }
        for answer in self.answers.drain(..) {
            answer(&self.cluster);
        }
        Ok(next)
    }

    fn said(&mut self, now: Now, session: SessionId, commands: Vec<Command>) {
        for command in commands {
            // Whoever was cut off has nothing more to say: it would speak as one that is gone.
            if !self.peers.is_open(session) {
                return;
            }
            if let Err(refusal) = self.apply(now, command) {
                self.peers.fail(session, Status::failed_precondition(refusal.to_string()));
            }
        }
    }

    fn disconnect(&mut self, now: Now, session: SessionId) {
        // A connection that is gone is never refused.
        let _ = self.apply(now, Command::Disconnected(session));
    }

    fn apply(&mut self, now: Now, command: Command) -> Result<(), Refusal> {
        if !enabled!(tracing::Level::DEBUG) {
            return self.cluster.apply(now, command, &mut self.effects);
        }
        let spoken = Spoken(&command).to_string();
        let before = self.effects.len();
        let verdict = self.cluster.apply(now, command, &mut self.effects);
        match &verdict {
            Ok(()) => debug!("{now} {spoken}: {} effects", self.effects.len() - before),
            Err(refusal) => debug!("{now} {spoken}: refused: {refusal}"),
        }
        verdict
    }

    /// Every change of the batch in one transaction; most batches have none, and touch no disk.
    fn remember(&self, now: Now) -> Result<(), RegistryError> {
        let mut changes = self.effects.iter().filter_map(|effect| match effect {
            Effect::Remember(change) => Some(change),
            _ => None,
        });
        match changes.next() {
            Some(first) => self.registry.write(now, [first].into_iter().chain(changes)),
            None => Ok(()),
        }
    }

    fn let_out(&mut self) {
        let watched = self.happenings.receiver_count() > 0;
        let time_ms = if watched { wall_clock_ms() } else { 0 };
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Remember(_) => {}
                Effect::ToFramework(session, event) => self.peers.tell_framework(session, event),
                Effect::ToAgent(session, order) => self.peers.tell_agent(session, order),
                Effect::Close(session) => self.peers.close(session),
                Effect::Announce(what) => {
                    log(&what);
                    if watched {
                        // The last watcher may have gone meanwhile.
                        let _ = self.happenings.send(Happening { time_ms, what });
                    }
                }
            }
        }
        self.peers.let_out(&mut self.cut_off);
    }
}

/// Peers come and go rarely enough to be told to operators; tasks are not.
fn log(what: &Announcement) {
    match what {
        Announcement::AgentUp(id) => info!("{id} is connected"),
        Announcement::AgentDown(id) => info!("{id} is disconnected"),
        Announcement::AgentRemoved(id) => info!("{id} is removed"),
        Announcement::FrameworkUp(id) => info!("{id} is connected"),
        Announcement::FrameworkDown(id) => info!("{id} is disconnected"),
        Announcement::FrameworkRemoved(id) => info!("{id} is removed"),
        Announcement::Task(_) => {}
    }
}

fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
