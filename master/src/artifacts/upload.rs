//! One artifact on its way in: counted, hashed and written as it comes, kept only when it is right.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use haggle_core::{Bytes, Digest};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{ArtifactError, Store};

/// Bytes under way. Dropped before [`Upload::finish`], it leaves nothing behind.
pub(crate) struct Upload {
    file: NamedTempFile,
    hash: Sha256,
    expected: Option<Digest>,
    room: Room,
}

impl Upload {
    pub(super) fn begin(store: Arc<Store>, expected: Option<Digest>) -> Result<Self, ArtifactError> {
        let file = NamedTempFile::new_in(&store.partial)?;
        Ok(Self { file, hash: Sha256::new(), expected, room: Room { store, bytes: 0 } })
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.room.take(bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    /// Keeps the artifact, and says its name and its size in bytes.
    pub(crate) fn finish(self) -> Result<(Digest, u64), ArtifactError> {
        let Self { file, hash, expected, mut room } = self;
        let digest = Digest(hash.finalize().into());
        if let Some(wanted) = expected.filter(|wanted| *wanted != digest) {
            return Err(ArtifactError::WrongDigest { wanted, got: digest });
        }
        let size = room.bytes;
        let store = Arc::clone(&room.store);
        if store.durable {
            file.as_file().sync_all()?;
        }
        {
            // Of several who bring the same at once, the first one's is kept and counted.
            let _one_at_a_time = store.used();
            if store.stat(digest)?.is_none() {
                file.persist(store.path(digest)).map_err(|failed| failed.error)?;
                room.bytes = 0;
            }
        }
        if store.durable {
            sync_folder(&store)?;
        }
        Ok((digest, size))
    }
}

/// The room that an upload takes in the store; given back when it is dropped.
struct Room {
    store: Arc<Store>,
    bytes: u64,
}

impl Room {
    fn take(&mut self, more: u64) -> Result<(), ArtifactError> {
        let limits = self.store.limits;
        if self.bytes + more > limits.single.get() {
            return Err(ArtifactError::TooLarge { limit: limits.single });
        }
        let mut used = self.store.used();
        if *used + more > limits.total.get() {
            return Err(ArtifactError::StoreFull { used: Bytes::new(*used), limit: limits.total });
        }
        *used += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        *self.store.used() -= self.bytes;
    }
}

/// Makes the new name durable. Windows has no such call, and needs none.
fn sync_folder(store: &Store) -> Result<(), ArtifactError> {
    if cfg!(unix) {
        File::open(&store.kept)?.sync_all()?;
    }
    Ok(())
}
