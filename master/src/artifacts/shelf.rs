//! What is kept and what is let go: the least recently used first, and nothing that a task needs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use haggle_core::{Bytes, Digest};

use super::{ArtifactError, Store, Used};
use crate::access::wall_clock_ms;

/// What was used within this time is not let go by itself: its task may be about to be launched, or its framework waits for
/// offers.
pub(super) const RECENT: Duration = Duration::from_hours(1);

/// What was let go and the other masters have not heard of yet. Of more, they keep copies until they hear of it again.
const LET_GO_MAX: usize = 10_000;

/// How late the time of a use may be on disk: each use is not a write.
const NOTED_EVERY_MS: u64 = 60_000;

/// Of an artifact that is here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelved {
    pub(super) size: u64,
    /// In milliseconds since 1970.
    used_ms: u64,
    /// The same, as it is on disk.
    noted_ms: u64,
}

/// What there is to know of an artifact that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// When it was used last, in milliseconds since 1970.
    pub(crate) used_ms: u64,
    /// How many tasks need it.
    pub(crate) tasks: u64,
}

/// What came of letting artifacts go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) artifacts: u64,
    pub(crate) bytes: u64,
    /// Bytes that are kept afterwards.
    pub(crate) kept: u64,
}

impl Shelved {
    pub(super) fn new(size: u64) -> Self {
        let now = wall_clock_ms();
        Self { size, used_ms: now, noted_ms: now }
    }

    /// As it lies on disk: the time of its last use is the file's.
    pub(super) fn of_file(metadata: &fs::Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let used_ms = modified.map_or(0, |at| at.as_millis() as u64);
        Self { size: metadata.len(), used_ms, noted_ms: used_ms }
    }
}

impl Store {
    /// Notes that these are used now; touches no disk.
    pub(crate) fn use_now(&self, digests: &[Digest]) {
        if digests.is_empty() {
            return;
        }
        let (mut used, now) = (self.used(), wall_clock_ms());
        for digest in digests {
            if let Some(shelved) = used.shelf.get_mut(digest) {
                shelved.used_ms = now;
            }
        }
    }

    /// Notes on disk too when what was used, of those of which that is not known there.
    pub(super) fn note_uses(&self) {
        let due: Vec<_> = {
            let mut used = self.used();
            let due = used.shelf.iter_mut().filter(|(_, of)| of.used_ms > of.noted_ms + NOTED_EVERY_MS);
            due.map(|(digest, of)| {
                of.noted_ms = of.used_ms;
                (*digest, of.used_ms)
            })
            .collect()
        };
        for (digest, used_ms) in due {
            // It may be gone by now; and on a disk that takes no times, what is used goes like what is not.
            let file = File::options().append(true).open(self.path(digest));
            let _ = file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(used_ms)));
        }
    }

    /// Everything that is here, the last used first.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let needed = self.ledger.needed().unwrap_or_default();
        let used = self.used();
        let mut all: Vec<_> = used
            .shelf
            .iter()
            .map(|(&digest, of)| Standing {
                digest,
                size: of.size,
                used_ms: of.used_ms,
                tasks: needed.get(&digest).copied().unwrap_or(0),
            })
            .collect();
        drop(used);
        all.sort_by_key(|standing| (std::cmp::Reverse(standing.used_ms), standing.digest.0));
        all
    }

    /// Lets one go, and says how large it was; `None` when it is not here.
    pub(crate) fn remove(&self, digest: Digest) -> Result<Option<u64>, ArtifactError> {
        let mut used = self.used();
        let needed = match self.ledger.needed() {
            None => return Err(ArtifactError::Needed { digest, tasks: None }),
            Some(needed) => needed.get(&digest).copied().unwrap_or(0),
        };
        if needed > 0 {
            return Err(ArtifactError::Needed { digest, tasks: Some(needed) });
        }
        Ok(self.let_go(&mut used, digest)?)
    }

    /// Lets go of what no task needs and nobody used for so long, the least recently used first, until no more than
    /// `keep` is there.
    pub(crate) fn collect(&self, keep: Bytes, unused_for: Duration) -> Result<Freed, ArtifactError> {
        let mut used = self.used();
        let mut freed = self.free(&mut used, keep.get(), unused_for)?;
        freed.kept = used.all;
        Ok(freed)
    }

    /// Makes room for so many bytes more, if that can be. Only the master that leads knows what is needed.
    pub(super) fn make_room(&self, used: &mut Used, more: u64) -> Result<(), ArtifactError> {
        let keep = self.limits.total.get().saturating_sub(more);
        if used.all > keep && self.ledger.since_ms().is_some() {
            self.free(used, keep, RECENT)?;
        }
        Ok(())
    }

    fn free(&self, used: &mut Used, keep: u64, unused_for: Duration) -> Result<Freed, ArtifactError> {
        let mut freed = Freed::default();
        let (Some(needed), Some(since_ms)) = (self.ledger.needed(), self.ledger.since_ms()) else { return Ok(freed) };
        let before = wall_clock_ms().saturating_sub(unused_for.as_millis() as u64);
        // What was launched before this master led may need anything that was there.
        let is_settled = since_ms <= wall_clock_ms().saturating_sub(RECENT.as_millis() as u64);
        let may_go = |digest: &Digest, of: &Shelved| {
            !needed.contains_key(digest)
                && of.used_ms <= before
                && (is_settled || unused_for < RECENT || of.used_ms > since_ms)
        };
        let mut going: Vec<_> = used.shelf.iter().filter(|(digest, of)| may_go(digest, of)).collect();
        going.sort_by_key(|(digest, of)| (of.used_ms, digest.0));
        let going: Vec<_> = going.into_iter().map(|(digest, _)| *digest).collect();
        for digest in going {
            if used.all <= keep {
                break;
            }
            if let Some(size) = self.let_go(used, digest)? {
                freed.artifacts += 1;
                freed.bytes += size;
            }
        }
        Ok(freed)
    }

    /// Forgets what the master that leads has let go.
    pub(crate) fn forget(&self, digests: &[Digest]) -> Result<(), ArtifactError> {
        let mut used = self.used();
        for digest in digests {
            self.let_go(&mut used, *digest)?;
        }
        // They have all been told.
        self.let_go_by_now();
        Ok(())
    }

    /// What was let go since this was asked last, for the other masters.
    pub(crate) fn let_go_by_now(&self) -> Vec<Digest> {
        std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn let_go(&self, used: &mut Used, digest: Digest) -> Result<Option<u64>, io::Error> {
        let Some(size) = used.shelf.get(&digest).map(|of| of.size) else { return Ok(None) };
        let uploaders = self.uploaders(digest)?;
        // Whoever reads it has it open, and reads on. First what says of it: a digest alone names nobody's file.
        for path in [self.uploaders.join(digest.hex()), self.origins.join(digest.hex()), self.path(digest)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        used.shelf.remove(&digest);
        used.all -= size;
        for who in uploaders {
            used.give_back(&who, size);
        }
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.len() < LET_GO_MAX {
            gone.push(digest);
        }
        Ok(Some(size))
    }
}

/// What is here, by its digest.
pub(super) type Shelf = HashMap<Digest, Shelved>;
