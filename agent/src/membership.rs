//! What an agent keeps on disk of the cluster that it has joined: its certificate with the key, and where the masters are.

use std::path::{Path, PathBuf};

use haggle_core::{AgentId, ClusterId, Member};
use haggle_tls::{
    Credentials, CredentialsError, KeyError, PrivateFolder, PrivateFolderError, PrivateKey, Token, TokenKind,
};

use crate::checkpoint;

/// The key of a request that has no answer yet. The same key has the same answer, so that a lost one costs nothing.
const JOINING_KEY: &str = "joining.key";

/// Where the masters are, as `--master` takes them.
const MASTERS: &str = "masters";

/// Why an agent cannot join, or cannot come back.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// What is kept cannot be read.
    #[error("the agent's certificate: {0}")]
    Credentials(#[from] CredentialsError),
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    /// The key in it cannot be read.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The token does not let agents in.
    #[error(
        "this token is of kind {0}, and an agent joins by one of kind agent: `haggle token create --kind agent` makes one"
    )]
    NotForAgents(TokenKind),
    /// The token is of a master that agents do not join by certificates.
    #[error(
        "this token is of a master that speaks plain text on its own machine, where agents of its user need no token: \
         leave out --join"
    )]
    Plain,
    /// An agent's work folder belongs to one cluster.
    #[error(
        "{} holds {} of {}, and the token is of {token}: name another --work-dir, or empty that one",
        folder.display(), .member.id, .member.cluster
    )]
    OtherCluster {
        /// The work folder.
        folder: PathBuf,
        /// Who is in it.
        member: Member<AgentId>,
        /// What the token is for.
        token: ClusterId,
    },
    /// The agent in the folder has no certificate, and its tasks are known under its id.
    #[error(
        "{} holds {}, which came to this cluster without a certificate: name another --work-dir, or empty that one, and it \
         joins as a new agent",
        folder.display(), .member.id
    )]
    Uncertified {
        /// The work folder.
        folder: PathBuf,
        /// Who is in it.
        member: Member<AgentId>,
    },
}

/// The folder of a work folder in which all that is kept. It is made when there is something to keep.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    path: PathBuf,
}

impl Membership {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self { path }
    }

    /// The certificate and what belongs to it, if the agent has joined by one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, MembershipError> {
        if !self.path.exists() {
            return Ok(None);
        }
        Ok(Credentials::load(&self.folder()?)?)
    }

    /// Where the masters were said to be.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn masters(&self) -> Result<Option<String>, MembershipError> {
        let kept = self.folder()?.read(MASTERS)?;
        Ok(kept.map(|text| String::from_utf8_lossy(&text).trim().to_owned()).filter(|masters| !masters.is_empty()))
    }

    /// The key to join with. It is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn joining_key(&self) -> Result<PrivateKey, MembershipError> {
        let folder = self.folder()?;
        if let Some(pem) = folder.read(JOINING_KEY)? {
            let path = folder.path().join(JOINING_KEY);
            return PrivateKey::from_pem(&pem).map_err(|source| MembershipError::Key { path, source });
        }
        let key = PrivateKey::generate();
        folder.write(JOINING_KEY, key.pem().as_bytes())?;
        Ok(key)
    }

    /// Keeps what the agent joined with.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn joined(&self, credentials: &Credentials, masters: &str) -> Result<(), MembershipError> {
        let folder = self.folder()?;
        folder.write(MASTERS, format!("{masters}\n").as_bytes())?;
        credentials.save(&folder)?;
        // It is in the credentials now.
        Ok(folder.remove(JOINING_KEY)?)
    }

    /// Keeps a renewed certificate.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn renewed(&self, credentials: &Credentials) -> Result<(), MembershipError> {
        Ok(credentials.save(&self.folder()?)?)
    }

    fn folder(&self) -> Result<PrivateFolder, MembershipError> {
        Ok(PrivateFolder::open(&self.path)?)
    }
}

/// Whether the agent of a work folder has joined a cluster, and so needs no token to come back.
pub fn has_joined(work_dir: &Path) -> bool {
    let membership = Membership::of(checkpoint::pki(work_dir));
    membership.credentials().is_ok_and(|credentials| credentials.is_some())
}

