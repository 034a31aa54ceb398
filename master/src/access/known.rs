//! Tokens and agents' ids as the cluster knows them: a copy for whoever cannot wait for the driver.

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::stream::{BoxStream, try_unfold};
use futures_util::{Stream, StreamExt};
use haggle_core::access::{Over, Principal, TokenId, TokenRecord};
use haggle_core::cluster::{Change, Cluster};
use haggle_core::{AgentId, Digest};
use haggle_tls::Bearer;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::Status;

use super::wall_clock_ms;

/// The longest sleep until a token expires: the wall clock may be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadToken {
    /// There is none, or its secret is another one: nobody is told which.
    #[error(
        "{0} is not known here: it was made by another cluster, or ended long ago; have an operator make one \
         with `haggle token create`, and use it with `haggle login`"
    )]
    Unknown(TokenId),
    /// It has ended.
    #[error("{0} {1}: have an operator make another one with `haggle token create`")]
    Over(TokenId, Over),
}

impl From<BadToken> for Status {
    fn from(bad: BadToken) -> Self {
        Self::unauthenticated(bad.to_string())
    }
}

/// The driver writes it, everybody else reads it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    tokens: watch::Sender<HashMap<TokenId, Arc<TokenRecord>>>,
    members: Arc<RwLock<HashSet<AgentId>>>,
}

impl Known {
    /// From now on it is what this cluster knows.
    pub(crate) fn begin(&self, cluster: &Cluster) {
        let (tokens, _) = cluster.tokens_page(None, usize::MAX);
        self.tokens.send_replace(tokens.into_iter().map(|(id, record)| (id, Arc::new(record))).collect());
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = cluster.members().collect();
    }

    /// Takes note of what was just written.
    pub(crate) fn note(&self, change: &Change) {
        let members = || self.members.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::TokenRecorded(id, record) => {
                let record = Arc::new(record.clone());
                self.tokens.send_modify(|tokens| drop(tokens.insert(*id, record)));
            }
            Change::TokenRemoved(id) => self.tokens.send_modify(|tokens| drop(tokens.remove(id))),
            Change::AgentRecorded(id, _) | Change::AgentEnrolled(id, _) => drop(members().insert(*id)),
            Change::AgentRemoved(id) | Change::EnrolmentEnded(id) => drop(members().remove(id)),
            Change::FrameworkSubscribed(..)
            | Change::FrameworkRemoved(_)
            | Change::RoleRecorded(..)
            | Change::AgentWithdrawn(..)
            | Change::AgentReactivated(_)
            | Change::MaintenanceRecorded(..)
            | Change::MaintenanceEnded(_) => {}
        }
    }

    /// Who shows this. A join token that is used up is still its holder's: what its machine was given before, it is given
    /// again, which the cluster decides.
    pub(super) fn who_bears(&self, bearer: &Bearer, wall_ms: u64) -> Result<Principal, BadToken> {
        let id = TokenId(u64::from_be_bytes(bearer.id.0));
        let record = self.tokens.borrow().get(&id).cloned();
        let record = record
            .filter(|record| is_same(&record.hash, &Digest(bearer.secret.digest())))
            .ok_or(BadToken::Unknown(id))?;
        match record.over(wall_ms) {
            None | Some(Over::UsedUp) => Ok(record.principal(id)),
            Some(over) => Err(BadToken::Over(id, over)),
        }
    }

    /// Whether the certificate of that agent is good for anything.
    pub(crate) fn is_member(&self, id: AgentId) -> bool {
        self.members.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// The ids of all agents that are known, and of those that may still come.
    pub(crate) fn members_len(&self) -> usize {
        self.members.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tokens that let somebody in, and of which `is_one` holds.
    pub(crate) fn count_tokens(&self, is_one: impl Fn(&TokenRecord) -> bool) -> usize {
        let now = wall_clock_ms();
        self.tokens.borrow().values().filter(|record| record.over(now).is_none() && is_one(record)).count()
    }

    /// Waits until the token that somebody came with lets nobody in any more. For ever without one.
    pub(crate) async fn over(&self, who: &Principal) -> Status {
        let Some(id) = who.token else { return std::future::pending().await };
        let mut changes = self.tokens.subscribe();
        loop {
            let record = changes.borrow_and_update().get(&id).cloned();
            let Some(record) = record else { return BadToken::Unknown(id).into() };
            let now = wall_clock_ms();
            if let Some(over @ (Over::Revoked | Over::Expired)) = record.over(now) {
                return BadToken::Over(id, over).into();
            }
            let left = Duration::from_millis(record.expires_ms - now);
            tokio::select! {
                // The sender is here.
                _ = changes.changed() => {}
                () = sleep(left.min(LOOK_EVERY)) => {}
            }
        }
    }

    /// A stream that ends, with an error, when the token of its reader does.
    pub(crate) fn while_valid<T: Send + 'static>(
        &self,
        who: Principal,
        stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let known = self.clone();
        let over = Box::pin(async move { known.over(&who).await });
        try_unfold((stream.boxed(), over), |(mut stream, mut over)| async {
            tokio::select! {
                biased;
                status = &mut over => Err(status),
                item = stream.next() => Ok(item.transpose()?.map(|item| (item, (stream, over)))),
            }
        })
        .boxed()
    }
}

/// Compares hashes in a time that tells nothing of where they differ.
pub(super) fn is_same(one: &Digest, other: &Digest) -> bool {
    let differences =
        one.0.iter().zip(other.0).fold(0, |differences, (one, other)| black_box(differences | (one ^ other)));
    differences == 0
}
