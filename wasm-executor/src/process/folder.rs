//! The folder of one executor's process: what is where, and whether somebody lives there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::socket::{self, Listener, Socket};

/// What the process listens at, or where the name of that is.
const SOCKET: &str = "socket";

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

    /// Apart from the claim: on some systems nobody else can read a file that is locked.
    fn pid(&self) -> PathBuf {
        self.0.join("pid")
    }

    /// Claims it for this process, for as long as the file is open.
    ///
    /// # Errors
    /// When another process has it.
    pub(super) fn claim(&self) -> io::Result<File> {
        let file = File::options().write(true).create(true).truncate(false).open(self.lock())?;
        match file.try_lock() {
            Ok(()) => {
                fs::write(self.pid(), std::process::id().to_string())?;
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
        fs::read_to_string(self.pid()).ok()?.parse().ok()
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
        // Not by its whole path, which may be too long for a socket.
        Listener::bind(Path::new(SOCKET))
    }

    /// Connects to the process that listens there. Waits for one that is about to, as long as `alive` says that it
    /// lives, but not beyond the deadline.
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) fn connect(&self, deadline: Instant, mut alive: impl FnMut() -> bool) -> io::Result<Socket> {
        loop {
            match socket::connect(&self.0.join(SOCKET)) {
                Err(error) if Instant::now() >= deadline || !alive() => return Err(error),
                Err(_) => std::thread::sleep(LOOK_AGAIN),
                connected => return connected,
            }
        }
    }
}

#[cfg(unix)]
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// As private as the folder that it is made in, which Windows lets it inherit: a user's profile is the user's own.
#[cfg(windows)]
fn private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
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
