//! The folders of volumes: made and removed as the master orders, and kept over everything else.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use haggle_core::{AllocationSpec, Bytes, Folder, FolderSource, Reason, TaskSpec, VolumeId};
use haggle_executor::MountedVolume;

use crate::checkpoint::sync_folder;
use crate::folders::NoFolders;

/// Volumes that the master is told of. It takes no more.
const NAMED_MAX: usize = 1024;

/// What a volume's folder holds: what it is, and what tasks put there.
const ABOUT: &str = "about";
const DATA: &str = "data";

/// What a folder is called while it is made, and while it is removed.
const NEW: &str = ".new";
const GONE: &str = ".gone";

/// The volumes in a work folder.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    dir: PathBuf,
    /// How much may be in each.
    held: BTreeMap<VolumeId, Bytes>,
}

impl Volumes {
    /// Takes stock. What was being made or removed when an earlier agent ended goes.
    ///
    /// # Errors
    /// When a folder cannot be read; it gives that, too.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, (PathBuf, io::Error)> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        let mut held = BTreeMap::new();
        for entry in fs::read_dir(&dir).map_err(failed(&dir))? {
            let path = entry.map_err(failed(&dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(NEW) || name.ends_with(GONE) {
                fs::remove_dir_all(&path).map_err(failed(&path))?;
            } else if let Ok(id) = name.parse::<VolumeId>() {
                held.insert(id, size_of(&path).map_err(failed(&path))?);
            }
        }
        Ok(Self { dir, held })
    }

    /// All of them.
    pub(crate) fn held(&self) -> Vec<VolumeId> {
        if self.held.len() > NAMED_MAX {
            tracing::warn!(held = self.held.len(), "the master is told of the first {NAMED_MAX} volumes");
        }
        self.held.keys().copied().take(NAMED_MAX).collect()
    }

    /// Makes one, unless it is there. It is on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn make(&mut self, id: VolumeId, role: &str, size: Bytes) -> io::Result<()> {
        if self.held.contains_key(&id) {
            return Ok(());
        }
        let new = self.dir.join(format!("{id}{NEW}"));
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir(&new)?;
        fs::create_dir(new.join(DATA))?;
        let mut about = File::create_new(new.join(ABOUT))?;
        writeln!(about, "bytes {}\nrole {role}", size.get())?;
        about.sync_all()?;
        fs::rename(&new, self.place(id))?;
        sync_folder(&self.dir)?;
        self.held.insert(id, size);
        Ok(())
    }

    /// Removes one with all that is in it. That it is gone is on disk when this returns; its bytes go after that.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn remove(&mut self, id: VolumeId) -> io::Result<()> {
        if !self.held.contains_key(&id) {
            return Ok(());
        }
        let gone = self.dir.join(format!("{id}{GONE}"));
        fs::rename(self.place(id), &gone)?;
        sync_folder(&self.dir)?;
        self.held.remove(&id);
        let empty = move || {
            if let Err(error) = fs::remove_dir_all(&gone) {
                tracing::warn!(folder = %gone.display(), %error, "a volume's folder goes when the agent starts again");
            }
        };
        thread::Builder::new().name("haggle-volume".to_owned()).spawn(empty).map(drop)
    }

    /// The volumes that a task mounts.
    ///
    /// # Errors
    /// When one is not here.
    pub(crate) fn granted(&self, spec: &TaskSpec) -> Result<Vec<MountedVolume>, NoFolders> {
        let mounts = spec.grants.folders.iter().filter_map(|Folder { guest_path, source }| match *source {
            FolderSource::Volume { volume, writable } => Some(self.mounted(volume, writable, guest_path)),
            _ => None,
        });
        mounts.collect()
    }

    /// The volumes that the tasks of an allocation may mount, wherever they do.
    ///
    /// # Errors
    /// When one is not here.
    pub(crate) fn allotted(&self, spec: &AllocationSpec) -> Result<Vec<MountedVolume>, NoFolders> {
        spec.volumes.iter().map(|volume| self.mounted(volume.id, volume.writable, "")).collect()
    }

    fn mounted(&self, id: VolumeId, writable: bool, guest_path: &str) -> Result<MountedVolume, NoFolders> {
        let missing = || NoFolders {
            reason: Reason::ArtifactUnavailable,
            message: format!("{id} is not on this agent any more"),
        };
        let size = *self.held.get(&id).ok_or_else(missing)?;
        let host = self.place(id).join(DATA);
        Ok(MountedVolume { id, guest_path: guest_path.to_owned(), host, writable, size })
    }

    fn place(&self, id: VolumeId) -> PathBuf {
        self.dir.join(id.to_string())
    }
}

/// How much may be in a volume, as it says itself.
fn size_of(folder: &Path) -> io::Result<Bytes> {
    let about = fs::read_to_string(folder.join(ABOUT))?;
    let size = about.lines().find_map(|line| line.strip_prefix("bytes ")?.parse().ok());
    size.map(Bytes::new).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not say how large it is"))
}

#[cfg(test)]
mod tests {
    use haggle_core::AgentId;

    use super::*;

    const ID: VolumeId = VolumeId { agent: AgentId(3), number: 7 };

    fn open(dir: &tempfile::TempDir) -> Volumes {
        Volumes::open(dir.path().to_owned()).unwrap()
    }

    #[test]
    fn a_volume_is_there_until_it_is_removed_whoever_opens_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let mut volumes = open(&dir);
        volumes.make(ID, "eng", Bytes::from_mib(5)).unwrap();
        let data = dir.path().join("volume-3.7/data/file");
        fs::write(&data, "kept").unwrap();

        // An order that is given again changes nothing.
        let mut volumes = open(&dir);
        volumes.make(ID, "eng", Bytes::from_mib(5)).unwrap();

        assert_eq!((volumes.held(), fs::read_to_string(&data).unwrap()), (vec![ID], "kept".to_owned()));
        volumes.remove(ID).unwrap();
        assert_eq!((volumes.held(), open(&dir).held()), (vec![], vec![]));
        volumes.remove(ID).unwrap();
    }

    #[test]
    fn what_was_half_made_or_half_removed_goes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["volume-3.7.new", "volume-3.8.gone"] {
            fs::create_dir_all(dir.path().join(name).join("data")).unwrap();
        }

        assert_eq!(open(&dir).held(), []);

        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_says_nothing_of_its_size_is_told_of_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("volume-3.7/data")).unwrap();

        let (path, _) = Volumes::open(dir.path().to_owned()).unwrap_err();

        assert_eq!(path, dir.path().join("volume-3.7"));
    }
}
