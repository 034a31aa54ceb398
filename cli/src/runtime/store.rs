//! Runtimes of this user, in a folder of the cache: each is there as a whole or not at all.
//!
//! ```text
//! runtimes/python.json          which digest the name stands for, and where it is from
//! runtimes/DIGEST/module.wasm   the interpreter
//! runtimes/DIGEST/licences/     its terms
//! ```

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use haggle_core::Digest;
use haggle_tls::PrivateFolder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::error::RuntimeError;
use crate::cache;
use crate::module::MODULE_MAX;

const MODULE: &str = "module.wasm";
const LICENCES: &str = "licences";
const LOCK: &str = "lock";
const DRAFT: &str = "draft-";
const RECORD: &str = ".json";

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// The interpreter and its version, where that is known.
    pub(crate) version: Option<String>,
    pub(crate) licence: Option<String>,
    pub(crate) source: Source,
    pub(crate) digest: String,
    /// Bytes of the module; `None` when it is at the master alone.
    pub(crate) size: Option<u64>,
}

/// Where a runtime is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Fetched, as the table of known ones has it.
    Package(String),
    /// Somebody's own file.
    File(PathBuf),
    /// The master has it.
    Master,
}

impl Record {
    pub(crate) fn digest(&self) -> Result<Digest, RuntimeError> {
        Ok(self.digest.parse()?)
    }
}

/// The folder with all of them.
pub(crate) struct Store {
    folder: PrivateFolder,
}

impl Store {
    /// # Errors
    /// When there is no folder for it, or others can enter it.
    pub(crate) fn open() -> Result<Self, RuntimeError> {
        let cache = cache::folder().ok_or(RuntimeError::NoHome)?;
        Self::below(&cache)
    }

    fn below(cache: &Path) -> Result<Self, RuntimeError> {
        Ok(Self { folder: PrivateFolder::open(&cache.join("runtimes"))? })
    }

    /// What is kept under a name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn record(&self, name: &str) -> Result<Option<Record>, RuntimeError> {
        let file = format!("{name}{RECORD}");
        let Some(text) = self.folder.read(&file)? else { return Ok(None) };
        let unreadable = |source| RuntimeError::Record { path: self.folder.path().join(&file), source };
        serde_json::from_slice(&text).map(Some).map_err(unreadable)
    }

    /// All that are kept, by name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn records(&self) -> Result<Vec<Record>, RuntimeError> {
        let folder = self.folder.path();
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(RuntimeError::at(folder))? {
            let name = entry.map_err(RuntimeError::at(folder))?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(RECORD)).map(str::to_owned));
        }
        names.sort_unstable();
        let records = names.iter().map(|name| self.record(name));
        records.filter_map(Result::transpose).collect()
    }

    /// The interpreter that a record stands for, which is what was kept.
    ///
    /// # Errors
    /// When it cannot be read, or has other bytes by now.
    pub(crate) fn load(&self, record: &Record) -> Result<Vec<u8>, RuntimeError> {
        let (wanted, path) = (record.digest()?, self.path(record)?);
        let bytes = read_module(&path)?;
        let got = digest(&bytes);
        if got != wanted {
            return Err(RuntimeError::Damaged { name: record.name.clone(), path, wanted, got });
        }
        Ok(bytes)
    }

    /// Where the interpreter is that a record stands for.
    ///
    /// # Errors
    /// When the record has no digest.
    pub(crate) fn path(&self, record: &Record) -> Result<PathBuf, RuntimeError> {
        Ok(self.place(record.digest()?).join(MODULE))
    }

    /// Waits until nobody else changes anything here, and keeps others out for as long as the guard lives.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, RuntimeError> {
        let path = self.folder.path().join(LOCK);
        let file = private_file(&path).map_err(RuntimeError::at(&path))?;
        file.lock().map_err(RuntimeError::at(&path))?;
        let locked = Locked { store: self, _file: file };
        locked.clear_drafts()?;
        Ok(locked)
    }

    fn place(&self, digest: Digest) -> PathBuf {
        let hexadecimal = digest.to_string();
        self.folder.path().join(hexadecimal.trim_start_matches("sha256:"))
    }
}

/// Whoever changes what is kept.
pub(crate) struct Locked<'a> {
    store: &'a Store,
    _file: File,
}

