//! Which artifacts are on this agent's disk, and which may go.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::{Bytes, Digest};

use crate::trash::Trash;

/// What artifacts may take up on disk when no task uses them: a few hundred large modules.
pub(crate) const CACHE_MAX: Bytes = Bytes::from_mib(4 * 1024);

/// The index of the artifact folder. It belongs to the driver, so that finding an artifact touches neither a lock
/// nor the disk.
#[derive(Debug)]
pub(crate) struct Artifacts {
    dir: PathBuf,
    max: Bytes,
    kept: HashMap<Digest, Kept>,
    bytes: Bytes,
    /// Counts uses, so that the one longest ago is known.
    clock: u64,
    /// An artifact may be large.
    trash: Trash,
}

#[derive(Debug)]
struct Kept {
    size: Bytes,
    /// Whether its bytes were found to have its digest since this agent started. Before, the disk may have lied.
    verified: bool,
    /// Tasks that use it, or a check that is under way. It stays while there are any.
    holders: u32,
    last_use: u64,
}

/// There is no room for an artifact that was fetched.
#[derive(Debug, thiserror::Error)]
#[error("the agent keeps {max} of artifacts at most, and running tasks use {used}: {size} more do not fit")]
pub(crate) struct Full {
    max: Bytes,
    used: Bytes,
    size: Bytes,
}

impl Artifacts {
    /// Takes stock of what an earlier run left in the folder, and removes what is no artifact or beyond `max`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn open(dir: PathBuf, max: Bytes) -> io::Result<Self> {
        let mut artifacts =
            Self { kept: HashMap::new(), bytes: Bytes::ZERO, clock: 0, trash: Trash::default(), max, dir };
        for entry in fs::read_dir(&artifacts.dir)? {
            let entry = entry?;
            let digest = entry.file_name().to_str().and_then(|name| format!("sha256:{name}").parse::<Digest>().ok());
            match digest {
                Some(digest) => artifacts.insert(digest, Bytes::new(entry.metadata()?.len()), false),
                // A download that was cut short.
                None => fs::remove_file(entry.path())?,
            }
        }
        artifacts.evict();
        Ok(artifacts)
    }

    /// Where an artifact is or will be.
    pub(crate) fn path(&self, digest: Digest) -> PathBuf {
        file(&self.dir, digest)
    }

    /// The folder itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// How many are on disk, how many bytes these have, and how many they may have.
    pub(crate) fn fill(&self) -> (u64, u64, u64) {
        (self.kept.len() as u64, self.bytes.get(), self.max.get())
    }

    /// Keeps a verified artifact from going, until [`Self::release`]. False when it has to be fetched first.
    pub(crate) fn hold(&mut self, digest: Digest) -> bool {
        self.clock += 1;
        let Some(kept) = self.kept.get_mut(&digest).filter(|kept| kept.verified) else { return false };
        kept.last_use = self.clock;
        kept.holders += 1;
        true
    }

    /// Ends one [`Self::hold`].
    pub(crate) fn release(&mut self, digest: Digest) {
        if let Some(kept) = self.kept.get_mut(&digest) {
            kept.holders = kept.holders.saturating_sub(1);
        }
    }

    /// Its fetching begins: what is on disk under its name, if anything, is about to be read.
    pub(crate) fn fetching(&mut self, digest: Digest) {
        if let Some(kept) = self.kept.get_mut(&digest) {
            kept.holders += 1;
        }
    }

    /// It was fetched, and has its digest. Makes room for it where there is none.
    ///
    /// # Errors
    /// When tasks hold so much that it cannot stay. Its file is removed then.
    pub(crate) fn fetched(&mut self, digest: Digest, size: Bytes) -> Result<(), Full> {
        self.remove(digest);
        self.insert(digest, size, true);
        self.hold(digest);
        self.evict();
        self.release(digest);
        if self.bytes > self.max {
            self.evict_one(digest);
            return Err(Full { max: self.max, used: self.bytes, size });
        }
        Ok(())
    }

    /// It could not be fetched; nothing is on disk under its name.
    pub(crate) fn unfetchable(&mut self, digest: Digest) {
        self.remove(digest);
    }

    fn insert(&mut self, digest: Digest, size: Bytes, verified: bool) {
        self.clock += 1;
        self.kept.insert(digest, Kept { size, verified, holders: 0, last_use: self.clock });
        self.bytes = self.bytes.saturating_add(size);
    }

    fn remove(&mut self, digest: Digest) {
        if let Some(kept) = self.kept.remove(&digest) {
            self.bytes = self.bytes.saturating_sub(kept.size);
        }
    }

    /// Removes what was used longest ago and is not held, until the rest fits.
    fn evict(&mut self) {
        while self.bytes > self.max {
            let free = self.kept.iter().filter(|(_, kept)| kept.holders == 0);
            let Some((&oldest, _)) = free.min_by_key(|(_, kept)| kept.last_use) else { return };
            self.evict_one(oldest);
        }
    }

    fn evict_one(&mut self, digest: Digest) {
        self.remove(digest);
        let path = self.path(digest);
        match self.trash.take(&path) {
            Ok(()) => tracing::debug!(%digest, "artifact evicted"),
            Err(error) => tracing::warn!(%error, path = %path.display(), "an artifact cannot be removed"),
        }
    }
}

