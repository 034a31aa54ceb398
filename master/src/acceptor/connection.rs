//! One connection, and who is at its other end.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use haggle_core::AgentId;
use haggle_tls::{Fingerprint, LetIn, Strangers, Visit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Sleep, sleep};

use super::Secured;
use super::stream::Stream;
use crate::limits::{Counted, Seat, Source, Valve};

/// Bytes that are read of one connection before others have their turn: some hundred microseconds.
const TURN: usize = 64 << 10;

/// Who is at the other end of a connection, as far as the connection tells. An extension of every request.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    /// The agent that its certificate names.
    pub(crate) agent: Option<AgentId>,
    /// Which authority of the cluster has signed that certificate.
    pub(crate) signer: Option<Signer>,
    /// For whom the connection is counted.
    pub(crate) counted: Counted,
    /// Hears that somebody was let in on it.
    pub(crate) let_in: LetIn,
    /// The place that it takes then.
    pub(crate) seat: Seat,
    /// When more of it may be read.
    pub(crate) valve: Valve,
}

/// Who has signed the certificate of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) authority: Fingerprint,
    pub(crate) secured: watch::Receiver<Secured>,
}

impl Signer {
    /// Whether that one is still believed: the connection may outlive it.
    pub(crate) fn is_believed(&self) -> bool {
        self.secured.borrow().authorities.believed().any(|believed| believed.fingerprint() == self.authority)
    }
}

/// A connection that holds its place among all of them.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Visit<Stream>,
    remote: Remote,
    /// Until more may be read.
    rest: Option<Pin<Box<Sleep>>>,
    /// What was read since others had their turn.
    in_turn: usize,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(context));
                self.rest = None;
            }
            let wait = self.remote.valve.wait(Instant::now());
            if wait.is_zero() {
                return Poll::Ready(());
            }
            self.rest = Some(Box::pin(sleep(wait)));
        }
    }
}

/// A connection that may be used, and on which nobody has been let in yet.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) stream: Stream,
    pub(super) address: SocketAddr,
    /// The agent that its certificate names.
    pub(super) agent: Option<AgentId>,
    /// Who has signed that.
    pub(super) signer: Option<Signer>,
    pub(super) place: OwnedSemaphorePermit,
}

impl Finished {
    /// It is served from now on.
    pub(super) fn watched(self, strangers: &mut Strangers<Source>) -> Connection {
        let Self { stream, address, agent, signer, place } = self;
        let stream = strangers.watch(Source::of(address.ip()), stream);
        let (counted, let_in, seat) = (Counted::default(), stream.let_in(), Seat::default());
        let remote = Remote { address, agent, signer, counted, let_in, seat, valve: Valve::default() };
        Connection { stream, remote, rest: None, in_turn: 0, _place: place }
    }
}

impl Connection {
    /// Who is at its other end.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context));
        if self.in_turn >= TURN {
            self.in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if read.is_pending() {
            self.in_turn = 0;
        }
        let bytes = into.filled().len() - before;
        if bytes > 0 {
            self.in_turn += bytes;
            self.remote.valve.took(Instant::now(), bytes);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
