//! A folder that only its user can read: keys, tokens and what else is a secret.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::replace::replace_file;

/// Bytes of a file, at most: many certificates.
const FILE_MAX: u64 = 1 << 20;

/// A folder of mode 0700 whose files have mode 0600. On Windows it is as private as the folder above it.
#[derive(Clone, Debug)]
pub struct PrivateFolder {
    path: PathBuf,
}

impl PrivateFolder {
    /// Uses a folder, and makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or others can enter it.
    pub fn open(path: &Path) -> Result<Self, PrivateFolderError> {
        let unusable = |source| PrivateFolderError::Unusable { path: path.to_owned(), source };
        Self::make(path).map_err(unusable)?;
        refuse_shared(path, &fs::metadata(path).map_err(unusable)?, 0o700)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Makes a folder that only its user can enter, and those above it as usual. One that is there stays as it is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(path: &Path) -> io::Result<()> {
        make(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a file holds; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read, others can read it too, or it has more than 1 MiB.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateFolderError> {
        read_private(&self.path.join(name))
    }

    /// Writes a file, as a whole or not at all. When this returns, it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PrivateFolderError> {
        let path = self.path.join(name);
        self.replace(&path, bytes).map_err(|source| PrivateFolderError::Unusable { path, source })
    }

    /// Removes a file; it need not be there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), PrivateFolderError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(PrivateFolderError::Unusable { path, source })
            }
            _ => Ok(()),
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Nobody else may read it from the beginning.
        let mut file = NamedTempFile::new_in(&self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        replace_file(file, path)?;
        sync_folder(&self.path)
    }
}

/// What a file holds that its user alone can read, in whichever folder; `None` when it is not there.
///
/// # Errors
/// When it cannot be read, others can read it too, or it has more than 1 MiB.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateFolderError> {
    let unusable = |source| PrivateFolderError::Unusable { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    // Of what was opened: the name may be another file's by now.
    refuse_shared(path, &file.metadata().map_err(unusable)?, 0o600)?;
    let mut bytes = Zeroizing::new(Vec::new());
    let length = file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unusable)?;
    if length as u64 > FILE_MAX {
        return Err(unusable(io::Error::other("it has more than 1 MiB")));
    }
    Ok(Some(bytes))
}

/// Makes a file that its user alone can read, in whichever folder. When this returns, it is on the disk.
///
/// # Errors
/// When it is there already, or cannot be written.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), PrivateFolderError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let make = || {
        // Nobody else may read it from the beginning, and nobody sees a part of it.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path)?;
        sync_folder(folder)
    };
    make().map_err(|source| PrivateFolderError::Unusable { path: path.to_owned(), source })
}

/// Why a folder keeps no secrets.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFolderError {
    /// It, or a file in it, cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "{} holds secrets and has mode {mode:04o}, so that others on this machine can read it; if nobody else has: chmod \
         {wanted:o} {}",
        path.display(),
        path.display()
    )]
    Shared {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        wanted: u32,
    },
}

#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn refuse_shared(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), PrivateFolderError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFolderError::Shared { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_shared(_: &Path, _: &fs::Metadata, _: u32) -> Result<(), PrivateFolderError> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_written_only_its_user_can_read() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a").join("pki");

        let folder = PrivateFolder::open(&path).unwrap();
        folder.write("key", b"one").unwrap();
        folder.write("key", b"two").unwrap();

        assert_eq!((mode(&path), mode(&path.join("key"))), (0o700, 0o600));
        assert_eq!(folder.read("key").unwrap().unwrap().as_slice(), b"two");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing of the way there is left");
    }

    #[test]
    fn a_file_that_is_not_there_is_none_and_may_be_removed() {
        let above = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&above.path().join("pki")).unwrap();

        folder.remove("key").unwrap();

        assert!(folder.read("key").unwrap().is_none());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("pki");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();

        let refused = PrivateFolder::open(&path).unwrap_err().to_string();

        assert!(refused.contains("has mode 0750") && refused.contains("chmod 700"), "{refused}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&above.path().join("pki")).unwrap();
        folder.write("key", b"secret").unwrap();
        fs::set_permissions(folder.path().join("key"), Permissions::from_mode(0o644)).unwrap();

        let refused = folder.read("key").unwrap_err().to_string();

        assert!(refused.contains("has mode 0644") && refused.contains("chmod 600"), "{refused}");
    }
}
