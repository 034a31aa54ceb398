//! The folders that tasks may read: their inputs, laid out, and those of the machine that an operator allows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::{Digest, Folder, FolderSource, Reason, TaskId, TaskSpec};
use haggle_executor::HostFolder;
use haggle_executor::inputs::{self, LaidOut};

use crate::trash::Trash;

/// Lays out what tasks may read, and removes it after them.
#[derive(Debug)]
pub(crate) struct Folders {
    /// Holds a folder for each framework, which stays, and in it one for each task with inputs.
    inputs: PathBuf,
    /// Canonical.
    allowed: Vec<PathBuf>,
    /// Inputs may be many files.
    trash: Trash,
}

/// The inputs of a task and where they are to lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    place: PathBuf,
    inputs: Vec<(String, PathBuf)>,
}

impl Layout {
    /// Makes it so: a link for each, or a copy, which may take long.
    ///
    /// # Errors
    /// When one has no place, or the disk refuses. What was laid out until then is for the caller to remove.
    pub(crate) fn make(&self) -> Result<LaidOut, NoFolders> {
        inputs::lay_out(&self.place, &self.inputs)
            .map_err(|error| NoFolders { reason: error.reason(), message: error.to_string() })
    }
}

/// Why a task cannot be given its folders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoFolders {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Folders {
    /// # Errors
    /// When an allowed folder is not there; it gives that folder, too.
    pub(crate) fn new(inputs: PathBuf, allowed: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let canonical = |path: &PathBuf| fs::canonicalize(path).map_err(|error| (path.clone(), error));
        let allowed = allowed.iter().map(canonical).collect::<Result<_, _>>()?;
        Ok(Self { inputs, allowed, trash: Trash::default() })
    }

    /// Removes what an earlier agent laid out, but for tasks that live.
    ///
    /// # Errors
    /// When the disk refuses; it gives the folder, too.
    pub(crate) fn sweep(&self, keep: impl Fn(&str) -> bool) -> Result<(), (PathBuf, io::Error)> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        for framework in fs::read_dir(&self.inputs).map_err(failed(&self.inputs))? {
            let framework = framework.map_err(failed(&self.inputs))?.path();
            for task in fs::read_dir(&framework).map_err(failed(&framework))? {
                let task = task.map_err(failed(&framework))?;
                if !task.file_name().to_str().is_some_and(&keep) {
                    fs::remove_dir_all(task.path()).map_err(failed(&task.path()))?;
                }
            }
        }
        Ok(())
    }

    /// The folders of this machine that the task names, if it may read every one of them.
    ///
    /// # Errors
    /// When one is not there, or is not allowed.
    pub(crate) fn granted(&self, spec: &TaskSpec) -> Result<Vec<HostFolder>, NoFolders> {
        let mut granted = Vec::new();
        for Folder { guest_path, source } in &spec.grants.folders {
            let FolderSource::Host(path) = source else { continue };
            let invalid = |why: String| NoFolders {
                reason: Reason::TaskInvalid,
                message: format!("folder {path:?} of the agent's machine {why}"),
            };
            // Links are followed first: what they lead to must be allowed, and is what the guest is given. Whether
            // there is something at all that is not allowed is nobody's business.
            let host = fs::canonicalize(path).ok().filter(|host| self.allows(host));
            let host = host.ok_or_else(|| invalid("is not allowed by its operator (--allow-folder)".to_owned()))?;
            if !host.is_dir() {
                return Err(invalid("is a file".to_owned()));
            }
            granted.push(HostFolder { guest_path: guest_path.clone(), host });
        }
        Ok(granted)
    }

    /// How the task's inputs are to be laid out, whose content is in these files. Its place is free.
    pub(crate) fn layout(&self, spec: &TaskSpec, file: impl Fn(Digest) -> PathBuf) -> Layout {
        self.remove(spec.id);
        let inputs = spec.inputs.iter().map(|input| (input.guest_path.clone(), file(input.content))).collect();
        Layout { place: self.place(spec.id), inputs }
    }

    /// The task has ended, or never ran.
    pub(crate) fn remove(&self, task: TaskId) {
        let place = self.place(task);
        match self.trash.take(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = %place.display(), %error, "cannot remove the inputs of a task");
            }
            _ => {}
        }
    }

    fn place(&self, task: TaskId) -> PathBuf {
        self.inputs.join(task.framework.to_string()).join(task.to_string())
    }

    fn allows(&self, canonical: &Path) -> bool {
        self.allowed.iter().any(|allowed| canonical.starts_with(allowed))
    }
}
