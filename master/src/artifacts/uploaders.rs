//! Who has brought an artifact: a framework sees those that its principal has brought, and no other.

use std::fs;
use std::io::{self, Write};

use haggle_core::Digest;
use haggle_core::access::PrincipalId;
use haggle_tls::replace_file;
use tempfile::NamedTempFile;

use super::{ArtifactError, Store};

/// Principals that are remembered for one artifact: 128 KiB of names.
const UPLOADERS_MAX: usize = 1_000;

/// Who brings an artifact.
#[derive(Clone, Debug)]
pub(crate) struct Uploader {
    pub(crate) id: PrincipalId,
    /// How many bytes may be there that it has brought. `None`: as many as the store takes.
    pub(crate) most: Option<u64>,
}

impl Store {
    /// Whether this principal has brought the artifact.
    pub(crate) fn was_brought_by(&self, digest: Digest, who: &PrincipalId) -> Result<bool, ArtifactError> {
        Ok(self.uploaders(digest)?.contains(who))
    }

    /// Remembers that it has, beside the artifact, which is here. Whether that was not known before.
    pub(super) fn note_uploader(&self, digest: Digest, who: &PrincipalId) -> Result<bool, ArtifactError> {
        let _one_at_a_time = self.used();
        let mut uploaders = self.uploaders(digest)?;
        if uploaders.contains(who) {
            return Ok(false);
        }
        if uploaders.len() >= UPLOADERS_MAX {
            return Err(ArtifactError::TooManyUploaders { digest, limit: UPLOADERS_MAX });
        }
        uploaders.push(who.clone());
        // A name holds no line break, or it would not have become a principal's.
        let lines: String = uploaders.iter().map(|uploader| format!("{uploader}\n")).collect();
        let mut file = NamedTempFile::new_in(&self.partial)?;
        file.write_all(lines.as_bytes())?;
        if self.durable {
            file.as_file().sync_all()?;
        }
        replace_file(file, &self.uploaders.join(digest.hex()))?;
        Ok(true)
    }

    /// Has this principal be one of those that have brought it, as if it had, and counts it as its own. Whether it is here.
    pub(crate) fn share_with(&self, digest: Digest, uploader: &Uploader) -> Result<bool, ArtifactError> {
        let size = {
            let mut used = self.used();
            let Some(size) = used.shelf.get(&digest).map(|of| of.size) else { return Ok(false) };
            if self.uploaders(digest)?.contains(&uploader.id) {
                return Ok(true);
            }
            used.take(uploader, size)?;
            size
        };
        let noted = self.note_uploader(digest, &uploader.id);
        if !matches!(noted, Ok(true)) {
            // Known meanwhile, or not to be had: it is not counted twice, and not for nothing.
            self.used().give_back(&uploader.id, size);
        }
        noted.map(|_| true)
    }

    /// All that have brought it, the first one first.
    pub(super) fn uploaders(&self, digest: Digest) -> io::Result<Vec<PrincipalId>> {
        match fs::read_to_string(self.uploaders.join(digest.hex())) {
            Ok(lines) => Ok(lines.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
