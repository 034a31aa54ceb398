//! Modules and input files, kept on disk under the name of their SHA-256.

mod keeper;
mod ledger;
mod origins;
mod shelf;
mod upload;
mod uploaders;

use std::collections::HashMap;
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haggle_core::access::PrincipalId;
use haggle_core::{Bytes, Digest};
use tempfile::TempDir;

use crate::config::ArtifactLimits;
use crate::limits::{Limit, Over, Shared};

pub use keeper::{Keeper, NotKept};
pub(crate) use ledger::Ledger;
pub(crate) use shelf::{Freed, Standing};
pub(crate) use upload::Upload;
pub(crate) use uploaders::Uploader;

use shelf::{Shelf, Shelved};

/// Why an artifact is not kept or not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    /// It has other bytes than were announced.
    #[error("the artifact is {got}, announced was {wanted}; it is not kept")]
    WrongDigest { wanted: Digest, got: Digest },
    /// It alone is too large.
    #[error("the artifact is larger than the {limit} that one may have")]
    TooLarge { limit: Bytes },
    /// All of them together are too large.
    #[error("the artifact store is full: it holds {used} of {limit}")]
    StoreFull { used: Bytes, limit: Bytes },
    /// A task needs it.
    #[error("{digest} is not removed: {}", needed_by(.tasks))]
    Needed { digest: Digest, tasks: Option<u64> },
    /// Who brings it has brought too much.
    #[error(transparent)]
    OverLimit(#[from] Over),
    /// Too many have brought it.
    #[error("{limit} principals have brought {digest}, more are not remembered: share one token's name among them")]
    TooManyUploaders { digest: Digest, limit: usize },
    /// The disk below is full.
    #[error("the master's disk is full: {0}")]
    DiskFull(io::Error),
    /// The disk below fails.
    #[error("the artifact store fails: {0}")]
    Disk(io::Error),
}

impl From<io::Error> for ArtifactError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull(error)
            }
            _ => Self::Disk(error),
        }
    }
}

/// The store. Everything here blocks on the disk.
///
/// A file below `sha256` is whole and has the digest of its name: it is written under `partial`, and moved when
/// it was verified. A file below `uploaders` has its name, and holds the principals that have brought it; below `origins`, where it was fetched from.
#[derive(Debug)]
pub(crate) struct Store {
    kept: PathBuf,
    partial: PathBuf,
    uploaders: PathBuf,
    origins: PathBuf,
    limits: ArtifactLimits,
    ledger: Arc<Ledger>,
    /// What was let go and the other masters were not told of yet.
    gone: Mutex<Vec<Digest>>,
    /// Whether artifacts outlive the master, and so a power cut.
    durable: bool,
    used: Mutex<Used>,
    /// How often there was no room for more.
    full: AtomicU64,
    /// Removes a temporary store when it is dropped.
    _temporary: Option<TempDir>,
}

impl Store {
    /// Opens the store in `folder`, which is made if need be; without one, in a temporary folder of its own.
    /// What was left half done there is removed: nobody else may use the folder.
    pub(crate) fn open(folder: Option<&Path>, limits: ArtifactLimits) -> io::Result<Self> {
        match folder {
            Some(folder) => Self::open_in(folder, None, limits, true),
            None => {
                let temporary = TempDir::with_prefix("haggle-artifacts-")?;
                let folder = temporary.path().to_owned();
                Self::open_in(&folder, Some(temporary), limits, false)
            }
        }
    }

    /// Opens it in a folder that somebody else removes when the master is gone.
    pub(crate) fn open_transient(folder: &Path, limits: ArtifactLimits) -> io::Result<Self> {
        Self::open_in(folder, None, limits, false)
    }

    fn open_in(folder: &Path, temporary: Option<TempDir>, limits: ArtifactLimits, durable: bool) -> io::Result<Self> {
        let [kept, partial, uploaders, origins] =
            ["sha256", "partial", "uploaders", "origins"].map(|name| folder.join(name));
        for folder in [&kept, &partial, &uploaders, &origins] {
            fs::create_dir_all(folder)?;
        }
        for left_over in fs::read_dir(&partial)? {
            fs::remove_file(left_over?.path())?;
        }
        let store = Self {
            kept,
            partial,
            uploaders,
            origins,
            limits,
            ledger: Arc::default(),
            gone: Mutex::default(),
            durable,
            used: Mutex::default(),
            full: AtomicU64::default(),
            _temporary: temporary,
        };
        *store.used() = store.count()?;
        Ok(store)
    }

