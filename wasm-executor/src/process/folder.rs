//! The folder of one executor's process: what is where, and whether somebody lives there.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, Listener, ListenerOptions, Name};

use super::socket::Socket;

/// Bytes of a log's end in which its last line is looked for.
const LAST_LINE_MAX: u64 = 1024;

/// How long to wait between two looks for a socket that is about to be there.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// An executor's folder. Nobody but this user can enter it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder(PathBuf);

impl Folder {
    /// An existing one.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes it, private and empty.
    ///
    /// # Errors
    /// When it is there already, or the disk refuses.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = Self(path.into());
        private(&folder.0)?;
        private(&folder.scratch())?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the scratch folders of its tasks are.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    /// What the process says to people.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// Claims it for this process, for as long as the file is open.
    ///
    /// # Errors
    /// When another process has it.
    pub(super) fn claim(&self) -> io::Result<File> {
        let mut file = File::options().write(true).create(true).truncate(false).open(self.lock())?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                Ok(file)
            }
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::AddrInUse, "another executor lives in this folder"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a process has claimed it.
    pub fn is_claimed(&self) -> bool {
        File::open(self.lock()).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The process that claimed it last.
    pub(super) fn owner(&self) -> Option<u32> {
        fs::read_to_string(self.lock()).ok()?.parse().ok()
    }

    /// Removes it with everything in it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes everything in it. A process may not remove its own folder, which lies among those of others.
    pub(super) fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
        Ok(())
    }

    /// The last line of its log that tells of something unusual; empty when there is none.
    pub fn last_words(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.log())?;
            let start = file.metadata()?.len().saturating_sub(LAST_LINE_MAX);
            file.seek(SeekFrom::Start(start))?;
            let mut end = Vec::new();
            file.take(LAST_LINE_MAX).read_to_end(&mut end)?;
            Ok(end)
        };
        let end = read().unwrap_or_default();
        let end = String::from_utf8_lossy(&end);
        let tells = |line: &&str| !line.is_empty() && !line.contains(" INFO ");
        end.lines().map(str::trim).rfind(tells).unwrap_or_default().to_owned()
    }

    /// Listens in the folder that this process is in.
    pub(super) fn listen() -> io::Result<Listener> {
        ListenerOptions::new().name(name(Path::new("socket"))?).reclaim_name(false).create_sync()
    }

    /// Connects to the process that listens there. Waits for one that is about to, as long as `alive` says that it
    /// lives, but not beyond the deadline.
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) fn connect(&self, deadline: Instant, mut alive: impl FnMut() -> bool) -> io::Result<Socket> {
        loop {
            match self.try_connect() {
                Err(error) if Instant::now() >= deadline || !alive() => return Err(error),
                Err(_) => std::thread::sleep(LOOK_AGAIN),
                connected => return connected,
            }
        }
    }

    /// A socket's name has a hundred bytes or so, a path any number: a link at a short path leads to the same.
    #[cfg(unix)]
    fn try_connect(&self) -> io::Result<Socket> {
        let socket = self.socket();
        if socket.as_os_str().len() <= SOCKET_NAME_MAX {
            return connect(&socket);
        }
        let link = Link::to(&self.0)?;
        connect(&link.path().join("socket"))
    }

    #[cfg(not(unix))]
    fn try_connect(&self) -> io::Result<Socket> {
        connect(&self.socket())
    }
}

fn connect(socket: &Path) -> io::Result<Socket> {
    ConnectOptions::new().name(name(socket)?).connect_sync().map(Socket::new)
}

/// Bytes of a socket's name that every system takes: macOS has 103, Linux 107.
#[cfg(unix)]
const SOCKET_NAME_MAX: usize = 100;

/// A link at a short path, in a folder that is nobody else's. Removed when it is dropped.
#[cfg(unix)]
struct Link(PathBuf);

#[cfg(unix)]
impl Link {
    fn to(folder: &Path) -> io::Result<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static LINKS: AtomicU64 = AtomicU64::new(0);
        let made = loop {
            let number = LINKS.fetch_add(1, Ordering::Relaxed);
            let place = std::env::temp_dir().join(format!("haggle-{}-{number}", std::process::id()));
            match private(&place) {
                // Left behind by a process of the same id, or put there by somebody else.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => break made.map(|()| Self(place))?,
            }
        };
        std::os::unix::fs::symlink(std::path::absolute(folder)?, made.path())?;
        Ok(made)
    }

    fn path(&self) -> PathBuf {
        self.0.join("x")
    }
}

#[cfg(unix)]
impl Drop for Link {
    fn drop(&mut self) {
        let removed = match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_dir(&self.0),
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a link to a socket");
        }
    }
}

#[cfg(unix)]
fn name(path: &Path) -> io::Result<Name<'_>> {
    path.to_fs_name::<interprocess::local_socket::GenericFilePath>()
}

/// Pipes have a space of names of their own, in which the folder's path is as good a name as any.
#[cfg(not(unix))]
fn name(path: &Path) -> io::Result<Name<'_>> {
    let name = std::path::absolute(path)?.to_string_lossy().replace(['\\', '/', ':'], "-");
    name.to_ns_name::<interprocess::local_socket::GenericNamespaced>()
}

fn private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (Folder, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Folder::create(dir.path().join("1-1")).unwrap(), dir)
    }

    #[test]
    #[cfg(unix)]
    fn nobody_else_can_enter_it() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, _dir) = folder();

        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Folder::create(folder.path()).is_err(), "it is made once");
    }

    #[test]
    #[cfg(unix)]
    fn a_path_that_is_no_name_for_a_socket_leads_to_it_all_the_same() {
        let (folder, dir) = folder();
        let _listener = ListenerOptions::new().name(name(&folder.socket()).unwrap()).create_sync().unwrap();
        let long = dir.path().join("x".repeat(150));
        fs::rename(folder.path(), &long).unwrap();

        let connected = Folder::at(long).connect(Instant::now(), || true);

        assert!(connected.is_ok(), "{connected:?}");
    }

    #[test]
    fn one_process_at_a_time_lives_in_it() {
        let (folder, _dir) = folder();
        assert!(!folder.is_claimed());

        let claim = folder.claim().unwrap();

        assert!(folder.is_claimed());
        assert!(folder.claim().is_err());
        assert_eq!(folder.owner(), Some(std::process::id()));
        drop(claim);
        assert!(!folder.is_claimed());
    }

    #[test]
    fn its_last_words_are_the_last_line_of_its_log_that_is_news() {
        let (folder, _dir) = folder();
        assert_eq!(folder.last_words(), "");

        fs::write(folder.log(), format!("{}\nthe end\nnow  INFO all is well\n\n", "x".repeat(5000))).unwrap();

        assert_eq!(folder.last_words(), "the end");
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_live() {
        let (folder, _dir) = folder();

        assert!(folder.connect(Instant::now() + Duration::from_secs(60), || false).is_err());
    }
}
