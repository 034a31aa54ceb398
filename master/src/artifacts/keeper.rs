//! The way into the artifact store for whoever runs a master in its own process.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haggle_core::Digest;
use haggle_core::access::Principal;
use haggle_sources::Source;
use tonic::Status;

use super::{ArtifactError, Store};
use crate::pull::{Pulled, Puller, Stage};

/// Bytes that are hashed and written at once: as many as stay in a processor's own cache.
const AT_ONCE: usize = 64 << 10;

/// Puts artifacts into the store of a master in this process: each byte is read, hashed and written once, and goes over no
/// connection. Every call takes as long as the disk does. Clones share the store, which is there for as long as they are.
#[derive(Clone, Debug)]
pub struct Keeper {
    store: Arc<Store>,
    puller: Arc<Puller>,
}

/// Why something is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store does not take it.
    #[error("{0}")]
    Refused(String),
}

impl Keeper {
    pub(crate) fn new(store: Arc<Store>, puller: Arc<Puller>) -> Self {
        Self { store, puller }
    }

    /// Fetches an artifact from where it is, and tells each time how many bytes have come of how many; of 0, if that is not known.
    ///
    /// # Errors
    /// When the master may not fetch from there, nothing comes, or it is no module and was to be one.
    pub async fn pull(
        &self,
        source: Source,
        module: bool,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Pulled, NotKept> {
        let refused = |status: Status| NotKept::Refused(status.message().to_owned());
        let mut stages = self.puller.pull(source, module, &Principal::owner(), None).map_err(refused)?;
        loop {
            let stage = stages.borrow_and_update().clone();
            match stage {
                Stage::Coming { got, size } => progress(got, size),
                Stage::Done(outcome) => return outcome.map_err(refused),
            }
            if stages.changed().await.is_err() {
                return Err(NotKept::Refused("a fetch ended unexpectedly; this is a bug".to_owned()));
            }
        }
    }

    /// Keeps the content of a file, and says its name.
    ///
    /// # Errors
    /// When it cannot be read, is larger than an artifact may be, or there is no room.
    pub fn keep_file(&self, path: &Path) -> Result<Digest, NotKept> {
        let unreadable = |source| NotKept::Unreadable { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut upload = self.store.begin(None, None)?;
        let mut buffer = vec![0; AT_ONCE];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(upload.finish()?.0),
                Ok(read) => upload.write(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    }

    /// Keeps these bytes, and says their name.
    ///
    /// # Errors
    /// When they are more than an artifact may have, or there is no room.
    pub fn keep_bytes(&self, bytes: &[u8]) -> Result<Digest, NotKept> {
        let mut upload = self.store.begin(None, None)?;
        for piece in bytes.chunks(AT_ONCE) {
            upload.write(piece)?;
        }
        Ok(upload.finish()?.0)
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn has(&self, digest: Digest) -> Result<bool, NotKept> {
        Ok(self.store.stat(digest)?.is_some())
    }
}

impl From<ArtifactError> for NotKept {
    fn from(error: ArtifactError) -> Self {
        Self::Refused(error.to_string())
    }
}