/// The file of an artifact in an artifact folder.
pub(crate) fn file(dir: &Path, digest: Digest) -> PathBuf {
    dir.join(digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Bytes = Bytes::new(100);

    fn digest(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn artifacts() -> (Artifacts, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Artifacts::open(dir.path().to_owned(), MAX).unwrap(), dir)
    }

    /// As the fetcher would: the file first, then the news.
    fn fetch(artifacts: &mut Artifacts, number: u8, size: u64) -> Result<(), Full> {
        artifacts.fetching(digest(number));
        fs::write(artifacts.path(digest(number)), vec![number; size as usize]).unwrap();
        artifacts.fetched(digest(number), Bytes::new(size))
    }

    fn on_disk(artifacts: &Artifacts, number: u8) -> bool {
        artifacts.path(digest(number)).exists()
    }

    #[test]
    fn an_artifact_is_had_once_it_was_fetched() {
        let (mut artifacts, _dir) = artifacts();
        assert!(!artifacts.hold(digest(1)));

        fetch(&mut artifacts, 1, 10).unwrap();

        assert!(artifacts.hold(digest(1)));
    }

    #[test]
    fn the_one_used_longest_ago_goes_first() {
        let (mut artifacts, _dir) = artifacts();
        fetch(&mut artifacts, 1, 40).unwrap();
        fetch(&mut artifacts, 2, 40).unwrap();
        artifacts.hold(digest(1));
        artifacts.release(digest(1));

        fetch(&mut artifacts, 3, 40).unwrap();

        assert!(on_disk(&artifacts, 1) && !on_disk(&artifacts, 2) && on_disk(&artifacts, 3));
        assert!(!artifacts.hold(digest(2)));
    }

    #[test]
    fn what_a_task_uses_stays() {
        let (mut artifacts, _dir) = artifacts();
        fetch(&mut artifacts, 1, 60).unwrap();
        artifacts.hold(digest(1));

        let full = fetch(&mut artifacts, 2, 60).unwrap_err();

        let told = "the agent keeps 100 B of artifacts at most, and running tasks use 60 B: 60 B more do not fit";
        assert_eq!(full.to_string(), told);
        assert!(on_disk(&artifacts, 1) && !on_disk(&artifacts, 2));

        artifacts.release(digest(1));
        fetch(&mut artifacts, 2, 60).unwrap();
        assert!(!on_disk(&artifacts, 1) && on_disk(&artifacts, 2));
    }

    #[test]
    fn after_a_restart_artifacts_are_there_but_not_trusted_until_checked() {
        let (mut artifacts, dir) = artifacts();
        fetch(&mut artifacts, 1, 10).unwrap();
        fs::write(dir.path().join("download-x"), "half").unwrap();

        let mut artifacts = Artifacts::open(dir.path().to_owned(), MAX).unwrap();

        assert!(on_disk(&artifacts, 1) && !artifacts.hold(digest(1)));
        assert!(!dir.path().join("download-x").exists());
        artifacts.fetching(digest(1));
        artifacts.fetched(digest(1), Bytes::new(10)).unwrap();
        assert!(artifacts.hold(digest(1)));
    }

    #[test]
    fn what_is_being_checked_is_not_evicted() {
        let (mut artifacts, dir) = artifacts();
        fetch(&mut artifacts, 1, 60).unwrap();
        let mut artifacts = Artifacts::open(dir.path().to_owned(), MAX).unwrap();
        artifacts.fetching(digest(1));

        fetch(&mut artifacts, 2, 60).unwrap_err();

        assert!(on_disk(&artifacts, 1));
    }

    #[test]
    fn a_smaller_cache_forgets_at_the_start() {
        let (mut artifacts, dir) = artifacts();
        fetch(&mut artifacts, 1, 40).unwrap();
        fetch(&mut artifacts, 2, 40).unwrap();

        let artifacts = Artifacts::open(dir.path().to_owned(), Bytes::new(50)).unwrap();

        assert_eq!([1, 2].into_iter().filter(|&number| on_disk(&artifacts, number)).count(), 1);
    }

    #[test]
    fn what_could_not_be_fetched_is_not_counted() {
        let (mut artifacts, dir) = artifacts();
        fetch(&mut artifacts, 1, 60).unwrap();
        let mut artifacts = Artifacts::open(dir.path().to_owned(), MAX).unwrap();
        artifacts.fetching(digest(1));
        fs::remove_file(artifacts.path(digest(1))).unwrap();

        artifacts.unfetchable(digest(1));

        fetch(&mut artifacts, 2, 60).unwrap();
    }
}
