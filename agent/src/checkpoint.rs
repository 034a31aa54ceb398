//! What an agent keeps on disk over a restart, and the claim that keeps others out of it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};

use haggle_core::AgentKey;
use haggle_tls::PrivateFolder;

use crate::identity::{Identity, NotAnIdentity};

/// A work folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkDirError {
    /// Another agent is at work there.
    #[error("{} is in use by another agent; give each agent a work folder of its own", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// An earlier release wrote the file with the agent's id.
    #[error(
        "{} was written by an earlier release of Haggle, whose agents knew their cluster by its master's address; \
         remove it, and the agent joins as a new one", path.display()
    )]
    OldForm {
        /// The file.
        path: PathBuf,
    },
    /// The file with the agent's id was changed by somebody else.
    #[error("{} holds {got:?} instead of an agent's identity; remove it to join as a new agent", path.display())]
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
    /// The system has no random numbers to give.
    #[error("cannot draw a key: {0}")]
    NoRandom(String),
}

/// A work folder that belongs to this agent for as long as this lives.
#[derive(Debug)]
pub(crate) struct WorkDir {
    root: PathBuf,
    /// Whether it goes with this process: nobody comes back to what is written down here.
    is_transient: bool,
    /// Locked. Held, not read.
    _claim: File,
}

impl WorkDir {
    /// Claims the folder. What an earlier run left there stays until it is known which of its tasks live.
    ///
    /// # Errors
    /// When another agent holds it, or the disk refuses.
    pub(crate) fn open(root: &Path) -> Result<Self, WorkDirError> {
        let root = &path::absolute(root).map_err(failed("find", root))?;
        // Tasks' output and inputs are in it, which other users of the machine have no business with.
        PrivateFolder::make(root).map_err(failed("create", root))?;
        let lock = root.join("lock");
        let claim =
            File::options().write(true).create(true).truncate(false).open(&lock).map_err(failed("create", &lock))?;
        claim.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => WorkDirError::InUse { path: root.to_owned() },
            TryLockError::Error(source) => failed("lock", &lock)(source),
        })?;
        let dir = Self { root: root.to_owned(), is_transient: false, _claim: claim };
        for folder in [dir.artifacts(), dir.logs(), dir.inputs(), dir.executors(), dir.volumes()] {
            fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        }
        Ok(dir)
    }

    /// The same folder, which goes with this process.
    pub(crate) fn transient(self) -> Self {
        Self { is_transient: true, ..self }
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

    /// A folder for each volume.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Its certificate and key, once it has joined by them.
    pub(crate) fn pki(&self) -> PathBuf {
        pki(&self.root)
    }

    /// Who the agent in this folder is. One that is here for the first time is given a key, which is on disk when this
    /// returns.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or cannot be written.
    pub(crate) fn identity(&self) -> Result<Identity, WorkDirError> {
        let path = self.identity_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Identity::new(AgentKey(random()?));
                self.remember(&identity)?;
                return Ok(identity);
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        Identity::parse(&text).map_err(|not| match not {
            NotAnIdentity::OldForm => WorkDirError::OldForm { path },
            NotAnIdentity::Unreadable => WorkDirError::Unreadable { path, got: text.chars().take(80).collect() },
        })
    }

    /// Writes the identity down, all of it or nothing. It is on disk when this returns, unless the folder is transient: then
    /// nobody will ask for it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn remember(&self, identity: &Identity) -> Result<(), WorkDirError> {
        if self.is_transient {
            return Ok(());
        }
        let path = self.identity_file();
        let new = self.root.join("agent.new");
        let write = || -> io::Result<()> {
            let mut file = private(&new)?;
            file.write_all(identity.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_folder(&self.root)
        };
        write().map_err(failed("write", &path))
    }

    /// Forgets the identity: who has left for good comes back as somebody new.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn forget(&self) -> Result<(), WorkDirError> {
        let path = self.identity_file();
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_folder(&self.root)).map_err(failed("remove", &path)),
        }
    }

    fn identity_file(&self) -> PathBuf {
        self.root.join("agent")
    }
}

/// Where the agent in a work folder keeps its certificate.
pub(crate) fn pki(work_dir: &Path) -> PathBuf {
    work_dir.join("pki")
}

/// 128 bits that nobody can guess.
///
/// # Errors
/// When the system has none to give.
pub(crate) fn random() -> Result<u128, WorkDirError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| WorkDirError::NoRandom(error.to_string()))?;
    Ok(u128::from_ne_bytes(bytes))
}

/// A new file that nobody but this user can read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file's name is safe only once its folder is.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// This system writes names down by itself.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WorkDirError {
    let path = path.to_owned();
    move |source| WorkDirError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use haggle_core::{AgentId, ClusterId, Epoch, Member};

    use super::*;

    #[test]
    fn an_agent_keeps_its_key_its_id_and_the_epoch() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path()).unwrap();
        let mut identity = dir.identity().unwrap();
        assert_eq!((identity.member, identity.epoch), (None, Epoch(0)));
        identity.member = Some(Member { cluster: ClusterId(9), id: AgentId(3) });
        identity.epoch = Epoch(4);

        dir.remember(&identity).unwrap();
        drop(dir);

        assert_eq!(WorkDir::open(root.path()).unwrap().identity().unwrap(), identity);
    }

    #[test]
    fn a_folder_that_goes_with_its_agent_holds_no_identity() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path()).unwrap().transient();

        dir.remember(&dir.identity().unwrap()).unwrap();
        dir.forget().unwrap();

        assert!(!root.path().join("agent").exists());
    }

    #[test]
    fn a_key_is_drawn_once_for_each_folder() {
        let roots = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let key = |root: &tempfile::TempDir| WorkDir::open(root.path()).unwrap().identity().unwrap().key;

        assert_eq!(key(&roots[0]), key(&roots[0]));
        assert_ne!(key(&roots[0]), key(&roots[1]));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        WorkDir::open(root.path()).unwrap().identity().unwrap();

        assert_eq!(fs::metadata(root.path().join("agent")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_look_into_a_work_folder_that_is_new() {
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("state").join("agent");

        let _dir = WorkDir::open(&root).unwrap();

        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn who_left_comes_back_as_somebody_new() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path()).unwrap();
        let left = dir.identity().unwrap();

        dir.forget().unwrap();
        dir.forget().unwrap();

        assert_ne!(dir.identity().unwrap().key, left.key);
    }

    #[test]
    fn two_agents_cannot_share_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let first = WorkDir::open(root.path()).unwrap();

        let refused = WorkDir::open(root.path()).unwrap_err();
        assert!(matches!(refused, WorkDirError::InUse { .. }), "{refused}");

        drop(first);
        WorkDir::open(root.path()).unwrap();
    }

    #[test]
    fn a_spoilt_or_old_identity_is_named_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let dir = WorkDir::open(root.path()).unwrap();
        let told = |text: &str| {
            fs::write(root.path().join("agent"), text).unwrap();
            dir.identity().unwrap_err().to_string()
        };

        let spoilt = told("hello");
        assert!(spoilt.contains("holds \"hello\" instead of an agent's identity; remove it"), "{spoilt}");
        let old = told("agent-3 http://127.0.0.1:5050/\n");
        assert!(old.contains("an earlier release") && old.contains("remove it, and the agent joins"), "{old}");
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();

        assert!(matches!(WorkDir::open(&file), Err(WorkDirError::Io { action: "create", .. })));
    }
}
