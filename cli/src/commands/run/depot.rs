//! Where what tasks need is brought to: over a connection, or into the store of a master in this process.

use std::path::Path;

use bytes::Bytes;
use haggle_core::Digest;
use haggle_master::{Keeper, NotKept};
use haggle_sdk::Client;
use haggle_sources::Source;
use tokio::task::spawn_blocking;

use crate::commands::artifacts::whole;
use crate::error::CommandError;
use crate::output::Fetching;

/// One of the two.
#[derive(Clone)]
pub(super) enum Depot {
    Remote(Client),
    Here(Keeper),
}

impl Depot {
    /// Brings the content of a file there.
    pub(super) async fn file(&self, path: &Path) -> Result<Digest, CommandError> {
        match self {
            Self::Remote(client) => Ok(client.upload(path).await?),
            Self::Here(keeper) => {
                let (keeper, path) = (keeper.clone(), path.to_owned());
                blocking(move || keeper.keep_file(&path)).await
            }
        }
    }

    /// Brings these bytes there.
    pub(super) async fn bytes(&self, bytes: impl Into<Bytes>) -> Result<Digest, CommandError> {
        let bytes = bytes.into();
        match self {
            Self::Remote(client) => Ok(client.upload_bytes(bytes).await?),
            Self::Here(keeper) => {
                let keeper = keeper.clone();
                blocking(move || keeper.keep_bytes(&bytes)).await
            }
        }
    }

    /// Has it fetched from there, and says what it is and how to name the same again.
    pub(super) async fn pull(&self, source: &Source, module: bool) -> Result<(Digest, String), CommandError> {
        let mut fetching = Fetching::of(source);
        match self {
            Self::Remote(client) => {
                let pulled = client.pull_with(&whole(source), module, |got, size| fetching.has(got, size)).await?;
                Ok((pulled.digest, pulled.pinned))
            }
            Self::Here(keeper) => {
                let pulled = keeper.pull(source.clone(), module, |got, size| fetching.has(got, size)).await?;
                Ok((pulled.digest, pulled.pinned))
            }
        }
    }

    /// Whether this is there already.
    pub(super) async fn has(&self, digest: Digest) -> Result<bool, CommandError> {
        match self {
            Self::Remote(client) => Ok(client.has_artifact(digest).await?),
            Self::Here(keeper) => {
                let keeper = keeper.clone();
                blocking(move || keeper.has(digest)).await
            }
        }
    }
}

/// Hashing and writing take long enough to hold up a network thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotKept> + Send + 'static,
) -> Result<T, CommandError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
