//! One end of a local socket, to be read by one thread and written by another.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::Stream;
use interprocess::local_socket::traits::Stream as _;

/// Clones share it; it is closed with the last one.
#[derive(Clone, Debug)]
pub struct Socket(Arc<Stream>);

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        #[cfg(target_vendor = "apple")]
        without_sigpipe(&stream);
        Self(Arc::new(stream))
    }

    /// Writes what the other side has room for now, and says how much that was.
    ///
    /// # Errors
    /// When the connection is broken.
    #[cfg(unix)]
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        use interprocess::local_socket::Stream::UdSocket;
        use rustix::net::{SendFlags, send};
        use std::os::fd::AsFd;
        #[cfg(not(target_vendor = "apple"))]
        const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        #[cfg(target_vendor = "apple")]
        const FLAGS: SendFlags = SendFlags::DONTWAIT;
        let UdSocket(socket) = &*self.0;
        match send(socket.as_fd(), bytes, FLAGS) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// Pipes have no such call: what is written to them is left to who can wait.
    #[cfg(not(unix))]
    pub(super) fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        Ok(0)
    }

    /// How long a read may wait; `None` is for ever.
    pub(super) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_recv_timeout(patience)
    }
}

/// Apple's systems know no flag of `send` for it: the socket itself is told. Our programs ignore the signal anyway; a
/// program that uses this library need not.
#[cfg(target_vendor = "apple")]
fn without_sigpipe(stream: &Stream) {
    use interprocess::local_socket::Stream::UdSocket;
    use std::os::fd::AsFd;
    let UdSocket(socket) = stream;
    if let Err(error) = rustix::net::sockopt::set_socket_nosigpipe(socket.as_fd(), true) {
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
        (&*self.0).flush()
    }
}
