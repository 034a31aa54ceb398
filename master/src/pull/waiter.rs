//! One who waits for a fetch: its own, or that of somebody else whose limits are not its own.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_sources::Source;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::{Puller, Stage, Wanted};
use crate::replicas::Replicas;

/// Somebody who waits for what is fetched.
pub(crate) struct Waiter {
    puller: Arc<Puller>,
    wanted: Wanted,
    who: Principal,
    replicas: Option<Arc<Replicas>>,
    stages: watch::Receiver<Stage>,
    /// Whether it is on this one's own account.
    is_own: bool,
}

impl Waiter {
    /// Has it fetched, or waits with whoever has.
    ///
    /// # Errors
    /// When too much is being fetched.
    pub(crate) fn begin(
        puller: Arc<Puller>,
        source: Source,
        module: bool,
        who: Principal,
        replicas: Option<Arc<Replicas>>,
    ) -> Result<Self, Status> {
        let wanted = Wanted { source, module };
        let (stages, is_own) = puller.join(wanted.clone(), &who, replicas.clone())?;
        Ok(Self { puller, wanted, who, replicas, stages, is_own })
    }

    /// How far it is, after such a time or at its end. What was fetched is this one's as well then.
    ///
    /// # Errors
    /// Why it is not there.
    pub(crate) async fn next(&mut self, within: Duration) -> Result<Stage, Status> {
        let done = self.stages.wait_for(|stage| matches!(stage, Stage::Done(_)));
        if let Ok(Err(_)) = timeout(within, done).await.map(|ended| ended.map(drop)) {
            return Err(Status::internal("a fetch ended unexpectedly; this is a bug"));
        }
        let stage = self.stages.borrow().clone();
        match &stage {
            // Whoever began it may have no more: that is said of nobody else.
            Stage::Done(Err(refused)) if !self.is_own && refused.code() == Code::ResourceExhausted => {
                let joined = self.puller.join(self.wanted.clone(), &self.who, self.replicas.clone())?;
                (self.stages, self.is_own) = joined;
                Ok(Stage::Coming { got: 0, size: 0 })
            }
            Stage::Done(Ok(pulled)) => {
                self.puller.share(pulled.digest, &self.who).await?;
                Ok(stage)
            }
            Stage::Done(Err(_)) | Stage::Coming { .. } => Ok(stage),
        }
    }

    #[cfg(test)]
    pub(super) async fn end(&mut self) -> Result<super::Pulled, Status> {
        loop {
            if let Stage::Done(outcome) = self.next(Duration::from_secs(60)).await? {
                return outcome;
            }
        }
    }
}
