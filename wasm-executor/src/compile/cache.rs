//! Compiled modules on disk: loading machine code is trusting it, so only what this user's compilers wrote.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use haggle_core::Digest;
use wasmtime::Engine;

use crate::StartError;
use crate::engine;
use crate::event::Meter;

/// Bytes of compiled modules on disk. Those that were not used for longest leave first.
const CACHE_MAX: u64 = 4 << 30;

/// A folder that only this user can look into, with one file per module and form: `DIGEST-ENGINE.cwasm`, where the
/// engine stands for all that the machine code depends on.
pub(super) struct Cache {
    folder: PathBuf,
    fuel: String,
    epochs: String,
}

/// A file that is being written and has no name yet that anybody would look for. Removed unless it is kept.
pub(super) struct Unfinished<'a> {
    cache: &'a Cache,
    path: PathBuf,
}

/// # Errors
/// When the folder cannot be made, and private to this user.
pub(super) fn make_folder(folder: &Path) -> Result<(), StartError> {
    let failed =
        |source| StartError::Folder { folder: folder.to_owned(), purpose: "a cache of compiled modules", source };
    fs::create_dir_all(folder).map_err(failed)?;
    make_private(folder, failed)
}

impl Cache {
    /// # Errors
    /// When the folder cannot be made private to this user.
    pub(super) fn open(folder: &Path) -> Result<Self, StartError> {
        make_folder(folder)?;
        let engine = |meter| {
            let engine = Engine::new(&engine::config(meter));
            let engine = engine.map_err(|error| StartError::Compiler { reason: format!("{error:#}") })?;
            Ok::<_, StartError>(engine::compatibility(&engine))
        };
        let (fuel, epochs) = (engine(Meter::Fuel)?, engine(Meter::Epochs)?);
        Ok(Self { folder: folder.to_owned(), fuel, epochs })
    }

    /// The compiled module, if it is there. What is damaged is removed.
    pub(super) fn find(&self, module: Digest, meter: Meter) -> Option<PathBuf> {
        let path = self.file(module, meter);
        // Who is looked for stays: see `prune`.
        let touched = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        match touched {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot say that a compiled module is in use"),
        }
        match Engine::detect_precompiled_file(&path) {
            Ok(Some(_)) => return Some(path),
            Ok(None) => tracing::warn!(path = %path.display(), "compiles again what is no compiled module"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "compiles again what cannot be read"),
        }
        let _ = fs::remove_file(&path);
        None
    }

    /// A new file to write to, and its handle.
    pub(super) fn begin(&self) -> io::Result<(Unfinished<'_>, File)> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{number}.unfinished", std::process::id()));
        // One of this name was left behind by another process that had our number.
        let file = File::create(&path)?;
        Ok((Unfinished { cache: self, path }, file))
    }

    fn file(&self, module: Digest, meter: Meter) -> PathBuf {
        let engine = match meter {
            Meter::Fuel => &self.fuel,
            Meter::Epochs => &self.epochs,
        };
        self.folder.join(format!("{}-{engine}.cwasm", module.hex()))
    }

    /// Keeps what was used last, up to the bound. Takes as long as there are files.
    pub(super) fn prune(&self) {
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
            if kept > CACHE_MAX {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Unfinished<'_> {
    /// Gives the file its name. A crash of the machine leaves the whole file or none: half a module would be half a
    /// machine code.
    pub(super) fn keep(self, file: &File, module: Digest, meter: Meter) -> io::Result<PathBuf> {
        file.sync_all()?;
        let path = self.cache.file(module, meter);
        fs::rename(&self.path, &path)?;
        self.cache.prune();
        Ok(path)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Gone already when it was kept.
        let _ = fs::remove_file(&self.path);
    }
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
