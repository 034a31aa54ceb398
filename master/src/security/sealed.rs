//! The authorities of several masters: in etcd, sealed with a key that etcd does not have.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use haggle_core::ClusterId;
use haggle_tls::{Authorities, PrivateFolder, Seal, Secret};

use super::{FOLDER, SecurityError};
use crate::registry::Campaign;

/// The seal's key in a state folder.
const FILE: &str = "seal.key";

/// What masters share at a start.
pub(crate) struct Shared {
    pub(super) keeper: Sealed,
    pub(super) authorities: Authorities,
    /// Whether this master has made them just now.
    pub(super) made_now: bool,
}

impl Shared {
    /// What the masters know each other by; the first is shown.
    pub(crate) fn secrets(&self) -> Vec<[u8; 32]> {
        self.keeper.seal.secrets(self.keeper.cluster)
    }
}

/// Where a master has the seal's key.
#[derive(Clone, Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Where it was told, else in its state folder.
    pub(crate) fn find(told: Option<&Path>, state: Option<&Path>) -> Result<Self, SecurityError> {
        if let Some(told) = told {
            return Ok(Self(told.to_owned()));
        }
        let state = state.ok_or(SecurityError::NoPlaceForSeal)?;
        Ok(Self(PrivateFolder::open(&state.join(FOLDER))?.path().join(FILE)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Finds the authorities of the cluster, or makes the first: of masters that start together, one does.
pub(crate) async fn share(campaign: Campaign, place: &Place, now: SystemTime) -> Result<Shared, SecurityError> {
    let cluster = campaign.found().await?;
    let path = place.path();
    let seal = Seal::read(path)?;
    let found = campaign.authority().await?;
    let Some((row, revision)) = found else {
        let (seal, is_new) = match seal {
            Some(seal) => (seal, false),
            None => {
                let seal = Seal::generate();
                seal.create(path)?;
                (seal, true)
            }
        };
        let authorities = Authorities::make(cluster, now);
        let row = seal.seal(cluster, authorities.pem().as_bytes());
        return match campaign.put_authority(row, 0).await? {
            Some(revision) => Ok(Shared {
                keeper: Sealed { campaign, cluster, seal, place: place.clone(), revision: revision.into() },
                authorities,
                made_now: true,
            }),
            None if is_new => {
                // Another master was first, and its seal counts. This one has sealed nothing.
                std::fs::remove_file(path).map_err(|source| {
                    SecurityError::Folder(haggle_tls::PrivateFolderError::Unusable { path: path.to_owned(), source })
                })?;
                Err(SecurityError::SealMissing { path: path.to_owned(), cluster })
            }
            None => Box::pin(share(campaign, place, now)).await,
        };
    };
    let seal = seal.ok_or_else(|| SecurityError::SealMissing { path: path.to_owned(), cluster })?;
    let keeper = Sealed { campaign, cluster, seal, place: place.clone(), revision: revision.into() };
    let authorities = keeper.open(&row)?;
    if !keeper.seal.is_current(&row) && !keeper.replace(&authorities).await? {
        // Another master has just written it.
        return Box::pin(share(keeper.campaign, place, now)).await;
    }
    Ok(Shared { keeper, authorities, made_now: false })
}

/// The row of a cluster's authorities.
pub(super) struct Sealed {
    campaign: Campaign,
    cluster: ClusterId,
    seal: Seal,
    place: Place,
    /// Of the row that was written or read last.
    revision: AtomicI64,
}

impl Sealed {
    pub(super) fn pass_keys(&self) -> Vec<Secret> {
        self.seal.pass_keys(self.cluster)
    }

    pub(super) async fn replace(&self, next: &Authorities) -> Result<bool, SecurityError> {
        let row = self.seal.seal(self.cluster, next.pem().as_bytes());
        let written = self.campaign.put_authority(row, self.revision.load(Ordering::Relaxed)).await?;
        if let Some(revision) = written {
            self.revision.store(revision, Ordering::Relaxed);
        }
        Ok(written.is_some())
    }

    pub(super) async fn changed(&self) -> Result<Option<Authorities>, SecurityError> {
        let known = self.revision.load(Ordering::Relaxed);
        let found = self.campaign.authority().await?.filter(|(_, revision)| *revision != known);
        let Some((row, revision)) = found else { return Ok(None) };
        let authorities = self.open(&row)?;
        self.revision.store(revision, Ordering::Relaxed);
        Ok(Some(authorities))
    }

    fn open(&self, row: &[u8]) -> Result<Authorities, SecurityError> {
        let opened = self.seal.open(self.cluster, row).map_err(|source| SecurityError::SealWrong {
            path: self.place.path().to_owned(),
            cluster: self.cluster,
            source,
        })?;
        Ok(Authorities::from_pem(&opened, self.cluster)?)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}
