//! Who calls, and what that one may: decided in front of every service, before a message of the call is read.
//!
//! ```text
//! connection -> Remote (address, certificate) ─┐
//! authorization: Bearer <id>.<secret> ───────┴─> Principal -> the table's right -> service -> audit
//! ```
//!
//! Whether a call may be made at all is known here, from a copy of the tokens that the driver keeps up to date. What it may
//! be made to is decided by the cluster.

mod caller;
mod guard;
mod known;
mod masters;
mod owner;
mod passes;
mod plain;
mod verdict;

pub(crate) use caller::{Caller, caller, caller_of};
pub(crate) use guard::{ENDED, Guard, Guarded};
pub(crate) use known::Known;
pub(crate) use masters::{BetweenMasters, MastersSecret};
pub(crate) use owner::Owner;
pub(crate) use passes::Passes;
pub(crate) use plain::{check_method, plain};
pub(crate) use verdict::{limit_of, status_of};

use std::time::{SystemTime, UNIX_EPOCH};

/// What the wall clock says: milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
