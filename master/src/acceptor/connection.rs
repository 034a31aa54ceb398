//! One connection, in plain text or not, and who is at its other end.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use haggle_core::AgentId;
use haggle_tls::Fingerprint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::Secured;
use crate::limits::Counted;

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
    stream: Stream,
    remote: Remote,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    /// Its buffers make it large.
    Secured(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) -> Self {
        let remote = Remote { address, agent: None, signer: None, counted: Counted::default() };
        Self { stream: Stream::Plain(stream), remote, _place: place }
    }

    pub(super) fn secured(stream: TlsStream<TcpStream>, remote: Remote, place: OwnedSemaphorePermit) -> Self {
        Self { stream: Stream::Secured(Box::new(stream)), remote, _place: place }
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
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Secured(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, from),
            Stream::Secured(stream) => Pin::new(stream).poll_write(context, from),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Secured(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Secured(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, from),
            Stream::Secured(stream) => Pin::new(stream).poll_write_vectored(context, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Secured(stream) => stream.is_write_vectored(),
        }
    }
}
