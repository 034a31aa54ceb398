//! Sockets with a path.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::link::Link;

/// Clones share it; it is closed with the last one.
#[derive(Clone, Debug)]
pub struct Socket(Arc<UnixStream>);

/// Whom others connect to.
#[derive(Debug)]
pub(in crate::process) struct Listener(UnixListener);

impl Listener {
    /// Listens at this path, which has 107 bytes at most.
    pub(in crate::process) fn bind(path: &Path) -> io::Result<Self> {
        UnixListener::bind(path).map(Self)
    }

    /// Waits for somebody to connect.
    pub(in crate::process) fn accept(&self) -> io::Result<Socket> {
        self.0.accept().map(|(stream, _)| Socket::new(stream))
    }
}

/// Bytes of a socket's path that every system takes: macOS has 103, Linux 107.
const PATH_MAX: usize = 100;

/// Connects to who listens at this path. A folder's has any length: a link at a short path is as good.
pub(in crate::process) fn connect(path: &Path) -> io::Result<Socket> {
    let connected = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.as_os_str().len() > PATH_MAX => {
            let link = Link::to(folder)?;
            UnixStream::connect(link.path().join(name))
        }
        _ => UnixStream::connect(path),
    };
    connected.map(Socket::new)
}

impl Socket {
    fn new(stream: UnixStream) -> Self {
        #[cfg(target_vendor = "apple")]
        without_sigpipe(&stream);
        Self(Arc::new(stream))
    }

    /// Writes what the other side has room for now, and says how much that was.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(in crate::process) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(not(target_vendor = "apple"))]
        const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        #[cfg(target_vendor = "apple")]
        const FLAGS: SendFlags = SendFlags::DONTWAIT;
        match send(self.0.as_fd(), bytes, FLAGS) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// How long a read may wait; `None` is for ever.
    pub(in crate::process) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Reads a socket for a task: whoever else is on its thread does not wait.
#[derive(Debug)]
pub struct Reader(AsyncFd<Socket>);

impl Reader {
    /// # Errors
    /// When the system cannot watch it.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub(in crate::process) fn new(socket: Socket) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "a promise about a descriptor")]
        // SAFETY: the descriptor is the socket's, which is never given another one and lives as long as what watches it.
        let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self(watched?))
    }

    /// Waits for something to read. Nothing is read where the other side has hung up. May be dropped: nothing is lost.
    pub(in crate::process) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            // Others write to it, and may wait: so it is not the socket that is told not to block.
            let read = ready.try_io(|socket| Ok(recv(socket.get_ref().0.as_fd(), &mut *into, RecvFlags::DONTWAIT)?.1));
            if let Ok(read) = read {
                return read;
            }
        }
    }
}

/// Apple's systems know no flag of `send` for it: the socket itself is told. Our programs ignore the signal anyway; a
/// program that uses this library need not.
#[cfg(target_vendor = "apple")]
fn without_sigpipe(stream: &UnixStream) {
    if let Err(error) = rustix::net::sockopt::set_socket_nosigpipe(stream, true) {
        tracing::warn!(%error, "a socket may end this process when its other end is gone");
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
