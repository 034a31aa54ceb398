//! What an agent keeps on disk over a restart, and the claim that keeps others out of it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};

use haggle_core::AgentId;

/// A work folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkDirError {
    /// Another agent is at work there.
    #[error("{} is in use by another agent; give each agent a work folder of its own", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The file with the agent's id was changed by somebody else.
    #[error("{} holds {got:?} instead of an agent's id and its master; remove it to join as a new agent", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it holds, or the start of it.
        got: String,
    },
    /// The disk refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

/// A work folder that belongs to this agent for as long as this lives.
#[derive(Debug)]
pub(crate) struct WorkDir {
    root: PathBuf,
    /// The master that the id is from: another master's `agent-1` is another agent.
    master: String,
    /// Locked. Held, not read.
    _claim: File,
}

impl WorkDir {
    /// Claims the folder. What an earlier run left there stays until it is known which of its tasks live.
    ///
    /// # Errors
    /// When another agent holds it, or the disk refuses.
    pub(crate) fn open(root: &Path, master: &str) -> Result<Self, WorkDirError> {
        let root = &path::absolute(root).map_err(failed("find", root))?;
        create(root)?;
        let lock = root.join("lock");
        let claim = File::create(&lock).map_err(failed("create", &lock))?;
        claim.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => WorkDirError::InUse { path: root.to_owned() },
            TryLockError::Error(source) => failed("lock", &lock)(source),
        })?;
        let dir = Self { root: root.to_owned(), master: master.to_owned(), _claim: claim };
        for folder in [dir.artifacts(), dir.logs(), dir.inputs(), dir.executors()] {
            create(&folder)?;
        }
        Ok(dir)
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// A folder for each executor: its socket, its log, and the scratch folders of its tasks.
    pub(crate) fn executors(&self) -> PathBuf {
        self.root.join("executors")
    }

    /// Inputs of tasks, laid out. Beside the artifacts, so that the same files can have names in both.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// The id that this master gave, if it did.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn agent_id(&self) -> Result<Option<AgentId>, WorkDirError> {
        let path = self.id_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let parsed = text.trim_end().split_once(' ').and_then(|(id, master)| Some((id.parse().ok()?, master)));
        let Some((id, master)) = parsed else {
            return Err(WorkDirError::Unreadable { path, got: text.chars().take(80).collect() });
        };
        Ok((master == self.master).then_some(id))
    }

    /// Writes the id down, all of it or nothing.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn remember(&self, id: AgentId) -> Result<(), WorkDirError> {
        let path = self.id_file();
        let new = self.root.join("agent.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            writeln!(file, "{id} {}", self.master)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(failed("write", &path))
    }

    /// Forgets the id: who has left for good comes back as somebody new.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn forget(&self) -> Result<(), WorkDirError> {
        let path = self.id_file();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn id_file(&self) -> PathBuf {
        self.root.join("agent")
    }
}

fn create(path: &Path) -> Result<(), WorkDirError> {
    fs::create_dir_all(path).map_err(failed("create", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WorkDirError {
    let path = path.to_owned();
    move |source| WorkDirError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "http://127.0.0.1:5050/";

    #[test]
    fn an_id_is_remembered_for_the_master_that_gave_it() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path(), MASTER).unwrap();
        assert_eq!(dir.agent_id().unwrap(), None);

        dir.remember(AgentId(3)).unwrap();
        drop(dir);

        let same = WorkDir::open(root.path(), MASTER).unwrap();
        assert_eq!(same.agent_id().unwrap(), Some(AgentId(3)));
        drop(same);
        let other = WorkDir::open(root.path(), "http://127.0.0.1:6000/").unwrap();
        assert_eq!(other.agent_id().unwrap(), None);
    }

    #[test]
    fn who_left_comes_back_as_somebody_new() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path(), MASTER).unwrap();
        dir.remember(AgentId(3)).unwrap();

        dir.forget().unwrap();

        assert_eq!(dir.agent_id().unwrap(), None);
        dir.forget().unwrap();
    }

    #[test]
    fn two_agents_cannot_share_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let first = WorkDir::open(root.path(), MASTER).unwrap();

        let refused = WorkDir::open(root.path(), MASTER).unwrap_err();
        assert!(matches!(refused, WorkDirError::InUse { .. }), "{refused}");

        drop(first);
        WorkDir::open(root.path(), MASTER).unwrap();
    }

    #[test]
    fn a_spoilt_id_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path(), MASTER).unwrap();
        fs::write(root.path().join("agent"), "hello").unwrap();

        let error = dir.agent_id().unwrap_err().to_string();

        assert!(error.contains("holds \"hello\" instead of an agent's id"), "{error}");
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();

        assert!(matches!(WorkDir::open(&file, MASTER), Err(WorkDirError::Io { action: "create", .. })));
    }
}
