//! Connections as they come in: so many at once, those in TLS only when their handshake is over, and none of them held
//! back to fill a packet.

mod complaints;
mod connection;
mod places;
mod stream;
mod turns;
mod unfinished;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use futures_util::Stream as Sequence;
use futures_util::stream::unfold;
use haggle_tls::{Authorities, StrangerBounds, Strangers, agent_of};
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::limits::{Door, HANDSHAKES, HANDSHAKES_OF_ONE, LOBBY, Source};

use complaints::Complaints;
use connection::Finished;
use stream::Stream;
use turns::Turns;
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
    /// Handshakes at once from one address, those among them that wait for their turn. More are turned away, so that one
    /// address never fills the rest.
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
            unfinished: HANDSHAKES,
            from_one: HANDSHAKES_OF_ONE,
            // Whoever may come in asks for something at once. Many agents may share one address, behind NAT.
            strangers: StrangerBounds { all: LOBBY, from_one: LOBBY / 2, within: Duration::from_secs(30) },
            all,
        }
    }
}

/// How a machine that has gone is noticed while nobody has anything to say to it. On HTTP/2 the master asks for more than that.
const SIGN_OF_LIFE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5)).with_retries(3);

/// How connections are secured.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    pub(crate) config: Arc<ServerConfig>,
    /// Of the cluster whose agents are known by their certificates.
    pub(crate) authorities: Arc<Authorities>,
}

/// Connections that wait to be served. Whoever serves them does so at once.
const WAITING: usize = 64;

/// Resolves, to an error, when the port is nobody's any more.
pub(crate) type Closed = oneshot::Receiver<Infallible>;

/// Accepts until nobody takes them any more; with `secured` in TLS, else in plain text.
///
/// What strangers do costs time before anybody knows who they are. So it is done by a thread of its own, behind everybody whose
/// connection is there. What comes second resolves when that has ended, and nobody listens any more.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn accept(
    listener: TcpListener,
    secured: Option<watch::Receiver<Secured>>,
    limits: Limits,
    door: Door,
) -> io::Result<(impl Sequence<Item = io::Result<Connection>>, Closed)> {
    let mut acceptor = Acceptor {
        listener,
        room: Arc::new(Semaphore::new(limits.all)),
        secured,
        limits,
        handshakes: JoinSet::new(),
        unfinished: Unfinished::new(limits.unfinished, limits.from_one, door.handshakes.clone()),
        turns: Arc::default(),
        strangers: Strangers::new(limits.strangers, door.strangers.clone()),
        complaints: Complaints::default(),
        door,
        inside: Handle::current(),
    };
    let outside = runtime::Builder::new_current_thread().enable_time().build()?;
    let (let_in, accepted) = mpsc::channel::<io::Result<Connection>>(WAITING);
    let (open, closed) = oneshot::channel();
    thread::Builder::new().name("haggle-door".to_owned()).spawn(move || {
        step_back();
        // Goes last, with the thread.
        let _open: oneshot::Sender<Infallible> = open;
        outside.block_on(async move {
            loop {
                let next = tokio::select! {
                    next = acceptor.next() => next,
                    () = let_in.closed() => return,
                };
                if let_in.send(Ok(next)).await.is_err() {
                    return;
                }
            }
        });
    })?;
    let connections = unfold(accepted, |mut accepted| async { Some((accepted.recv().await?, accepted)) });
    Ok((connections, closed))
}

/// This thread runs when those of everybody who is known leave it time, and a little beside them. Elsewhere than on Linux that is
/// said of whole processes alone.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        /// A tenth of what others have.
        const BEHIND: i32 = 10;
        if let Err(error) = rustix::process::nice(BEHIND) {
            debug!("strangers are served as quickly as everybody: {error}");
        }
    }
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
    turns: Arc<Mutex<Turns>>,
    strangers: Strangers<Source>,
    complaints: Complaints,
    door: Door,
    /// Where connections are served. Their sockets and timers belong there.
    inside: Handle,
}

impl Acceptor {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(outcome) = self.handshakes.join_next_with_id() => {
                    if let Some(finished) = self.shaken(outcome) {
                        return self.hand_over(finished);
                    }
                }
                (stream, address, place) = dialled(&self.listener, &self.room, &self.inside) => {
                    // Messages are small, and somebody waits for each.
                    if let Err(error) = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&SIGN_OF_LIFE)) {
                        debug!("{address} has gone already: {error}");
                        continue;
                    }
                    match self.secured.clone() {
                        None => {
                            let stream = Stream::Plain(stream);
                            return self.hand_over(Finished { stream, address, agent: None, signer: None, place });
                        }
                        Some(secured) => self.shake(stream, address, place, secured),
                    }
                }
            }
        }
    }

    fn hand_over(&mut self, finished: Finished) -> Connection {
        let _inside = self.inside.enter();
        finished.watched(&mut self.strangers)
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
            self.door.turned_away_of_one.fetch_add(1, Ordering::Relaxed);
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
        let (within, turns) = (self.limits.handshake, Arc::clone(&self.turns));
        let task = self.handshakes.spawn(async move {
            let slow = |_| Stranger::Slow(within);
            let mut deadline = tokio::time::Instant::now() + within;
            let outcome = async {
                timeout_at(deadline, begins(&stream)).await.map_err(slow)??;
                let turn = turns.lock().unwrap_or_else(PoisonError::into_inner).next(source, Instant::now());
                if !turn.is_zero() {
                    // It is not the stranger that takes so long.
                    deadline += turn;
                    sleep(turn).await;
                }
                timeout_at(deadline, handshake(stream, address, place, secured)).await.map_err(slow)?
            };
            (address, outcome.await)
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
async fn dialled(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    inside: &Handle,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(room).acquire_owned().await.expect("the room is never closed");
    loop {
        let accept = poll_fn(|context| {
            let _inside = inside.enter();
            listener.poll_accept(context)
        });
        match accept.await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Waits for the first byte of a handshake.
async fn begins(stream: &TcpStream) -> Result<(), Stranger> {
    /// What every connection in TLS begins with.
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) => Err(Stranger::Silent),
        Ok(_) if first[0] != HANDSHAKE => Err(Stranger::Plain),
        Ok(_) => Ok(()),
        Err(error) => Err(Stranger::Broken(error)),
    }
}

async fn handshake(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    changing: watch::Receiver<Secured>,
) -> Result<Finished, Stranger> {
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
