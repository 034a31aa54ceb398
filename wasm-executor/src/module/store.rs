//! Compiled modules on disk: loading machine code is trusting it, so only what this user's executor wrote.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use haggle_core::Digest;
use wasmtime::Engine;
use wasmtime::Module;
use wasmtime::component::Component;

use super::Code;
use crate::StartError;

/// Bytes of compiled modules on disk. Those that were made first leave first.
const STORE_MAX: u64 = 4 << 30;

/// A folder that only this user can look into, with one file per module and engine:
/// `DIGEST-ENGINE.core` or `DIGEST-ENGINE.component`.
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// # Errors
    /// When the folder cannot be made private to this user.
    pub(crate) fn open(folder: &Path) -> Result<Self, StartError> {
        let failed =
            |source| StartError::Folder { folder: folder.to_owned(), purpose: "a cache of compiled modules", source };
        fs::create_dir_all(folder).map_err(failed)?;
        make_private(folder, failed)?;
        let store = Self { folder: folder.to_owned() };
        store.prune();
        Ok(store)
    }

    /// Anything that does not load is compiled again.
    pub(super) fn load(&self, engine: &Engine, compatibility: &str, digest: Digest) -> Option<Code> {
        let core = self.file(compatibility, digest, "core");
        if core.exists() {
            #[expect(unsafe_code, reason = "the file was written by `save`, in a folder that only this user can write")]
            // SAFETY: as said; it was renamed into place after it was written and synced in full.
            let module = unsafe { Module::deserialize_file(engine, &core) };
            return usable(&core, module).map(Code::Core);
        }
        let component = self.file(compatibility, digest, "component");
        if component.exists() {
            #[expect(unsafe_code, reason = "the file was written by `save`, in a folder that only this user can write")]
            // SAFETY: as above.
            let loaded = unsafe { Component::deserialize_file(engine, &component) };
            return usable(&component, loaded).map(Code::Component);
        }
        None
    }

    /// A cache that cannot be written costs time, not tasks.
    pub(super) fn save(&self, compatibility: &str, digest: Digest, code: &Code) {
        let (kind, bytes) = match code {
            Code::Core(module) => ("core", module.serialize()),
            Code::Component(component) => ("component", component.serialize()),
        };
        let path = self.file(compatibility, digest, kind);
        let written = bytes.map_err(io::Error::other).and_then(|bytes| write_whole(&path, &bytes));
        match written {
            Ok(()) => self.prune(),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot keep a compiled module"),
        }
    }

    fn file(&self, compatibility: &str, digest: Digest, kind: &str) -> PathBuf {
        self.folder.join(format!("{}-{compatibility}.{kind}", digest.hex()))
    }

    /// Keeps the newest, up to the bound.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let meta = entry.metadata().ok()?;
                Some((meta.modified().ok()?, meta.len(), entry.path()))
            })
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        let mut kept = 0;
        for (_, size, path) in files {
            kept += size;
            if kept > STORE_MAX {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn usable<T>(path: &Path, loaded: wasmtime::Result<T>) -> Option<T> {
    match loaded {
        Ok(code) => Some(code),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiles again what cannot be loaded");
            let _ = fs::remove_file(path);
            None
        }
    }
}

/// A crash leaves the whole file or none: half a module would be half a machine code.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let unfinished = path.with_extension(format!("{}-{number}.unfinished", std::process::id()));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

#[cfg(unix)]
fn make_private(folder: &Path, failed: impl Fn(io::Error) -> StartError) -> Result<(), StartError> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let owner = fs::metadata(folder).map_err(&failed)?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Err(StartError::ForeignCache { folder: folder.to_owned(), owner, user });
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Windows gives a new folder in a user's profile to that user alone.
#[cfg(not(unix))]
fn make_private(_: &Path, _: impl Fn(io::Error) -> StartError) -> Result<(), StartError> {
    Ok(())
}
