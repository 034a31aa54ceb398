//! One artifact on its way in: counted, hashed and written as it comes, kept only when it is right.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use haggle_core::{Bytes, Digest};
use haggle_tls::replace_file;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{ArtifactError, Shelved, Store, Uploader};

/// Bytes under way. Dropped before [`Upload::finish`], it leaves nothing behind.
pub(crate) struct Upload {
    file: NamedTempFile,
    hash: Sha256,
    expected: Option<Digest>,
    room: Room,
}

impl Upload {
    pub(super) fn begin(
        store: Arc<Store>,
        expected: Option<Digest>,
        uploader: Option<Uploader>,
        makes_room: bool,
    ) -> Result<Self, ArtifactError> {
        let file = NamedTempFile::new_in(&store.partial)?;
        let room = Room { store, bytes: 0, makes_room, uploader, brought: 0 };
        Ok(Self { file, hash: Sha256::new(), expected, room })
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
            let mut used = store.used();
            if store.size(digest)?.is_none() {
                replace_file(file, &store.path(digest))?;
                room.bytes = 0;
            }
            used.shelf.insert(digest, Shelved::new(size));
        }
        if store.durable {
            sync_folder(&store)?;
        }
        if let Some(uploader) = &room.uploader
            && store.note_uploader(digest, &uploader.id)?
        {
            room.brought = 0;
        }
        Ok((digest, size))
    }
}

/// The room that an upload takes in the store; given back when it is dropped.
struct Room {
    store: Arc<Store>,
    bytes: u64,
    /// Whether others may go for its sake.
    makes_room: bool,
    uploader: Option<Uploader>,
    /// Bytes that count as the uploader's.
    brought: u64,
}

impl Room {
    fn take(&mut self, more: u64) -> Result<(), ArtifactError> {
        let limits = self.store.limits;
        if self.bytes + more > limits.single.get() {
            return Err(ArtifactError::TooLarge { limit: limits.single });
        }
        let mut used = self.store.used();
        if self.makes_room && used.all + more > limits.total.get() {
            self.store.make_room(&mut used, more)?;
        }
        if used.all + more > limits.total.get() {
            self.store.full.fetch_add(1, Ordering::Relaxed);
            return Err(ArtifactError::StoreFull { used: Bytes::new(used.all), limit: limits.total });
        }
        if let Some(uploader) = &self.uploader {
            used.take(uploader, more)?;
            self.brought += more;
        }
        used.all += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut used = self.store.used();
        used.all -= self.bytes;
        let Some(uploader) = self.uploader.as_ref().filter(|_| self.brought > 0) else { return };
        used.give_back(&uploader.id, self.brought);
    }
}

/// Makes the new name durable. Windows has no such call, and needs none.
fn sync_folder(store: &Store) -> Result<(), ArtifactError> {
    if cfg!(unix) {
        File::open(&store.kept)?.sync_all()?;
    }
    Ok(())
}
