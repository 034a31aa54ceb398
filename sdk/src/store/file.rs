//! A store in a folder: a file that is appended to and synced, and a lock that the living instance holds.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::{Entry, Memory, Store, StoreError, line};

/// How often an instance that waits looks whether the one before it has died.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lines beyond those that are needed before the file is written anew: a few hundred kilobytes.
const STALE_LINES_MAX: usize = 10_000;

/// A store in a folder of its own. The process that opened it holds it until it ends, however it ends; another one waits
/// for that, and takes over. The folder must be on a file system that has locks.
#[derive(Debug)]
pub struct FileStore {
    journal: Arc<Mutex<Journal>>,
    /// Held until it is dropped.
    _lock: File,
}

impl FileStore {
    /// Opens the store in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When another instance holds it, or the folder or its file cannot be used.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let lock = lock(folder)?;
        let journal = Journal::open(folder.join("memory"))?;
        Ok(Self { journal: Arc::new(Mutex::new(journal)), _lock: lock })
    }

    /// As [`Self::open`], waiting for as long as another instance holds it.
    ///
    /// # Errors
    /// When the folder or its file cannot be used.
    pub async fn wait(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        loop {
            match Self::open(&folder) {
                Err(StoreError::Held { .. }) => sleep(LOOK_EVERY).await,
                opened => return opened,
            }
        }
    }

    /// Works on the file where waiting for the disk holds up nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let journal = Arc::clone(&self.journal);
        let work = move || work(&mut journal.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work).await.map_err(|panic| StoreError::Other(Box::new(panic)))?
    }
}

impl Store for FileStore {
    async fn load(&mut self) -> Result<Memory, StoreError> {
        self.blocking(|journal| Ok(journal.memory.clone())).await
    }

    async fn append(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.blocking(move |journal| journal.append(&entries)).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.blocking(|journal| journal.rewrite(Memory::default())).await
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let at = |source| StoreError::File { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(at)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(at)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Held { store: folder.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(at(source)),
    }
}

/// The file: one line for all entries that were added at once.
#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    memory: Memory,
    lines: usize,
    /// Its length in bytes. What lies behind it was not added in whole.
    len: u64,
    /// Whether what is in the file is not known any more.
    is_broken: bool,
}

impl Journal {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(StoreError::File { path, source }),
        };
        let memory = read(&path, &text)?;
        // Without what was not added in whole, and without what is not needed any more.
        let (file, len) =
            write_anew(&path, &memory).map_err(|source| StoreError::File { path: path.clone(), source })?;
        Ok(Self { path, file, memory, lines: 0, len, is_broken: false })
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.check()?;
        let line = line::write(entries);
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            // Half a line must not be the beginning of the next one.
            self.is_broken = self.file.set_len(self.len).is_err();
            return Err(self.error(source));
        }
        if let Err(source) = self.file.sync_data() {
            self.is_broken = true;
            return Err(self.error(source));
        }
        self.len += line.len() as u64;
        self.lines += 1;
        for entry in entries {
            self.memory.apply(entry);
        }
        if self.lines > STALE_LINES_MAX + self.memory.launched.len() {
            self.rewrite(self.memory.clone())?;
        }
        Ok(())
    }

    fn rewrite(&mut self, memory: Memory) -> Result<(), StoreError> {
        self.check()?;
        let (file, len) = write_anew(&self.path, &memory).map_err(|source| self.error(source))?;
        (self.file, self.len, self.lines, self.memory) = (file, len, 0, memory);
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        let broken = || io::Error::other("an earlier write failed, and what the file holds is not known any more");
        if self.is_broken { Err(self.error(broken())) } else { Ok(()) }
    }

    fn error(&self, source: io::Error) -> StoreError {
        StoreError::File { path: self.path.clone(), source }
    }
}

/// Reads whole lines. What follows the last of them was being written when its process died, and nobody was told that
/// it is kept.
fn read(path: &Path, text: &[u8]) -> Result<Memory, StoreError> {
    let mut memory = Memory::default();
    for (at, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let entries = std::str::from_utf8(line).ok().and_then(line::read).ok_or_else(|| StoreError::Damaged {
            path: path.to_owned(),
            line: at + 1,
            text: String::from_utf8_lossy(line).into_owned(),
        })?;
        for entry in &entries {
            memory.apply(entry);
        }
    }
    Ok(memory)
}

/// Puts a new file in place of the old one, or leaves the old one as it is.
fn write_anew(path: &Path, memory: &Memory) -> io::Result<(File, u64)> {
    let text = line::write_memory(memory);
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    #[cfg(unix)]
    File::open(path.parent().unwrap_or(path))?.sync_all()?;
    Ok((file, text.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Launched;
    use haggle_core::{AgentId, ClusterId, FrameworkId, Member};

    const MEMBER: Member<FrameworkId> = Member { cluster: ClusterId(7), id: FrameworkId(3) };

    fn launched(number: u64, name: &str) -> Entry {
        Entry::Launched { number, launched: Launched { agent: AgentId(2), name: name.to_owned() } }
    }

    fn remembered(folder: &Path) -> Memory {
        FileStore::open(folder).unwrap().journal.lock().unwrap().memory.clone()
    }

    #[tokio::test]
    async fn what_was_added_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        store.append(vec![Entry::Joined(MEMBER)]).await.unwrap();
        store.append(vec![launched(1, "one"), launched(2, "tab\tline\nback\\slash")]).await.unwrap();
        store.append(vec![Entry::Ended { number: 1 }, Entry::Noted("1 done".to_owned())]).await.unwrap();
        let kept = store.load().await.unwrap();
        drop(store);

        let memory = remembered(folder.path());

        assert_eq!(memory, kept);
        assert_eq!((memory.member, memory.last_number, memory.note.as_str()), (Some(MEMBER), 2, "1 done"));
        assert_eq!(memory.launched[&2].name, "tab\tline\nback\\slash");
        assert_eq!(memory.launched.len(), 1);
        // Numbers are not given twice, even when the launch with the highest one has ended.
        assert_eq!(remembered(folder.path()), memory);
    }

    #[tokio::test]
    async fn a_line_that_was_being_written_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        store.append(vec![launched(1, "one")]).await.unwrap();
        drop(store);
        let path = folder.path().join("memory");
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend_from_slice(line::write(&[Entry::Ended { number: 1 }, launched(2, "two")]).trim_end().as_bytes());
        std::fs::write(&path, torn).unwrap();

        let memory = remembered(folder.path());

        assert_eq!((memory.last_number, memory.launched.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_second_instance_takes_over_when_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = FileStore::open(folder.path()).unwrap();
        assert!(matches!(FileStore::open(folder.path()), Err(StoreError::Held { .. })));
        let second = tokio::spawn(FileStore::wait(folder.path().to_owned()));

        drop(first);

        second.await.unwrap().unwrap();
    }

    #[test]
    fn a_file_of_another_kind_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("memory"), "hello\n").unwrap();

        let error = FileStore::open(folder.path()).unwrap_err();

        assert!(error.to_string().ends_with("is damaged in line 1: \"hello\""), "{error}");
        assert_eq!(std::fs::read(folder.path().join("memory")).unwrap(), b"hello\n");
    }

    #[tokio::test]
    async fn a_long_life_leaves_a_short_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path().join("memory")).unwrap();
        journal.lines = STALE_LINES_MAX;

        journal.append(&[launched(1, "one"), Entry::Ended { number: 1 }]).unwrap();

        assert_eq!(std::fs::read_to_string(&journal.path).unwrap(), "last 1\n");
    }
}
