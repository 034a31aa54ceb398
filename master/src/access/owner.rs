//! The token of the user that runs this master: drawn at each start, and left where that user alone can read it.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use haggle_core::access::Principal;
use haggle_core::{ClusterId, Digest};
use haggle_tls::{Bearer, Fingerprint, OwnerTokens, Secret, Token, TokenId, TokenKind};
use tracing::{debug, warn};

use super::known::is_same;

/// How long the token's text says that it lives. It ends with the master, which forgets it.
const LIVES: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// The owner of one master, for as long as that runs.
pub(crate) struct Owner {
    id: TokenId,
    secret: Secret,
    hash: Digest,
    /// Where it was left, and for which port.
    left: Mutex<Option<(OwnerTokens, u16)>>,
}

impl Owner {
    pub(crate) fn draw() -> Self {
        let secret = Secret::random();
        Self { id: TokenId::random(), hash: Digest(secret.digest()), secret, left: Mutex::default() }
    }

    /// Who shows this, if it is the owner.
    pub(super) fn recognise(&self, bearer: &Bearer) -> Option<Principal> {
        (bearer.id == self.id && is_same(&self.hash, &Digest(bearer.secret.digest()))).then(Principal::owner)
    }

    /// The text that its user finds.
    pub(crate) fn token(&self, cluster: ClusterId, address: SocketAddr, authority: Option<Fingerprint>) -> Token {
        Token {
            kind: TokenKind::Owner,
            cluster,
            addresses: vec![address.to_string()],
            authority,
            id: self.id,
            secret: self.secret.clone(),
            expires: SystemTime::now() + LIVES,
        }
    }

    /// Leaves it among the user's, until [`Self::withdraw`] or the end. Without, the master serves those with tokens of the
    /// cluster's.
    pub(crate) fn publish(&self, tokens: &OwnerTokens, port: u16, token: &Token) {
        match tokens.publish(port, token) {
            Ok(()) => {
                *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some((tokens.clone(), port));
            }
            Err(error) => warn!("nobody is the owner of this master, whose token cannot be kept: {error}"),
        }
    }

    /// Takes it away again.
    pub(crate) fn withdraw(&self) {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((tokens, port)) = left
            && let Err(error) = tokens.remove(port)
        {
            debug!("the owner's token is still there, and lets nobody in: {error}");
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.withdraw();
    }
}
