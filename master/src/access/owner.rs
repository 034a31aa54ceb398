//! The token of the user that runs this master: drawn at each start, and left where that user alone can read it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use haggle_core::access::Principal;
use haggle_core::{ClusterId, Digest};
use haggle_tls::{Bearer, Fingerprint, OwnerTokens, Secret, Token, TokenId, TokenKind};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::known::is_same;
use crate::registry::Campaign;

/// How long the token's text says that it lives. It ends with the master, which forgets it.
const LIVES: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Between two looks at who runs the other masters.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The owner of one master, for as long as that runs.
pub(crate) struct Owner {
    id: TokenId,
    secret: Secret,
    hash: Digest,
    /// Of the users that run the other masters of the cluster: who stands by has its user ask the one that leads.
    others: RwLock<Vec<(TokenId, Digest)>>,
    /// Where it was left, and as of which address.
    left: Mutex<Option<(OwnerTokens, SocketAddr)>>,
}

impl Owner {
    pub(crate) fn draw() -> Self {
        let secret = Secret::random();
        Self {
            id: TokenId::random(),
            hash: Digest(secret.digest()),
            secret,
            others: RwLock::default(),
            left: Mutex::default(),
        }
    }

    /// Who shows this, if it is the owner.
    pub(super) fn recognise(&self, bearer: &Bearer) -> Option<Principal> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = [(self.id, self.hash)].into_iter().chain(others.iter().copied());
        let shown = Digest(bearer.secret.digest());
        all.any(|(id, hash)| bearer.id == id && is_same(&hash, &shown)).then(Principal::owner)
    }

    /// What the other masters are told of it: nobody comes in by that.
    pub(crate) fn announced(&self) -> String {
        format!("{} {}", self.id, self.hash)
    }

    /// Knows the owners of all masters that are up, for as long as it is polled.
    pub(crate) async fn know_others(&self, campaign: &Campaign) -> Infallible {
        loop {
            // While etcd cannot be asked, those that were up are.
            if let Ok(owners) = campaign.owners().await {
                let known = owners.iter().filter_map(|owner| read_announced(owner)).collect();
                *self.others.write().unwrap_or_else(PoisonError::into_inner) = known;
            }
            sleep(LOOK_EVERY).await;
        }
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
    pub(crate) fn publish(&self, tokens: &OwnerTokens, listening: SocketAddr, token: &Token) {
        match tokens.publish(listening, token) {
            Ok(()) => {
                *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some((tokens.clone(), listening));
            }
            Err(error) => warn!("nobody is the owner of this master, whose token cannot be kept: {error}"),
        }
    }

    /// Takes it away again.
    pub(crate) fn withdraw(&self) {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((tokens, listening)) = left
            && let Err(error) = tokens.withdraw(listening, self.id)
        {
            debug!("the owner's token is still there, and lets nobody in: {error}");
        }
    }
}

fn read_announced(text: &str) -> Option<(TokenId, Digest)> {
    let (id, hash) = text.split_once(' ')?;
    Some((id.parse().ok()?, hash.parse().ok()?))
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.withdraw();
    }
}
