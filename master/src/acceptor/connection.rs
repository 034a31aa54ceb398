//! One connection, and who is at its other end.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use haggle_core::AgentId;
use haggle_tls::{Fingerprint, LetIn, Strangers, Visit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::transport::server::Connected;

use super::Secured;
use super::stream::Stream;
use crate::limits::{Counted, Seat, Source};

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
    _place: OwnedSemaphorePermit,
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
        let remote = Remote { address, agent, signer, counted, let_in, seat };
        Connection { stream, remote, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Remote;

    fn connect_info(&self) -> Remote {
        self.remote.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
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
