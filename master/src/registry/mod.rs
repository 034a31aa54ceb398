//! What a master remembers over restarts: what a registry can do, and how it can fail.

mod etcd;
mod local;
mod memory;
mod row;

use std::error::Error;

use haggle_core::Now;
use haggle_core::cluster::{Change, Recovered};
use haggle_etcd::{EtcdError, LeaseLost};

pub(crate) use etcd::{Announced, Campaign, EtcdRegistry, Term};
pub use local::LocalError;
pub(crate) use local::LocalRegistry;
#[cfg(test)]
pub(crate) use local::tests;
pub(crate) use memory::NoRegistry;
pub use row::BadRow;

/// Where the master's memory is kept. One master has it at a time. Every call may block for as long as a disk or
/// another machine takes.
pub(crate) trait Registry: Send {
    /// Takes the lead: reads what is remembered, with the cluster's time at the last write, and counts the epoch up.
    /// The new epoch is durable when this returns. A registry that is new draws its cluster's id.
    ///
    /// # Errors
    /// After [`RegistryError::Full`] it may be tried again.
    fn recover(&mut self) -> Result<(Recovered, Now), RegistryError>;

    /// Makes `changes`, and the time `now`, durable in one transaction.
    ///
    /// # Errors
    /// Nothing of it counts then. After [`RegistryError::Full`] the same may be tried again.
    fn write(&mut self, now: Now, changes: &[&Change]) -> Result<(), RegistryError>;

    /// Whether this master leads, right now: what it decided may be let out. False while that is in doubt. Who has the registry
    /// for itself always leads. Never blocks.
    ///
    /// # Errors
    /// When another master may lead.
    fn leads(&self) -> Result<bool, RegistryError> {
        Ok(true)
    }

    /// Returns when it is not in doubt any more whether this master leads.
    ///
    /// # Errors
    /// When another master may lead.
    fn confirm(&mut self) -> Result<(), RegistryError> {
        Ok(())
    }
}

/// Why the registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no room for more. That may pass, and nothing was lost.
    #[error("no room for the registry: {0}")]
    Full(Box<dyn Error + Send + Sync>),
    /// Another master leads, or may. What was being written may or may not be there; nothing of it may be let out.
    #[error("this master no longer leads")]
    Deposed,
    /// It cannot be used any more. What was being written may or may not be there.
    #[error(transparent)]
    Broken(Box<dyn Error + Send + Sync>),
}

impl RegistryError {
    /// Whether it may work again later, for another term.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Full(_) | Self::Deposed => true,
            Self::Broken(why) => matches!(why.downcast_ref(), Some(EtcdError::Unreachable { .. })),
        }
    }

    /// From now on nothing can be remembered.
    pub(crate) fn broken(why: impl Error + Send + Sync + 'static) -> Self {
        Self::Broken(Box::new(why))
    }
}

impl From<LeaseLost> for RegistryError {
    fn from(LeaseLost: LeaseLost) -> Self {
        Self::Deposed
    }
}

impl From<LocalError> for RegistryError {
    fn from(error: LocalError) -> Self {
        if error.is_full() { Self::Full(Box::new(error)) } else { Self::broken(error) }
    }
}
