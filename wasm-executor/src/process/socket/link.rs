//! A short path to a folder whose own is too long.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A link to a folder, in a folder that nobody else can enter. Both are removed when it is dropped.
pub(super) struct Link(PathBuf);

impl Link {
    pub(super) fn to(folder: &Path) -> io::Result<Self> {
        static LINKS: AtomicU64 = AtomicU64::new(0);
        let made = loop {
            let number = LINKS.fetch_add(1, Ordering::Relaxed);
            let place = std::env::temp_dir().join(format!("haggle-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&place) {
                // Left behind by a process of the same id, or put there by somebody else.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => break made.map(|()| Self(place))?,
            }
        };
        symlink(std::path::absolute(folder)?, made.path())?;
        Ok(made)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.join("x")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let removed = match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_dir(&self.0),
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a link to a socket");
        }
    }
}
