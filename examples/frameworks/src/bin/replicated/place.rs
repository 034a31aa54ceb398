//! Where the instances keep what the framework must not forget.

use std::path::PathBuf;
use std::str::FromStr;

use haggle_sdk::{EtcdConfig, EtcdError, EtcdStore, FileStore, StoreError};

/// What `--store` names.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// For instances on one machine.
    Folder(PathBuf),
    /// For instances on several.
    Etcd(EtcdConfig),
}

impl FromStr for Place {
    type Err = EtcdError;

    fn from_str(place: &str) -> Result<Self, EtcdError> {
        if place.starts_with("etcd://") {
            return place.parse().map(Self::Etcd);
        }
        Ok(Self::Folder(PathBuf::from(place)))
    }
}

/// Opens a folder, or stands by until the instance that has it is dead.
pub(crate) async fn folder(folder: PathBuf) -> Result<FileStore, StoreError> {
    match FileStore::open(&folder) {
        Err(error @ StoreError::Held { .. }) => {
            println!("standing by: {error}");
            FileStore::wait(&folder).await
        }
        opened => opened,
    }
}

/// Opens a place in etcd, or stands by until the instance that has it is dead.
pub(crate) async fn etcd(config: &EtcdConfig) -> Result<EtcdStore, StoreError> {
    match EtcdStore::open(config).await {
        Err(error @ StoreError::Held { .. }) => {
            println!("standing by: {error}");
            EtcdStore::wait(config).await
        }
        opened => opened,
    }
}
