//! What calls mean here, and how what happens here is told.

mod call;
mod event;
mod framework;
mod operator;
mod resources;
mod status;
mod task;

use haggle_core::FrameworkId;
use haggle_core::cluster::FrameworkInfo;

use crate::ids::Ids;

pub use call::{BadCall, Mentioned, Said};
pub use framework::{BadFramework, Introduction, introduction};
pub use operator::{Seen, VERSION};
pub use status::{counted_as, label_of};

/// The role of frameworks that name none, as Mesos calls it. Here it is the default role, for `*` stands for every role among those of tokens.
pub(crate) const ANY_ROLE: &str = "*";

/// How one framework speaks.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// The names of its cluster.
    pub ids: Ids,
    /// Which framework.
    pub framework: FrameworkId,
    /// What it can cope with.
    pub copes: Copes,
}

/// What a framework can cope with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copes {
    /// It knows that a task may come back: else DROPPED, UNREACHABLE, GONE and UNKNOWN are all LOST.
    pub partition_aware: bool,
    /// It knows the state KILLING: else that is RUNNING.
    pub killing: bool,
}

/// A role as it is called here.
pub(crate) fn role_in(role: &str) -> String {
    if role == ANY_ROLE { FrameworkInfo::DEFAULT_ROLE.to_owned() } else { role.to_owned() }
}

/// A role as Mesos calls it.
pub fn role_out(role: &str) -> String {
    if role == FrameworkInfo::DEFAULT_ROLE { ANY_ROLE.to_owned() } else { role.to_owned() }
}

/// So many seconds as a time, at most `max`. What is no time is none.
pub(crate) fn seconds(seconds: f64, max: std::time::Duration) -> Option<std::time::Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(std::time::Duration::try_from_secs_f64(seconds).unwrap_or(max).min(max))
}
