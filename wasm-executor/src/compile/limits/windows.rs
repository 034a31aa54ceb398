//! The same with a job, in which the child ends when it has used its CPU time, and gets no more memory than its limit.

use std::io;
use std::process::ExitStatus;

use haggle_core::Bytes;
use windows_sys::Win32::Foundation::ERROR_NOT_ENOUGH_QUOTA;

use super::Order;
use crate::compile::config::Allowed;
use crate::module::{Exhausted, ModuleError};
use crate::process::lockdown::job::{self, Limits};
use crate::process::{Lockdown, system};

/// # Errors
/// None: what this system does not limit, the executor's log tells, and the parent holds the time on the wall.
#[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
pub(in crate::compile) fn apply(order: &Order) -> io::Result<()> {
    let memory = Bytes::new(order.limits.mem.get().saturating_add(order.reserved()));
    let limits = Limits { memory: Some(memory), cpu: Some(order.limits.cpu), alone: true };
    drop(job::enter(&limits));
    drop(Lockdown::default().apply());
    Ok(())
}

/// What it means that the system ended a child in this way, if it did.
pub(in crate::compile) fn verdict(status: ExitStatus, limits: &Allowed) -> Option<ModuleError> {
    match status.code().map(i32::cast_unsigned)? {
        ERROR_NOT_ENOUGH_QUOTA => Some(ModuleError::CompileLimit(Exhausted::Cpu(limits.cpu))),
        // Not for anything that it did itself: somebody wanted it gone.
        system::KILLED => Some(ModuleError::Interrupted("its compiler was killed".to_owned())),
        _ => None,
    }
}