impl Locked<'_> {
    /// A folder for what is not finished. It is gone with its value, or when somebody has the lock next.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn draft(&self) -> Result<TempDir, RuntimeError> {
        let folder = self.store.folder.path();
        let mut builder = tempfile::Builder::new();
        builder.prefix(DRAFT);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        builder.tempdir_in(folder).map_err(RuntimeError::at(folder))
    }

    /// Keeps a module with its licences, and has a name stand for it.
    ///
    /// # Errors
    /// When it cannot be kept; then the name stands for what it did before.
    pub(crate) fn keep(&self, record: &Record, module: &[u8], licences: &[PathBuf]) -> Result<(), RuntimeError> {
        let draft = self.draft()?;
        write_private(&draft.path().join(MODULE), module)?;
        if !licences.is_empty() {
            let folder = draft.path().join(LICENCES);
            PrivateFolder::make(&folder).map_err(RuntimeError::at(&folder))?;
            for licence in licences {
                let text = fs::read(licence).map_err(RuntimeError::at(licence))?;
                write_private(&folder.join(licence.file_name().unwrap_or_default()), &text)?;
            }
        }
        let place = self.store.place(record.digest()?);
        // What is there may be damaged, which is why somebody fetches it again.
        remove_folder(&place)?;
        fs::rename(draft.path(), &place).map_err(RuntimeError::at(&place))?;
        self.name(record)
    }

    /// Has a name stand for something, and forgets what it stood for if nobody else needs it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn name(&self, record: &Record) -> Result<(), RuntimeError> {
        let before = self.store.record(&record.name);
        let text = serde_json::to_vec_pretty(record).unwrap_or_default();
        self.store.folder.write(&format!("{}{RECORD}", record.name), &text)?;
        match before {
            Ok(Some(before)) if before.digest != record.digest => self.release(&before),
            _ => Ok(()),
        }
    }

    /// Forgets a name, and what it stood for if nobody else needs it. Says whether it was there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn forget(&self, name: &str) -> Result<bool, RuntimeError> {
        let before = self.store.record(name);
        if let Ok(None) = before {
            return Ok(false);
        }
        self.store.folder.remove(&format!("{name}{RECORD}"))?;
        // One that cannot be read says nothing of what it stood for.
        before.ok().flatten().map_or(Ok(()), |record| self.release(&record))?;
        Ok(true)
    }

    fn release(&self, gone: &Record) -> Result<(), RuntimeError> {
        if self.store.records()?.iter().any(|record| record.digest == gone.digest) {
            return Ok(());
        }
        remove_folder(&self.store.place(gone.digest()?))
    }

    /// Of those who were interrupted.
    fn clear_drafts(&self) -> Result<(), RuntimeError> {
        let folder = self.store.folder.path();
        for entry in fs::read_dir(folder).map_err(RuntimeError::at(folder))? {
            let entry = entry.map_err(RuntimeError::at(folder))?;
            if entry.file_name().to_string_lossy().starts_with(DRAFT) {
                remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// A module's bytes.
///
/// # Errors
/// When it cannot be read, or is larger than any is.
pub(crate) fn read_module(path: &Path) -> Result<Vec<u8>, RuntimeError> {
    let file = File::open(path).map_err(RuntimeError::at(path))?;
    let size = file.metadata().map_err(RuntimeError::at(path))?.len();
    let too_large = |size| RuntimeError::TooLarge { path: path.into(), size, max: MODULE_MAX };
    if size > MODULE_MAX {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(MODULE_MAX + 1).read_to_end(&mut bytes).map_err(RuntimeError::at(path))?;
    if bytes.len() as u64 > MODULE_MAX { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), RuntimeError> {
    let write = || {
        let mut file = private_file(path)?;
        file.write_all(bytes)?;
        // Before its name says that it is whole.
        file.sync_all()
    };
    write().map_err(RuntimeError::at(path))
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn remove_folder(path: &Path) -> Result<(), RuntimeError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (TempDir, Store) {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::below(cache.path()).unwrap();
        (cache, store)
    }

    fn record(name: &str, module: &[u8]) -> Record {
        let digest = digest(module).to_string();
        Record {
            name: name.into(),
            version: None,
            licence: None,
            source: Source::File("x.wasm".into()),
            digest,
            size: Some(module.len() as u64),
        }
    }

    fn entries(store: &Store) -> Vec<String> {
        let names = fs::read_dir(store.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_kept_is_found_and_nobody_elses() {
        let (cache, store) = store();
        let licence = cache.path().join("LICENCE");
        fs::write(&licence, "terms").unwrap();
        let python = record("python", b"one");

        store.lock().unwrap().keep(&python, b"one", &[licence]).unwrap();

        assert_eq!(store.records().unwrap(), std::slice::from_ref(&python));
        assert_eq!(store.load(&python).unwrap(), b"one");
        let place = store.place(python.digest().unwrap());
        assert_eq!(fs::read(place.join("licences/LICENCE")).unwrap(), b"terms");
        #[cfg(unix)]
        for (path, wanted) in [(place.clone(), 0o700), (place.join(MODULE), 0o600), (place.join(LICENCES), 0o700)] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, wanted, "{}", path.display());
        }
    }

    #[test]
    fn a_name_that_stands_for_something_else_leaves_nothing_behind() {
        let (_cache, store) = store();
        let locked = store.lock().unwrap();
        locked.keep(&record("python", b"one"), b"one", &[]).unwrap();
        locked.keep(&record("snake", b"one"), b"one", &[]).unwrap();

        locked.keep(&record("python", b"two"), b"two", &[]).unwrap();
        let both = entries(&store).len();
        let forgotten = locked.forget("snake").unwrap();

        assert_eq!((both, forgotten), (5, true), "the lock, two names and two modules");
        assert_eq!(entries(&store).len(), 3);
        assert_eq!(store.load(&record("python", b"two")).unwrap(), b"two");
        assert!(!locked.forget("snake").unwrap());
    }

    #[test]
    fn what_was_begun_and_not_finished_is_gone_the_next_time() {
        let (_cache, store) = store();
        let draft = store.lock().unwrap().draft().unwrap().keep();
        fs::write(draft.join("half"), "half").unwrap();

        drop(store.lock().unwrap());

        assert_eq!(entries(&store), ["lock"]);
    }

    #[test]
    fn another_module_in_its_place_is_found_out() {
        let (_cache, store) = store();
        let python = record("python", b"one");
        store.lock().unwrap().keep(&python, b"one", &[]).unwrap();
        fs::write(store.place(python.digest().unwrap()).join(MODULE), b"two").unwrap();

        let error = store.load(&python).unwrap_err().to_string();

        assert!(error.contains("is not what was kept there"), "{error}");
        assert!(error.ends_with("`haggle runtime rm python` forgets it"), "{error}");
    }
}
