//! What one task may touch: its words, its inputs to read, its scratch folder, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::event::{Launch, Stream};
use crate::meters::Meters;
use crate::outcome::SetupError;
use crate::wasi::{self, Disk, Output};

/// Where a guest finds its scratch folder. It is its working folder, too.
const SCRATCH: &str = "/scratch";

/// All that a guest is given.
pub(crate) struct Grants {
    pub(crate) builder: WasiCtxBuilder,
    pub(crate) disk: Option<Arc<Disk>>,
    /// How many of the builder's folders, from the first on, are the scratch folder.
    pub(crate) scratch_folders: u32,
    /// Removed with all that is in it when the task is over. A task without files has none.
    pub(crate) folder: Option<TaskFolder>,
}

/// # Errors
/// When the task asks for something that cannot be, or this machine cannot lay it out.
pub(crate) fn grant(
    launch: &Launch,
    scratch_dir: &Path,
    output: &Arc<Output>,
    meters: &Arc<Meters>,
) -> Result<Grants, SetupError> {
    let spec = &launch.spec;
    let mut builder = wasi::builder();
    let name = if spec.name.is_empty() { "task" } else { &spec.name };
    builder.arg(no_nul(name, "the task's name")?);
    for arg in &spec.args {
        builder.arg(no_nul(arg, "an argument")?);
    }
    // What the cluster tells a task stands above what its framework says.
    let told = |name: &String| launch.env.iter().any(|(told, _)| told == name);
    let own = spec.env.iter().filter(|(name, _)| !told(name));
    for (key, value) in own.chain(&launch.env) {
        builder.env(no_nul(key, "the environment")?, no_nul(value, "the environment")?);
    }
    if !spec.stdin.is_empty() {
        builder.stdin(wasi::stdin(spec));
    }
    builder.stdout(output.pipe(Stream::Stdout)).stderr(output.pipe(Stream::Stderr));

    let wants_scratch = !spec.resources.disk.is_zero();
    let mut grants = Grants { builder, disk: None, scratch_folders: 0, folder: None };
    if !wants_scratch && launch.inputs.is_empty() {
        return Ok(grants);
    }
    let folder = TaskFolder::make(scratch_dir, launch).map_err(SetupError::Scratch)?;
    if wants_scratch {
        grants.scratch(&folder).map_err(SetupError::Scratch)?;
        grants.disk = Some(Arc::new(Disk::new(spec.resources.disk, Arc::clone(meters))));
    }
    grants.inputs(&folder, &launch.inputs, wants_scratch)?;
    grants.folder = Some(folder);
    Ok(grants)
}

fn no_nul<'a>(text: &'a str, what: &'static str) -> Result<&'a str, SetupError> {
    if text.contains('\0') { Err(SetupError::Nul { what }) } else { Ok(text) }
}

impl Grants {
    fn scratch(&mut self, folder: &TaskFolder) -> io::Result<()> {
        let path = folder.0.join("scratch");
        fs::create_dir(&path)?;
        for guest_path in [SCRATCH, "."] {
            self.builder.preopened_dir(&path, guest_path, FsPerms::ReadWrite).map_err(io::Error::other)?;
            self.scratch_folders += 1;
        }
        Ok(())
    }

    /// A guest is given folders, not files: one for each that its inputs lie in, holding those and no more.
    fn inputs(
        &mut self,
        folder: &TaskFolder,
        inputs: &[(String, PathBuf)],
        has_scratch: bool,
    ) -> Result<(), SetupError> {
        let mut folders: BTreeMap<&str, PathBuf> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (guest_path, file) in inputs {
            let path = || guest_path.clone();
            let (parent, name) = split(guest_path).ok_or_else(|| SetupError::InputPath { path: path() })?;
            if has_scratch && (guest_path == SCRATCH || parent == SCRATCH || parent.starts_with("/scratch/")) {
                return Err(SetupError::InputInScratch { path: path() });
            }
            if !names.insert(guest_path) {
                return Err(SetupError::InputTwice { path: path() });
            }
            let failed = |source| SetupError::Input { path: path(), source };
            let number = folders.len();
            let host = folders.entry(parent).or_insert_with(|| folder.0.join(format!("input-{number}")));
            if !host.exists() {
                fs::create_dir(&*host).map_err(failed)?;
                self.builder
                    .preopened_dir(&*host, parent, FsPerms::ReadOnly)
                    .map_err(|error| failed(io::Error::other(error)))?;
            }
            lay_out(file, &host.join(name)).map_err(failed)?;
        }
        Ok(())
    }
}

/// The folder and the name of an absolute path without `.` and `..`.
fn split(path: &str) -> Option<(&str, &str)> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
    if !path.strip_prefix('/')?.split('/').all(is_plain) {
        return None;
    }
    let (parent, name) = path.rsplit_once('/')?;
    Some((if parent.is_empty() { "/" } else { parent }, name))
}

/// The same bytes under another name: for nothing where the file system can link, else as a copy. The guest
/// cannot write through either.
fn lay_out(file: &Path, to: &Path) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    if !fs::metadata(&file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    fs::hard_link(&file, to).or_else(|_| fs::copy(&file, to).map(drop))
}

/// A folder of one task, removed when this is dropped.
pub(crate) struct TaskFolder(PathBuf);

impl TaskFolder {
    fn make(scratch_dir: &Path, launch: &Launch) -> io::Result<Self> {
        // A task's id may come again, after its executor was told anew; its folder may not.
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = Self(scratch_dir.join(format!("{}-{number}", launch.spec.id)));
        fs::create_dir(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for TaskFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove a scratch folder");
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_paths_are_absolute_and_plain() {
        assert_eq!(split("/data/a.txt"), Some(("/data", "a.txt")));
        assert_eq!(split("/a.txt"), Some(("/", "a.txt")));
        for odd in ["", "/", "a.txt", "/data/", "/data/../a", "/./a", "//a", "/a\0"] {
            assert_eq!(split(odd), None, "{odd:?}");
        }
    }
}
