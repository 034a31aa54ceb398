//! Who has brought an artifact: a framework sees those that its principal has brought, and no other.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;

use haggle_core::Digest;
use tempfile::NamedTempFile;

use super::{ArtifactError, Store};

/// Principals that are remembered for one artifact: 128 KiB of names.
const UPLOADERS_MAX: usize = 1_000;

/// Who brings an artifact.
#[derive(Clone, Debug)]
pub(crate) struct Uploader {
    pub(crate) name: Arc<str>,
    /// How many bytes may be there that it has brought. `None`: as many as the store takes.
    pub(crate) most: Option<u64>,
}

impl Store {
    /// Whether the principal of this name has brought the artifact.
    pub(crate) fn was_brought_by(&self, digest: Digest, name: &str) -> Result<bool, ArtifactError> {
        Ok(self.uploaders(digest)?.lines().any(|uploader| uploader == name))
    }

    /// Remembers that it has, beside the artifact, which is here. Whether that was not known before.
    pub(super) fn note_uploader(&self, digest: Digest, name: &str) -> Result<bool, ArtifactError> {
        let _one_at_a_time = self.used();
        let mut uploaders = self.uploaders(digest)?;
        if uploaders.lines().any(|uploader| uploader == name) {
            return Ok(false);
        }
        if uploaders.lines().count() >= UPLOADERS_MAX {
            return Err(ArtifactError::TooManyUploaders { digest, limit: UPLOADERS_MAX });
        }
        // A name holds no line break, or it would not have become a principal's.
        uploaders.push_str(name);
        uploaders.push('\n');
        let mut file = NamedTempFile::new_in(&self.partial)?;
        file.write_all(uploaders.as_bytes())?;
        if self.durable {
            file.as_file().sync_all()?;
        }
        file.persist(self.uploaders.join(digest.hex())).map_err(|failed| failed.error)?;
        Ok(true)
    }

    pub(super) fn uploaders(&self, digest: Digest) -> io::Result<String> {
        match fs::read_to_string(self.uploaders.join(digest.hex())) {
            Ok(uploaders) => Ok(uploaders),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }
}
