//! One master among several: stands by until it wins, leads until its lease may have ended, and stands by again.
//!
//! A term begins with a fresh [`Cluster`] from the registry and ends with it. Nothing of one term reaches the next.

mod lease;
mod switch;

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{self, Cluster};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tonic::service::Routes;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::error::Failure;
use crate::handle::{Handle, Reign};
use crate::registry::{Campaign, EtcdError, EtcdRegistry, Registry, RegistryError, Session};
use crate::{driver, lead};

pub use lease::LeaseLost;
pub(crate) use lease::Lease;
pub(crate) use switch::{Role, Standby, Switch};

/// Between two looks at who leads. A part of the time without service when a master dies, and a cheap read.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two attempts to reach an etcd that does not answer.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// Takes part in every election of a cluster.
pub(crate) struct Election {
    pub(crate) campaign: Campaign,
    pub(crate) rules: cluster::Config,
    /// The services of a term.
    pub(crate) services: Box<dyn Fn(Handle) -> Routes + Send>,
    pub(crate) role: watch::Sender<Role>,
    /// Counts how often this master has said that it is up.
    pub(crate) joined: watch::Sender<u64>,
}

impl Election {
    /// Stands by and leads in turn, until `stopping` resolves.
    ///
    /// # Errors
    /// When a term ended for another reason than that its lease did, or what is in etcd cannot be used.
    pub(crate) async fn run(self, stopping: oneshot::Receiver<()>) -> Result<(), Failure> {
        let mut session = None;
        let outcome = tokio::select! {
            outcome = self.take_turns(&mut session) => outcome,
        };
        outcome
    }
}
