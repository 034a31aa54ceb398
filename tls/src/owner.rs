//! The token that a master leaves for its user's programs on the same machine, so that they come in without one of their
//! own, and nobody else does.

use std::env;
use std::path::{Path, PathBuf};

use crate::{PrivateFolder, PrivateFolderError, Token, TokenError};

/// Why the token that was left is of no use.
#[derive(Debug, thiserror::Error)]
pub enum OwnerTokenError {
    /// This user has no folder to leave it in.
    #[error("there is no folder for it: neither XDG_STATE_HOME nor HOME is an absolute path")]
    NoFolder,
    /// The folder, or the file in it.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// What is in the file.
    #[error("{}: {source}", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: TokenError,
    },
}

/// A token that was left for the programs of this user. It is taken away when this is dropped, unless another master has
/// left its own there meanwhile.
#[derive(Debug)]
pub struct LeftToken {
    folder: PrivateFolder,
    name: String,
    token: Token,
}

impl LeftToken {
    /// Leaves a token for the master on this port, in the place of the one before.
    ///
    /// # Errors
    /// When there is no folder for it, or it cannot be written.
    pub fn leave(port: u16, token: Token) -> Result<Self, OwnerTokenError> {
        Self::leave_in(&folder().ok_or(OwnerTokenError::NoFolder)?, port, token)
    }

    fn leave_in(folder: &Path, port: u16, token: Token) -> Result<Self, OwnerTokenError> {
        let (folder, name) = (PrivateFolder::open(folder)?, file_name(port));
        folder.write(&name, token.text().as_bytes())?;
        Ok(Self { folder, name, token })
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

impl Drop for LeftToken {
    fn drop(&mut self) {
        let is_ours = matches!(read(&self.folder, &self.name), Ok(Some(token)) if token == self.token);
        // One that stays opens nothing: its master is gone.
        if is_ours {
            let _ = self.folder.remove(&self.name);
        }
    }
}

/// The token that the master on this port has left for this user's programs; `None` where none has.
///
/// # Errors
/// When there is one that cannot be read, or that others can read, too.
pub fn owner_token(port: u16) -> Result<Option<Token>, OwnerTokenError> {
    folder().map_or(Ok(None), |folder| find_in(&folder, port))
}

fn find_in(folder: &Path, port: u16) -> Result<Option<Token>, OwnerTokenError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    read(&PrivateFolder::open(folder)?, &file_name(port))
}

fn read(folder: &PrivateFolder, name: &str) -> Result<Option<Token>, OwnerTokenError> {
    let Some(text) = folder.read(name)? else { return Ok(None) };
    let token = String::from_utf8_lossy(&text).parse();
    token.map(Some).map_err(|source| OwnerTokenError::Token { path: folder.path().join(name), source })
}

fn file_name(port: u16) -> String {
    format!("{port}.token")
}

/// `haggle/masters` in `$XDG_STATE_HOME`, in `~/.local/state`, or on Windows in `%LOCALAPPDATA%`.
fn folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(state.join("haggle").join("masters"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use haggle_core::ClusterId;

    use super::*;
    use crate::{Secret, TokenId, TokenKind};

    fn token() -> Token {
        Token {
            kind: TokenKind::Owner,
            cluster: ClusterId(1),
            addresses: vec!["127.0.0.1:7".to_owned()],
            authority: None,
            id: TokenId([1; 8]),
            secret: Secret::random(),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
        }
    }

    #[test]
    fn a_token_is_found_by_its_port_for_as_long_as_its_master_runs() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("masters");
        assert!(find_in(&folder, 7).unwrap().is_none());

        let token = token();
        let left = LeftToken::leave_in(&folder, 7, token.clone()).unwrap();

        assert_eq!(find_in(&folder, 7).unwrap(), Some(token));
        assert!(find_in(&folder, 8).unwrap().is_none());
        assert!(left.path().ends_with("masters/7.token"));
        drop(left);
        assert!(find_in(&folder, 7).unwrap().is_none());
    }

    #[test]
    fn a_master_that_ends_late_does_not_take_away_what_its_successor_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let first = LeftToken::leave_in(dir.path().join("m").as_path(), 7, token()).unwrap();
        let successor = token();
        let second = LeftToken::leave_in(dir.path().join("m").as_path(), 7, successor.clone()).unwrap();

        drop(first);

        assert_eq!(find_in(&dir.path().join("m"), 7).unwrap(), Some(successor));
        drop(second);
    }

    #[test]
    fn what_is_no_token_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("masters");
        PrivateFolder::open(&folder).unwrap().write("7.token", b"hello").unwrap();

        let said = find_in(&folder, 7).unwrap_err().to_string();

        assert!(said.contains("7.token: this is no token"), "{said}");
    }
}
