//! What lets the first ones into a cluster that was founded just now.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haggle_proto::v1::PrincipalKind;
use haggle_tls::Token;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use crate::error::StartError;
use crate::grpc;
use crate::handle::Handle;
use crate::reach::Reach;

/// How long to wait until the first of several masters leads. There is nobody else; but another may start just now, and
/// lead in its place.
const LEADS_WITHIN: Duration = Duration::from_secs(10);

/// What lets the first ones in: made when a master makes the authority of its cluster, which is once.
#[derive(Clone, Debug)]
pub struct FirstTokens {
    /// Lets one agent join, within an hour.
    pub agent: Token,
    /// Makes an operator of who logs in with it, for 90 days.
    pub operator: Token,
    /// Of several masters: the file that every other one needs a copy of before it starts.
    pub seal_key: Option<PathBuf>,
}

/// A term, for who makes tokens in it.
type Term = (Handle, Reach);

/// Tells that the master leads for the first time. Clones tell it once among them.
#[derive(Clone)]
pub(crate) struct First(Arc<Mutex<Option<oneshot::Sender<Term>>>>);

/// Hears it.
pub(crate) struct FirstTerm(oneshot::Receiver<Term>);

impl First {
    /// One, and who hears of it.
    pub(crate) fn term() -> (Self, FirstTerm) {
        let (tell, hear) = oneshot::channel();
        (Self(Arc::new(Mutex::new(Some(tell)))), FirstTerm(hear))
    }

    /// The master leads.
    pub(crate) fn leads(&self, handle: &Handle, reach: &Reach) {
        if let Some(tell) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A master that did not found its cluster makes no first tokens.
            let _ = tell.send((handle.clone(), reach.clone()));
        }
    }
}

impl FirstTerm {
    /// Makes them as soon as the master leads; gives up when it does not.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) async fn tokens(self, seal_key: Option<PathBuf>) -> Result<Option<FirstTokens>, StartError> {
        let Ok(Ok((handle, reach))) = timeout(LEADS_WITHIN, self.0).await else {
            warn!("another master leads: have it make the first tokens with `haggle token create`");
            return Ok(None);
        };
        let make = async |kind| {
            let made = grpc::first_token(&handle, &reach, kind).await;
            made.map_err(|status| StartError::FirstTokens(status.message().to_owned()))
        };
        let (agent, operator) = (make(PrincipalKind::Agent).await?, make(PrincipalKind::Operator).await?);
        Ok(Some(FirstTokens { agent, operator, seal_key }))
    }
}
