//! Where an artifact was fetched from, for people.

use std::fs;
use std::io::{self, Write};

use haggle_core::Digest;
use haggle_core::access::{Principal, Right, Verb};
use haggle_tls::replace_file;
use tempfile::NamedTempFile;

use super::{ArtifactError, Store};

/// Sources that are remembered for one artifact, the latest ones.
const ORIGINS_MAX: usize = 8;

impl Store {
    /// Remembers that it was fetched from there.
    pub(crate) fn note_origin(&self, digest: Digest, origin: &str) -> Result<(), ArtifactError> {
        let _one_at_a_time = self.used();
        let mut origins = self.origins(digest)?;
        if origins.last().is_some_and(|last| last == origin) {
            return Ok(());
        }
        origins.retain(|known| known != origin);
        origins.push(origin.to_owned());
        let latest = &origins[origins.len().saturating_sub(ORIGINS_MAX)..];
        // A source has no line break in it.
        let lines: String = latest.iter().map(|origin| format!("{origin}\n")).collect();
        let mut file = NamedTempFile::new_in(&self.partial)?;
        file.write_all(lines.as_bytes())?;
        replace_file(file, &self.origins.join(digest.hex()))?;
        Ok(())
    }

    /// Where it was fetched from, the latest last, for somebody who would find it in the list of what is kept.
    pub(crate) fn origins_for(&self, digest: Digest, who: &Principal) -> Result<Vec<String>, ArtifactError> {
        let may_know = match who.right(Verb::ListKept) {
            Right::All => true,
            Right::Own => self.was_brought_by(digest, &who.id())?,
            Right::No => false,
        };
        if may_know { Ok(self.origins(digest)?) } else { Ok(Vec::new()) }
    }

    /// Where it was fetched from, the latest last.
    pub(crate) fn origins(&self, digest: Digest) -> io::Result<Vec<String>> {
        match fs::read_to_string(self.origins.join(digest.hex())) {
            Ok(lines) => Ok(lines.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
