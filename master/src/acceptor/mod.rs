//! Connections as they come in: so many at once, those in TLS only when their handshake is over, and none of them held
//! back to fill a packet.

mod complaints;
mod connection;
mod places;
mod stream;
mod unfinished;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use futures_util::Stream as Sequence;
use futures_util::stream::unfold;
use haggle_tls::{Authorities, StrangerBounds, Strangers, agent_of};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::limits::{Door, LOBBY, Source};

use complaints::Complaints;
use connection::Finished;
use stream::Stream;
use unfinished::Unfinished;

pub(crate) use connection::{Connection, Remote, Signer};
pub(crate) use places::given;

/// How long to wait when the system has no descriptor left. Without, accepting would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// What strangers may hold before anybody knows who they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a handshake may take. An honest one over a slow line takes a second.
    pub(crate) handshake: Duration,
    /// Handshakes at once, in all. When there are more, the oldest is given up: it is the slowest.
    pub(crate) unfinished: usize,
    /// Handshakes at once from one address. More are turned away, so that one address never fills the rest.
    pub(crate) from_one: usize,
    /// Connections whose handshakes are over, or that have none, and on which nobody was let in yet.
    pub(crate) strangers: StrangerBounds,
    /// All connections at once; more wait to be accepted.
    pub(crate) all: usize,
}

impl Limits {
    /// As they are with so many connections in all.
    pub(crate) fn of(all: usize) -> Self {
        Self {
            handshake: Duration::from_secs(5),
            unfinished: 1_000,
            from_one: 64,
            // Whoever may come in asks for something at once. Many agents may share one address, behind NAT.
            strangers: StrangerBounds { all: LOBBY, from_one: LOBBY / 2, within: Duration::from_secs(30) },
            all,
        }
    }
}

/// How connections are secured.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    pub(crate) config: Arc<ServerConfig>,
    /// Of the cluster whose agents are known by their certificates.
    pub(crate) authorities: Arc<Authorities>,
}

/// Accepts for as long as it is polled; with `secured` in TLS, else in plain text.
pub(crate) fn accept(
    listener: TcpListener,
    secured: Option<watch::Receiver<Secured>>,
    limits: Limits,
    door: Door,
) -> impl Sequence<Item = io::Result<Connection>> {
    let acceptor = Acceptor {
        listener,
        room: Arc::new(Semaphore::new(limits.all)),
        secured,
        limits,
        handshakes: JoinSet::new(),
        unfinished: Unfinished::new(limits.unfinished, limits.from_one),
        strangers: Strangers::new(limits.strangers, door.strangers.clone()),
        complaints: Complaints::default(),
        door,
    };
    unfold(acceptor, |mut acceptor| async move { Some((acceptor.next().await, acceptor)) })
}

/// What a handshake with this address came to.
type Outcome = (SocketAddr, Result<Finished, Stranger>);

struct Acceptor {
    listener: TcpListener,
    room: Arc<Semaphore>,
    secured: Option<watch::Receiver<Secured>>,
    limits: Limits,
    handshakes: JoinSet<Outcome>,
    unfinished: Unfinished<Id, AbortHandle>,
    strangers: Strangers<Source>,
    complaints: Complaints,
    door: Door,
}

impl Acceptor {
    async fn next(&mut self) -> io::Result<Connection> {
        loop {
            tokio::select! {
                Some(outcome) = self.handshakes.join_next_with_id() => {
                    if let Some(finished) = self.shaken(outcome) {
                        return Ok(finished.watched(&mut self.strangers));
                    }
                }
                (stream, address, place) = dialled(&self.listener, &self.room) => {
                    // Messages are small, and somebody waits for each.
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!("{address} has gone already: {error}");
                        continue;
                    }
                    match self.secured.clone() {
                        None => {
                            let stream = Stream::Plain(stream);
                            let finished = Finished { stream, address, agent: None, signer: None, place };
                            return Ok(finished.watched(&mut self.strangers));
                        }
                        Some(secured) => self.shake(stream, address, place, secured),
                    }
                }
            }
        }
    }

    /// Begins a handshake, unless its address has too many.
    fn shake(
        &mut self,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        secured: watch::Receiver<Secured>,
    ) {
        let source = Source::of(address.ip());
        if !self.unfinished.has_room(source) {
            self.door.turned_away.fetch_add(1, Ordering::Relaxed);
            let max = self.limits.from_one;
            self.complaints.say(
                Instant::now(),
                format_args!(
                    "closed a connection from {}: {max} from there have not finished their TLS handshakes",
                    address.ip()
                ),
            );
            return;
        }
        let within = self.limits.handshake;
        let task = self.handshakes.spawn(async move {
            let outcome = timeout(within, handshake(stream, address, place, secured)).await;
            (address, outcome.unwrap_or(Err(Stranger::Slow(within))))
        });
        if let Some(slowest) = self.unfinished.insert(task.id(), source, task) {
            self.door.turned_away.fetch_add(1, Ordering::Relaxed);
            slowest.abort();
        }
    }

    /// The connection of a handshake that has ended, if it ended well.
    fn shaken(&mut self, outcome: Result<(Id, Outcome), JoinError>) -> Option<Finished> {
        match outcome {
            Ok((id, (address, outcome))) => {
                self.unfinished.remove(&id);
                outcome
                    .inspect_err(|stranger| {
                        self.complaints
                            .say(Instant::now(), format_args!("closed a connection from {address}: {stranger}"));
                    })
                    .ok()
            }
            // Given up for a later one.
            Err(error) => {
                self.unfinished.remove(&error.id());
                None
            }
        }
    }
}

/// The next connection, with its place among all of them.
async fn dialled(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(room).acquire_owned().await.expect("the room is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    changing: watch::Receiver<Secured>,
) -> Result<Finished, Stranger> {
    /// What every connection in TLS begins with.
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) => return Err(Stranger::Silent),
        Ok(_) if first[0] != HANDSHAKE => return Err(Stranger::Plain),
        Ok(_) => {}
        Err(error) => return Err(Stranger::Broken(error)),
    }
    // As it is at the moment: the authority may change.
    let secured = changing.borrow().clone();
    let stream = match TlsAcceptor::from(secured.config).accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            let_hear(stream).await;
            return Err(Stranger::Broken(error));
        }
    };
    let shown = stream.get_ref().1.peer_certificates();
    let agent = agent_of(shown, secured.authorities.current().cluster());
    let certificate = agent.and(shown).and_then(<[_]>::first);
    let authority = certificate.and_then(|certificate| secured.authorities.signer(certificate, SystemTime::now()));
    let signer = authority.map(|authority| Signer { authority, secured: changing });
    Ok(Finished { stream: Stream::Secured(Box::new(stream)), address, agent, signer, place })
}

/// Lets the other end hear why its handshake failed, which was written already: a connection that is closed while something
/// unread waits on it is reset, and what was written with it.
async fn let_hear(mut stream: TcpStream) {
    /// Above what a client says before it listens.
    const UNREAD_MAX: u64 = 64 << 10;
    if stream.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut stream.take(UNREAD_MAX), &mut tokio::io::sink()).await;
    }
}

/// Why a connection is closed before anything was asked on it.
#[derive(Debug, thiserror::Error)]
enum Stranger {
    #[error(
        "it speaks plain text, and this port speaks TLS alone: its user needs a token of this cluster (haggle login)"
    )]
    Plain,
    #[error("its TLS handshake was not over within {0:?}")]
    Slow(Duration),
    #[error("it said nothing")]
    Silent,
    #[error("its TLS handshake failed: {0}")]
    Broken(io::Error),
}

#[cfg(test)]
mod tests;
