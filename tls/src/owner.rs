//! The tokens by which the user of a machine is the owner of the masters that run there.
//!
//! A master draws a token at each start, and leaves it in a folder that only its user can enter. The same user's commands
//! find it there by where the master listens; everybody else on the machine is a stranger.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

    /// The file in which the token of a master is, as long as it runs and listens there.
    pub fn file(&self, listening: SocketAddr) -> PathBuf {
        self.0.join(name(listening, TOKEN))
    }

    /// The file of [`Self::publish_header`].
    pub fn header_file(&self, listening: SocketAddr) -> PathBuf {
        self.0.join(name(listening, HEADER))
    }

    /// Leaves the token of the master that listens there, in the place of one before. Nobody else can read it.
    ///
    /// # Errors
    /// When it cannot be written, or when others can enter the folder.
    pub fn publish(&self, listening: SocketAddr, token: &Token) -> Result<(), PrivateFolderError> {
        PrivateFolder::open(&self.0)?.write(&name(listening, TOKEN), token.text().as_bytes())
    }

    /// Leaves beside it the header by which a program without a library shows it: `curl -H @FILE` reads it, so that the
    /// secret is on no command line. [`Self::withdraw`] removes it too.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn publish_header(&self, listening: SocketAddr, token: &Token) -> Result<(), PrivateFolderError> {
        let header = Zeroizing::new(format!("Authorization: {}\n", token.bearer().authorization().as_str()));
        PrivateFolder::open(&self.0)?.write(&name(listening, HEADER), header.as_bytes())
    }

    /// The token of the master that a connection to this address comes to, if it is this user's: of one that listens there
    /// and nowhere else, or else on all addresses. One that cannot be read is none; the log says why.
    pub fn find(&self, dialled: SocketAddr) -> Option<Token> {
        // Whoever only looks makes no folder.
        if !self.0.is_dir() {
            return None;
        }
        let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let dialled_ip = dialled.ip().to_canonical();
        // One of version 6 alone is never reached by an address of version 4, but one of version 6 may serve both.
        let everywhere = everywhere.into_iter().filter(|all| all.is_ipv6() || dialled_ip.is_ipv4());
        let mut listening = [dialled_ip].into_iter().chain(everywhere);
        listening.find_map(|ip| self.read(SocketAddr::new(ip, dialled.port())))
    }

    fn read(&self, listening: SocketAddr) -> Option<Token> {
        let name = name(listening, TOKEN);
        let read = PrivateFolder::open(&self.0).and_then(|folder| folder.read(&name));
        let text = match read {
            Ok(text) => text?,
            Err(error) => {
                debug!("no token of the owner's: {error}");
                return None;
            }
        };
        let token = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        if token.is_none() {
            debug!("{} holds no token", self.0.join(name).display());
        }
        token
    }

    /// The master of this token has stopped. One that listens there since has left its own, which stays.
    ///
    /// # Errors
    /// When a file cannot be removed, or when others can enter the folder.
    pub fn withdraw(&self, listening: SocketAddr, token: TokenId) -> Result<(), PrivateFolderError> {
        if !self.0.is_dir() || self.read(listening).is_none_or(|left| left.id != token) {
            return Ok(());
        }
        let folder = PrivateFolder::open(&self.0)?;
        folder.remove(&name(listening, HEADER))?;
        folder.remove(&name(listening, TOKEN))
    }
}

const TOKEN: &str = "token";
const HEADER: &str = "header";

