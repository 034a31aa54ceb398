//! Sockets with a path.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendFlags, send};

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
        self.0.accept().map(|(stream, _)| Socket(Arc::new(stream)))
    }
}

/// Connects to who listens at this path.
#[cfg(not(target_os = "linux"))]
pub(in crate::process) fn connect(path: &Path) -> io::Result<Socket> {
    UnixStream::connect(path).map(|stream| Socket(Arc::new(stream)))
}

/// A socket's path has 107 bytes at most, a folder's any number: a descriptor of the folder is as good as its path.
#[cfg(target_os = "linux")]
pub(in crate::process) fn connect(path: &Path) -> io::Result<Socket> {
    use std::os::fd::AsRawFd;
    let connected = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.as_os_str().len() >= 100 => {
            let folder = std::fs::File::open(folder)?;
            UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
        }
        _ => UnixStream::connect(path),
    };
    connected.map(|stream| Socket(Arc::new(stream)))
}

impl Socket {
    /// Writes what the other side has room for now, and says how much that was.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(in crate::process) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match send(self.0.as_fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// How long a read may wait; `None` is for ever.
    pub(in crate::process) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)
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
