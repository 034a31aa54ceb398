//! Where the authorities of a cluster are kept.

use haggle_tls::{Authorities, PrivateFolder};
use tokio::task::spawn_blocking;

use super::SecurityError;
use super::sealed::Sealed;

#[derive(Debug)]
pub(super) enum Keeper {
    /// Nowhere: they end with the master.
    Memory,
    /// In the state folder of the only master.
    Folder(PrivateFolder),
    /// Where all masters find them.
    Etcd(Sealed),
}

impl Keeper {
    /// Whether another master may change them.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Etcd(_))
    }

    /// Keeps these in the place of those that were kept or found last. `false`: others were kept meanwhile.
    pub(super) async fn replace(&self, next: &Authorities) -> Result<bool, SecurityError> {
        match self {
            Self::Memory => Ok(true),
            Self::Folder(folder) => {
                let (folder, text) = (folder.clone(), next.pem());
                // It waits for a disk.
                let written = spawn_blocking(move || Authorities::write(&folder, &text)).await;
                written.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
                Ok(true)
            }
            Self::Etcd(sealed) => sealed.replace(next).await,
        }
    }

    /// Those that others have kept since these were kept or found.
    pub(super) async fn changed(&self) -> Result<Option<Authorities>, SecurityError> {
        match self {
            Self::Memory | Self::Folder(_) => Ok(None),
            Self::Etcd(sealed) => sealed.changed().await,
        }
    }
}
