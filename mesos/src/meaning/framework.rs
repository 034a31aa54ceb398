//! A framework as it introduces itself.

use std::iter;
use std::time::Duration;

use haggle_core::cluster::{FrameworkCommand, FrameworkInfo};
use haggle_core::{FrameworkId, Member};

use super::call::suppress;
use super::{ANY_ROLE, Copes, role_in, seconds};
use crate::wire::common::{self, FrameworkCapability};
use crate::wire::scheduler::Subscribe;

/// The longest time that tasks live on without their framework: a year.
const FAILOVER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The name of a framework that has none.
const NAMELESS: &str = "mesos";

/// What a framework says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Introduction {
    /// Its id from an earlier subscription, as it says it.
    pub id: Option<String>,
    /// What it is.
    pub info: FrameworkInfo,
    /// What it can cope with.
    pub copes: Copes,
    /// The roles in which it wants no offers yet.
    pub suppressed: Vec<String>,
}

impl Introduction {
    /// What the core is told: as whom it comes, and what it wants nothing of.
    pub fn commands(self, member: Option<Member<FrameworkId>>) -> Vec<FrameworkCommand> {
        let subscribe = FrameworkCommand::Subscribe { member, info: self.info };
        iter::once(subscribe).chain(suppress(self.suppressed)).collect()
    }
}

/// Why nobody can introduce itself so.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadFramework {
    /// There is nothing.
    #[error("the call has no framework_info")]
    Nothing,
    /// The time is none.
    #[error("failover_timeout is {0}: wanted are seconds, 0 or more")]
    FailoverTimeout(f64),
}

/// Reads an introduction.
///
/// # Errors
/// When it has no info, or the time in it is none. Names and roles are the core's to check.
pub fn introduction(subscribe: Subscribe) -> Result<Introduction, BadFramework> {
    let info = subscribe.framework_info.ok_or(BadFramework::Nothing)?;
    let copes = copes(&info);
    let roles: Vec<_> = match info.roles.as_slice() {
        [] => vec![role_in(info.role.as_deref().filter(|role| !role.is_empty()).unwrap_or(ANY_ROLE))],
        roles => roles.iter().map(|role| role_in(role)).collect(),
    };
    // Mesos takes no word for 0, and everybody has been bitten by it once. Who says 0 means it.
    let failover_timeout = match info.failover_timeout {
        None => FrameworkInfo::DEFAULT_FAILOVER_TIMEOUT,
        Some(said) => seconds(said, FAILOVER_MAX).ok_or(BadFramework::FailoverTimeout(said))?,
    };
    let name = if info.name.is_empty() { NAMELESS.to_owned() } else { info.name };
    Ok(Introduction {
        id: info.id.map(|id| id.value).filter(|id| !id.is_empty()),
        info: FrameworkInfo { name, roles, failover_timeout },
        copes,
        suppressed: subscribe.suppressed_roles.iter().map(|role| role_in(role)).collect(),
    })
}

fn copes(info: &common::FrameworkInfo) -> Copes {
    let has = |wanted: FrameworkCapability| info.capabilities.iter().any(|has| has.r#type == Some(wanted.into()));
    Copes {
        partition_aware: has(FrameworkCapability::PartitionAware),
        killing: has(FrameworkCapability::TaskKillingState),
    }
}
