//! Whether an instance still holds its store.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::StoreError;

type Ask = dyn Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync;

/// Tells whether an instance still holds its store. It is asked before every subscription, so that an instance which was
/// paused does not take the framework from the one that has followed it.
#[derive(Clone)]
pub struct Hold(Option<Arc<Ask>>);

impl Hold {
    /// Of a store that its process holds until it ends.
    pub fn for_life() -> Self {
        Self(None)
    }

    /// Of a store that another instance may take while this one lives. `ask` answers [`StoreError::Lost`] when that may
    /// have happened; any other error means that it cannot tell now, and is asked again.
    pub fn asking(ask: impl Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Whether another instance may take the store while this one lives.
    pub(crate) fn can_be_lost(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) async fn confirm(&self) -> Result<(), StoreError> {
        match &self.0 {
            Some(ask) => ask().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("can_be_lost", &self.can_be_lost()).finish()
    }
}