/// Masters of one port may listen on different addresses of this machine. Not every system takes a colon in a name.
fn name(listening: SocketAddr, kind: &str) -> String {
    let ip = listening.ip().to_canonical().to_string().replace(':', "_");
    format!("{ip}-{}.{kind}", listening.port())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use haggle_core::ClusterId;

    use super::*;
    use crate::{Bearer, Loopback, Pass, Secret, TokenKind};

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

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
    fn a_token_is_found_by_where_its_master_listens_until_that_stops() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let [first, second] = ["127.0.0.1:5050", "127.0.0.1:5051"].map(at);
        assert_eq!(tokens.find(first), None);
        assert!(!tokens.folder().exists(), "whoever looks makes nothing");

        let (one, two) = (token(), token());
        tokens.publish(first, &token()).unwrap();
        tokens.publish(first, &one).unwrap();
        let id = one.id;
        tokens.publish(second, &two).unwrap();

        assert_eq!((tokens.find(first), tokens.find(second)), (Some(one), Some(two.clone())));
        tokens.withdraw(first, id).unwrap();
        assert_eq!((tokens.find(first), tokens.find(second)), (None, Some(two)));
    }

    #[test]
    fn masters_of_one_port_on_several_addresses_have_a_token_each() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let listening = ["127.0.0.1:5050", "127.0.0.2:5050", "[::1]:5050"].map(at);
        let all = listening.map(|listening| {
            let token = token();
            tokens.publish(listening, &token).unwrap();
            Some(token)
        });

        assert_eq!(listening.map(|listening| tokens.find(listening)), all);
        // Another user may listen there.
        assert_eq!(tokens.find(at("127.0.0.3:5050")), None);
        let found = |host| Pass::owner(&tokens, Loopback::of(host, 5050).unwrap());
        assert_eq!(found("127.0.0.2"), Pass::token(all[1].as_ref().unwrap()));
        assert_eq!(found("localhost"), Pass::token(all[0].as_ref().unwrap()));
        tokens.withdraw(listening[0], all[0].as_ref().unwrap().id).unwrap();
        assert_eq!(found("localhost"), Pass::token(all[2].as_ref().unwrap()));
    }

    #[test]
    fn who_listens_on_all_addresses_is_found_by_each_on_which_nobody_else_does() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let [everywhere, one] = [token(), token()];
        tokens.publish(at("0.0.0.0:5050"), &everywhere).unwrap();
        tokens.publish(at("127.0.0.2:5050"), &one).unwrap();

        assert_eq!(tokens.find(at("127.0.0.1:5050")), Some(everywhere));
        assert_eq!(tokens.find(at("127.0.0.2:5050")), Some(one));
        assert_eq!(tokens.find(at("[::1]:5050")), None, "it does not listen there");
        let both = token();
        tokens.publish(at("[::]:5051"), &both).unwrap();
        assert_eq!(tokens.find(at("127.0.0.1:5051")), Some(both));
    }

    #[test]
    fn a_master_that_stops_late_takes_away_no_token_of_the_one_that_follows() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let (old, new) = (token(), token());
        tokens.publish(at("127.0.0.1:5050"), &old).unwrap();
        tokens.publish(at("127.0.0.1:5050"), &new).unwrap();

        tokens.withdraw(at("127.0.0.1:5050"), old.id).unwrap();

        assert_eq!(tokens.find(at("127.0.0.1:5050")), Some(new));
    }

    #[test]
    fn a_header_shows_the_token_and_goes_with_it() {
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        let (token, listening) = (token(), at("127.0.0.1:5050"));
        tokens.publish(listening, &token).unwrap();

        tokens.publish_header(listening, &token).unwrap();
        let file = tokens.header_file(listening);

        let line = std::fs::read_to_string(&file).unwrap();
        let shown = line.strip_prefix("Authorization: ").unwrap().trim_end();
        assert_eq!(Bearer::from_authorization(shown).unwrap(), token.bearer());
        tokens.withdraw(listening, token.id).unwrap();
        assert!(!file.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_none() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir().unwrap();
        let tokens = OwnerTokens::in_folder(above.path().join("masters"));
        tokens.publish(at("127.0.0.1:5050"), &token()).unwrap();

        set_permissions(tokens.file(at("127.0.0.1:5050")), Permissions::from_mode(0o644)).unwrap();

        assert_eq!(tokens.find(at("127.0.0.1:5050")), None);
    }
}