/// That a token lets in who is in this work folder: nobody, yet.
///
/// # Errors
/// When it does not.
pub(crate) fn check_token(
    token: &Token,
    folder: &Path,
    member: Option<Member<AgentId>>,
) -> Result<(), MembershipError> {
    if token.kind != TokenKind::Agent {
        return Err(MembershipError::NotForAgents(token.kind));
    }
    if token.authority.is_none() {
        return Err(MembershipError::Plain);
    }
    match member {
        Some(member) if member.cluster != token.cluster => {
            Err(MembershipError::OtherCluster { folder: folder.to_owned(), member, token: token.cluster })
        }
        Some(member) => Err(MembershipError::Uncertified { folder: folder.to_owned(), member }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use haggle_tls::{Authority, Fingerprint, Secret, TokenId};

    use super::*;

    const CLUSTER: ClusterId = ClusterId(7);

    fn token() -> Token {
        Token {
            kind: TokenKind::Agent,
            cluster: CLUSTER,
            addresses: vec!["host:5050".to_owned()],
            authority: Some(Fingerprint([1; 32])),
            id: TokenId([2; 8]),
            secret: Secret::random(),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
        }
    }

    fn credentials(key: PrivateKey) -> Credentials {
        let now = SystemTime::now();
        let (authority, _) = Authority::make(CLUSTER, now);
        let certificate = authority.agent(AgentId(3), &key.request(), now).unwrap();
        Credentials::new(key, certificate.der(), &[authority.certificate().der()]).unwrap()
    }

    #[test]
    fn an_agent_that_joined_is_found_again_with_its_masters() {
        let dir = tempfile::tempdir().unwrap();
        let membership = Membership::of(dir.path().join("pki"));
        assert!(membership.credentials().unwrap().is_none());
        assert!(!dir.path().join("pki").exists(), "an agent without a certificate has no folder for it");

        let credentials = credentials(membership.joining_key().unwrap());
        membership.joined(&credentials, "host:5050,other:5050").unwrap();

        let found = membership.credentials().unwrap().unwrap();
        assert_eq!(found.member(), Member { cluster: CLUSTER, id: AgentId(3) });
        assert_eq!(found.certificate(), credentials.certificate());
        assert_eq!(membership.masters().unwrap().as_deref(), Some("host:5050,other:5050"));
        assert!(!dir.path().join("pki").join(JOINING_KEY).exists());
    }

    #[test]
    fn whoever_has_a_certificate_has_joined() {
        let dir = tempfile::tempdir().unwrap();
        let membership = Membership::of(checkpoint::pki(dir.path()));
        assert!(!has_joined(dir.path()));

        let key = membership.joining_key().unwrap();
        assert!(!has_joined(dir.path()), "it has only asked");
        membership.joined(&credentials(key), "host").unwrap();

        assert!(has_joined(dir.path()));
    }

    #[test]
    fn an_attempt_to_join_that_had_no_answer_is_made_again_with_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let membership = Membership::of(dir.path().join("pki"));

        let keys = [membership.joining_key().unwrap(), membership.joining_key().unwrap()];

        assert_eq!(keys[0].pem(), keys[1].pem());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let membership = Membership::of(dir.path().join("pki"));
        let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;

        let key = membership.joining_key().unwrap();
        assert_eq!((mode("pki"), mode("pki/joining.key")), (0o700, 0o600));

        membership.joined(&credentials(key), "host").unwrap();
        assert_eq!(mode("pki/agent.pem"), 0o600);
    }

    #[test]
    fn a_token_lets_in_nobody_who_is_somebody_else_already() {
        let check = |token: &Token, member| check_token(token, Path::new("/w"), member).map_err(|why| why.to_string());
        let member = |cluster| Some(Member { cluster: ClusterId(cluster), id: AgentId(3) });

        check(&token(), None).unwrap();
        let other = check(&token(), member(8)).unwrap_err();
        assert!(other.contains("/w holds agent-3 of cluster-") && other.contains("--work-dir"), "{other}");
        let uncertified = check(&token(), member(7)).unwrap_err();
        assert!(uncertified.contains("without a certificate"), "{uncertified}");
        let operator = check(&Token { kind: TokenKind::Operator, ..token() }, None).unwrap_err();
        assert!(operator.contains("is of kind operator"), "{operator}");
        let plain = check(&Token { authority: None, ..token() }, None).unwrap_err();
        assert!(plain.contains("leave out --join"), "{plain}");
    }
}