    /// Begins to store an artifact; with `expected`, only one with that digest. `uploader` has brought it in the end; `None`
    /// when nobody knows who did.
    pub(crate) fn begin(
        self: &Arc<Self>,
        expected: Option<Digest>,
        uploader: Option<Uploader>,
    ) -> Result<Upload, ArtifactError> {
        Upload::begin(Arc::clone(self), expected, uploader, true)
    }

    /// Begins to store a copy of what another master has. Nothing is let go for its sake.
    pub(crate) fn begin_copy(self: &Arc<Self>, digest: Digest) -> Result<Upload, ArtifactError> {
        Upload::begin(Arc::clone(self), Some(digest), None, false)
    }

    /// What tasks need.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// How much there may be.
    pub(crate) fn limits(&self) -> ArtifactLimits {
        self.limits
    }

    /// The size of an artifact in bytes; `None` when it is not here.
    pub(crate) fn stat(&self, digest: Digest) -> Result<Option<u64>, ArtifactError> {
        self.use_now(&[digest]);
        self.note_uses();
        self.size(digest)
    }

    fn size(&self, digest: Digest) -> Result<Option<u64>, ArtifactError> {
        match fs::metadata(self.path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All that are here.
    pub(crate) fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.kept)? {
            digests.extend(digest_of(&entry?));
        }
        Ok(digests)
    }

    /// An artifact, to be read from its start; `None` when it is not here.
    pub(crate) fn read(&self, digest: Digest) -> Result<Option<File>, ArtifactError> {
        self.use_now(&[digest]);
        match File::open(self.path(digest)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Bytes kept, or on their way, that this principal has brought.
    pub(crate) fn brought(&self, who: &PrincipalId) -> u64 {
        self.used().brought.get(who).copied().unwrap_or(0)
    }

    /// How full it is.
    pub(crate) fn report(&self) -> Shared {
        Shared {
            name: "artifact-bytes",
            what: "bytes of all artifacts that are kept",
            most: self.limits.total.get(),
            has: self.used().all,
            refused: self.full.load(Ordering::Relaxed),
            in_bytes: true,
        }
    }

    /// Holds those that are whole, under the hexadecimal names of their digests.
    pub(crate) fn kept(&self) -> &Path {
        &self.kept
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.kept.join(digest.hex())
    }

    /// Counts what is kept, and for whom.
    fn count(&self) -> io::Result<Used> {
        let mut used = Used::default();
        for entry in fs::read_dir(&self.kept)? {
            let entry = entry?;
            let Some(digest) = digest_of(&entry) else { continue };
            let shelved = Shelved::of_file(&entry.metadata()?);
            let size = shelved.size;
            used.all += size;
            used.shelf.insert(digest, shelved);
            for who in self.uploaders(digest)? {
                *used.brought.entry(who).or_default() += size;
            }
        }
        Ok(used)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes kept, and bytes of uploads under way.
#[derive(Debug, Default)]
struct Used {
    all: u64,
    /// By who has brought or brings them: of what several have brought, each has all. No name of nothing.
    brought: HashMap<PrincipalId, u64>,
    shelf: Shelf,
}

impl Used {
    /// Counts more bytes as somebody's.
    fn take(&mut self, uploader: &Uploader, more: u64) -> Result<(), Over> {
        let brought = self.brought.get(&uploader.id).copied().unwrap_or_default();
        if let Some(most) = uploader.most.filter(|most| brought + more > *most) {
            let who = format!("{:?} ({})", uploader.id.name, uploader.id.kind.word());
            return Err(Over { who, limit: Limit::UploadBytes, most, has: brought, after: None });
        }
        self.brought.insert(uploader.id.clone(), brought + more);
        Ok(())
    }

    fn give_back(&mut self, who: &PrincipalId, bytes: u64) {
        if let Some(brought) = self.brought.get_mut(who) {
            *brought -= bytes;
            if *brought == 0 {
                self.brought.remove(who);
            }
        }
    }
}

fn needed_by(tasks: &Option<u64>) -> String {
    match tasks {
        Some(1) => "a task needs it".to_owned(),
        Some(tasks) => format!("{tasks} tasks need it"),
        None => "what some of the tasks need is not known, there are so many".to_owned(),
    }
}

/// Which artifact a file is, if it is one.
fn digest_of(entry: &DirEntry) -> Option<Digest> {
    let name = entry.file_name();
    Digest::from_str(&format!("sha256:{}", name.to_str()?)).ok()
}

#[cfg(test)]
mod tests;
