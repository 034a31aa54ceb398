//! The scratch folder of one task: made, filled with what it may change, and removed with all that is in it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use haggle_core::grants::SCRATCH;
use haggle_core::{Folder, FolderSource, Grants, TaskId};

use crate::outcome::SetupError;
use crate::pace;
use crate::wasi::{Disk, Full, file_id};

/// Bytes that are copied before the task's time is looked at: a fraction of a slice.
const PIECE: u64 = 1 << 20;

/// Removed when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn make(scratch_dir: &Path, task: TaskId) -> io::Result<Self> {
        // A task's id may come again, after its executor was told anew; its folder may not.
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = Self(scratch_dir.join(format!("{task}-{number}")));
        fs::create_dir(&folder.0)?;
        Ok(folder)
    }

    /// Copies all that is in a folder, and counts it.
    pub(crate) async fn copy_in(&self, from: &Path, disk: &Arc<Disk>) -> Result<(), SetupError> {
        let failed = |path: &Path| {
            let path = Path::new(SCRATCH).join(path).display().to_string();
            move |source| SetupError::Copy { path, source }
        };
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(from.join(&folder)).map_err(failed(&folder))? {
                let entry = entry.map_err(failed(&folder))?;
                let path = folder.join(entry.file_name());
                disk.add_entry().map_err(|Full| refused(disk))?;
                if entry.file_type().map_err(failed(&path))?.is_dir() {
                    fs::create_dir(self.0.join(&path)).map_err(failed(&path))?;
                    folders.push(path);
                } else {
                    let opened = File::open(entry.path()).map_err(failed(&path))?;
                    let copy = File::create_new(self.0.join(&path)).map_err(failed(&path))?;
                    copy_file(opened, copy, disk).await.map_err(failed(&path))??;
                }
                pace::breathe().await;
            }
        }
        Ok(())
    }

    /// The folders that the guest is given, and their names there. Those that are not there yet are made.
    pub(crate) fn folders(&self, grants: &Grants, disk: &Disk) -> Result<Vec<(String, PathBuf)>, SetupError> {
        let mut folders = Vec::new();
        for Folder { guest_path, source } in &grants.folders {
            let FolderSource::Scratch(path) = source else { continue };
            let mut host = self.0.clone();
            for part in path.split('/') {
                host.push(part);
                if !host.exists() {
                    disk.add_entry().map_err(|Full| refused(disk))?;
                    fs::create_dir(&host).map_err(SetupError::Scratch)?;
                }
            }
            if !host.is_dir() {
                return Err(SetupError::NotAFolder { path: path.clone() });
            }
            folders.push((guest_path.clone(), host));
        }
        let whole = |guest_path: &str| (guest_path.to_owned(), self.0.clone());
        folders.push(whole(SCRATCH));
        // Relative paths lead into the scratch folder, unless a folder was named for them.
        if !grants.folders.iter().any(|folder| matches!(folder.guest_path.as_str(), "/" | ".")) {
            folders.push(whole("."));
        }
        Ok(folders)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove a scratch folder");
        }
    }
}

async fn copy_file(mut from: File, mut to: File, disk: &Arc<Disk>) -> io::Result<Result<(), SetupError>> {
    let held = disk.hold(file_id(to.try_clone()?).await?, 0);
    let length = from.metadata()?.len();
    if disk.may_reach(held.file, length).is_err() {
        return Ok(Err(refused(disk)));
    }
    // What is appended to the file meanwhile was not counted.
    let mut left = length;
    while left > 0 {
        let copied = io::copy(&mut from.by_ref().take(left.min(PIECE)), &mut to)?;
        if copied == 0 {
            break;
        }
        left -= copied;
        disk.reached(held.file, length - left);
        pace::breathe().await;
    }
    Ok(Ok(()))
}

/// The disk has just said no.
fn refused(disk: &Disk) -> SetupError {
    disk.refused().map_or_else(|| SetupError::Scratch(io::ErrorKind::StorageFull.into()), SetupError::Disk)
}

/// An empty, private folder for scratch folders. What an executor left there that did not end in order goes.
pub(crate) fn clear(scratch_dir: &Path) -> io::Result<()> {
    fs::create_dir_all(scratch_dir)?;
    for entry in fs::read_dir(scratch_dir)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with("task-");
        if is_ours && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(scratch_dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
