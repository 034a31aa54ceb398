//! The tokens by which the user of a machine is the owner of the masters that run there.
//!
//! A master draws a token at each start, and leaves it in a folder that only its user can enter. The same user's commands
//! find it there by the master's port; everybody else on the machine is a stranger.

use std::env;
use std::path::{Path, PathBuf};

use tracing::debug;
use zeroize::Zeroizing;

use crate::{PrivateFolder, PrivateFolderError, Token, TokenId};

/// The folder of a user's owner tokens: `haggle/masters` in `$XDG_STATE_HOME` or `~/.local/state`; on Windows in
/// `%LOCALAPPDATA%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerTokens(PathBuf);

impl OwnerTokens {
    /// Of this process's user. `None` for one without a home.
    pub fn of_user() -> Option<Self> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let local = || if cfg!(windows) { absolute("LOCALAPPDATA") } else { None };
        let home = || absolute("HOME").map(|home| home.join(".local/state"));
        let state = absolute("XDG_STATE_HOME").or_else(local).or_else(home)?;
        Some(Self(state.join("haggle").join("masters")))
    }

    /// In another folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The file in which the token of a port is, as long as its master runs.
    pub fn file(&self, port: u16) -> PathBuf {
        self.0.join(name(port))
    }

    /// Leaves the token of the master that listens on a port, in the place of one before. Nobody else can read it.
    ///
    /// # Errors
    /// When it cannot be written, or when others can enter the folder.
    pub fn publish(&self, port: u16, token: &Token) -> Result<(), PrivateFolderError> {
        PrivateFolder::open(&self.0)?.write(&name(port), token.text().as_bytes())
    }

    /// Leaves beside it the header by which a program without a library shows it, and says where: `curl -H @FILE` reads
    /// it, so that the secret is on no command line. [`Self::withdraw`] removes it too.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn publish_header(&self, port: u16, token: &Token) -> Result<PathBuf, PrivateFolderError> {
        let header = Zeroizing::new(format!("Authorization: {}\n", token.bearer().authorization().as_str()));
        PrivateFolder::open(&self.0)?.write(&header_name(port), header.as_bytes())?;
        Ok(self.0.join(header_name(port)))
    }

    /// The token of the master that listens on a port, if it is this user's. One that cannot be read is none; the log
    /// says why.
    pub fn find(&self, port: u16) -> Option<Token> {
        // Whoever only looks makes no folder.
        if !self.0.is_dir() {
            return None;
        }
        let read = PrivateFolder::open(&self.0).and_then(|folder| folder.read(&name(port)));
        let text = match read {
            Ok(text) => text?,
            Err(error) => {
                debug!("no token of the owner's: {error}");
                return None;
            }
        };
        let token = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        if token.is_none() {
            debug!("{} holds no token", self.0.join(name(port)).display());
        }
        token
    }

    /// The master of this token has stopped. One that listens there since has left its own, which stays.
    ///
    /// # Errors
    /// When a file cannot be removed, or when others can enter the folder.
    pub fn withdraw(&self, port: u16, token: TokenId) -> Result<(), PrivateFolderError> {
        if self.find(port).is_none_or(|left| left.id != token) {
            return Ok(());
        }
        let folder = PrivateFolder::open(&self.0)?;
        folder.remove(&header_name(port))?;
        folder.remove(&name(port))
    }
}

fn name(port: u16) -> String {
    format!("{port}.token")
}

fn header_name(port: u16) -> String {
    format!("{port}.header")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use haggle_core::ClusterId;

    use super::*;
    use crate::{Bearer, Secret, TokenKind};

    fn token() -> Token {
        Token {
            kind: TokenKind::Owner,
            cluster: ClusterId(7),
            addresses: vec!["127.0.0.1:5050".to_owned()],
            authority: None,
            id: TokenId::random(),
            secret: Secret::random(),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(10),
        }
    }

    #[test]
    fn a_token_is_found_by_the_port_of_its_master_until_that_stops() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        assert_eq!(tokens.find(5050), None);
        assert!(!tokens.folder().exists(), "whoever looks makes nothing");

        let (one, two) = (token(), token());
        tokens.publish(5050, &token()).unwrap();
        tokens.publish(5050, &one).unwrap();
        let id = one.id;
        tokens.publish(5051, &two).unwrap();

        assert_eq!((tokens.find(5050), tokens.find(5051)), (Some(one), Some(two.clone())));
        tokens.withdraw(5050, id).unwrap();
        assert_eq!((tokens.find(5050), tokens.find(5051)), (None, Some(two)));
    }

    #[test]
    fn a_master_that_stops_late_takes_away_no_token_of_the_one_that_follows() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let (old, new) = (token(), token());
        tokens.publish(5050, &old).unwrap();
        tokens.publish(5050, &new).unwrap();

        tokens.withdraw(5050, old.id).unwrap();

        assert_eq!(tokens.find(5050), Some(new));
    }

    #[test]
    fn a_header_shows_the_token_and_goes_with_it() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let token = token();
        tokens.publish(5050, &token).unwrap();

        let file = tokens.publish_header(5050, &token).unwrap();

        let line = std::fs::read_to_string(&file).unwrap();
        let shown = line.strip_prefix("Authorization: ").unwrap().trim_end();
        assert_eq!(Bearer::from_authorization(shown).unwrap(), token.bearer());
        tokens.withdraw(5050, token.id).unwrap();
        assert!(!file.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_none() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        tokens.publish(5050, &token()).unwrap();

        set_permissions(tokens.folder().join("5050.token"), Permissions::from_mode(0o644)).unwrap();

        assert_eq!(tokens.find(5050), None);
    }
}
