//! What this machine has to give to tasks.

mod disk;
mod limits;

pub use disk::free as free_disk;

use std::path::Path;

use haggle_core::{Bytes, MilliCpu, Resources};
use sysinfo::System;

use crate::config::Declared;
use limits::Limits;

/// Memory left to the agent itself and to the system, as Mesos leaves it; half of it all where that is less.
const MEM_RESERVE: Bytes = Bytes::from_mib(1024);

/// Disk left to artifacts, compiled modules and logs, as Mesos leaves it; half of what is free where that is less.
const DISK_RESERVE: Bytes = Bytes::from_mib(5 * 1024);

/// A machine that does not say what it has.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The system gives no number.
    #[error("the machine does not tell its {what} ({why}); say it in the agent's configuration")]
    Undetectable {
        /// What was asked for.
        what: &'static str,
        /// What went wrong.
        why: String,
    },
    /// An agent with nothing of this can run no task.
    #[error("an agent needs {what} to give, and has none")]
    Nothing {
        /// What is missing.
        what: &'static str,
    },
}

/// What was declared, and for the rest what the machine has: limits of the process's own control group count, and
/// a part stays with the system.
///
/// # Errors
/// When something is neither declared nor to be found out.
pub fn resources(declared: &Declared, work_dir: &Path) -> Result<Resources, HostError> {
    let limits = Limits::of_this_process();
    let cpus = declared.cpus.unwrap_or_else(|| cpus(limits));
    let mem = declared.mem.map_or_else(|| mem(limits), Ok)?;
    let disk = declared.disk.map_or_else(|| disk_for_tasks(work_dir), Ok)?;
    for (what, none) in [("cpus", cpus.is_zero()), ("mem", mem.is_zero())] {
        if none {
            return Err(HostError::Nothing { what });
        }
    }
    let plain = Resources::new(cpus, mem, disk).with_ports(declared.ports.clone());
    Ok(declared.scalars.iter().fold(plain, |all, (name, &amount)| all.with_scalar(name, amount)))
}

fn cpus(limits: Limits) -> MilliCpu {
    // The fallback already counts affinity and, rounded down, the quota.
    let cores =
        limits.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64));
    let all = MilliCpu::from_cores(cores);
    limits.cpus.map_or(all, |quota| quota.min(all))
}

fn mem(limits: Limits) -> Result<Bytes, HostError> {
    let mut system =
        System::new().map_err(|error| HostError::Undetectable { what: "memory", why: error.to_string() })?;
    system.refresh_memory();
    let all = Bytes::new(system.total_memory());
    let ours = limits.mem.map_or(all, |limit| limit.min(all));
    if ours.is_zero() {
        return Err(HostError::Undetectable { what: "memory", why: "it says 0".to_owned() });
    }
    Ok(less_reserve(ours, MEM_RESERVE))
}

fn disk_for_tasks(work_dir: &Path) -> Result<Bytes, HostError> {
    let free = disk::free(work_dir).map_err(|why| HostError::Undetectable { what: "disk", why })?;
    Ok(less_reserve(free, DISK_RESERVE))
}

/// What is left of `all` after the reserve, which takes no more than half.
fn less_reserve(all: Bytes, reserve: Bytes) -> Bytes {
    all.saturating_sub(reserve.min(Bytes::new(all.get() / 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_machine_keeps_the_reserve_and_a_small_one_half() {
        assert_eq!(less_reserve(Bytes::from_mib(8192), MEM_RESERVE), Bytes::from_mib(7168));
        assert_eq!(less_reserve(Bytes::from_mib(512), MEM_RESERVE), Bytes::from_mib(256));
    }

    #[test]
    fn a_quota_below_the_cores_counts_to_the_thousandth() {
        let limits = Limits { cores: Some(4), cpus: Some(MilliCpu::new(1_500)), mem: None };
        assert_eq!(cpus(limits), MilliCpu::new(1_500));

        let limits = Limits { cores: Some(1), ..limits };
        assert_eq!(cpus(limits), MilliCpu::from_cores(1));
    }

    #[test]
    fn this_machine_has_something_to_give() {
        let detected = resources(&Declared::default(), Path::new(".")).unwrap();

        assert!(detected.cpus >= MilliCpu::new(1) && !detected.mem.is_zero(), "{detected}");
    }

    #[test]
    fn what_is_declared_is_not_detected() {
        let declared = Declared {
            cpus: Some(MilliCpu::new(250)),
            mem: Some(Bytes::from_mib(10)),
            disk: Some(Bytes::ZERO),
            scalars: [("gpu".to_owned(), 2_000)].into(),
            ..Declared::default()
        };

        let resources = resources(&declared, Path::new("/nowhere")).unwrap();

        let wanted = Resources::new(MilliCpu::new(250), Bytes::from_mib(10), Bytes::ZERO).with_scalar("gpu", 2_000);
        assert_eq!(resources, wanted);
    }

    #[test]
    fn an_agent_without_cpus_is_refused() {
        let declared = Declared { cpus: Some(MilliCpu::ZERO), ..Declared::default() };

        let refused = resources(&declared, Path::new(".")).unwrap_err();

        assert_eq!(refused.to_string(), "an agent needs cpus to give, and has none");
    }
}
