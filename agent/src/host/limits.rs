//! The limits that a container or a service manager put on this process, read from Linux's files.
//!
//! Elsewhere none of the files exist, and there are no limits to find.

use haggle_core::{Bytes, MilliCpu};

const MEMORY: &str = "memory";
const CPU: &str = "cpu";

/// What this process may use; `None` is unlimited or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Cores that it may be scheduled on.
    pub(super) cores: Option<u64>,
    /// Processor time, over all of those.
    pub(super) cpus: Option<MilliCpu>,
    pub(super) mem: Option<Bytes>,
}

impl Limits {
    pub(super) fn of_this_process() -> Self {
        Self::from_files(|path| std::fs::read_to_string(path).ok())
    }

    /// The same from files that `read` gives, so that every kind of machine can be tried on any.
    fn from_files(read: impl Fn(&str) -> Option<String>) -> Self {
        let groups = read("/proc/self/cgroup").unwrap_or_default();
        let mut limits =
            Self { cores: read("/proc/self/status").as_deref().and_then(allowed_cores), ..Self::default() };
        // A mixed system has both versions mounted, the second one beside the controllers of the first.
        if let Some(path) = unified_path(&groups) {
            for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                for folder in up_from(mount, path) {
                    limits.lower_mem(read(&format!("{folder}/memory.max")).as_deref().and_then(bytes));
                    limits.lower_cpus(read(&format!("{folder}/cpu.max")).as_deref().and_then(cpu_max));
                }
            }
        }
        for folder in legacy_path(&groups, MEMORY).into_iter().flat_map(|path| up_from("/sys/fs/cgroup/memory", path)) {
            limits.lower_mem(read(&format!("{folder}/memory.limit_in_bytes")).as_deref().and_then(bytes));
        }
        for folder in legacy_path(&groups, CPU).into_iter().flat_map(|path| up_from("/sys/fs/cgroup/cpu", path)) {
            let quota = read(&format!("{folder}/cpu.cfs_quota_us"));
            let period = read(&format!("{folder}/cpu.cfs_period_us"));
            limits.lower_cpus(quota.zip(period).and_then(|(quota, period)| cpu_quota(&quota, &period)));
        }
        limits
    }

    fn lower_mem(&mut self, limit: Option<Bytes>) {
        self.mem = lower(self.mem, limit);
    }

    fn lower_cpus(&mut self, limit: Option<MilliCpu>) {
        self.cpus = lower(self.cpus, limit);
    }
}

fn lower<T: Ord>(known: Option<T>, found: Option<T>) -> Option<T> {
    match (known, found) {
        (Some(known), Some(found)) => Some(known.min(found)),
        (known, found) => known.or(found),
    }
}

/// Every folder from the process's group to the mount: a limit holds for everything below it. In a container the
/// inner ones may not be mounted; then they read as nothing.
fn up_from(mount: &str, path: &str) -> Vec<String> {
    let path = path.trim_end_matches('/');
    let mut folders = vec![format!("{mount}{path}")];
    folders.extend(path.rmatch_indices('/').map(|(at, _)| format!("{mount}{}", &path[..at])));
    folders
}

/// The process's group in version 2: the line `0::/path`.
fn unified_path(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The process's group for one controller of version 1: a line like `4:memory:/path` or `1:cpu,cpuacct:/path`.
fn legacy_path<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|named| named == controller).then_some(path)
    })
}

/// A size, or `max`. Version 1 writes "unlimited" as a number beyond any machine's memory, which needs no care.
fn bytes(text: &str) -> Option<Bytes> {
    text.trim().parse().ok().map(Bytes::new)
}

/// `cpu.max` of version 2: `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn cpu_max(text: &str) -> Option<MilliCpu> {
    let (quota, period) = text.trim().split_once(' ')?;
    cpu_quota(quota, period)
}

/// Microseconds of processor time in each period; -1 or `max` is unlimited.
fn cpu_quota(quota: &str, period: &str) -> Option<MilliCpu> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok().filter(|&period| period > 0)?;
    Some(MilliCpu::new((quota.saturating_mul(1000) / period).max(1)))
}

/// The number of cores in the line `Cpus_allowed_list: 0-3,8`.
fn allowed_cores(status: &str) -> Option<u64> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let count = |range: &str| -> Option<u64> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    list.trim().split(',').map(count).sum::<Option<u64>>().filter(|&cores| cores > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that has only these files.
    fn limits(files: &[(&str, &str)]) -> Limits {
        Limits::from_files(|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn a_machine_without_such_files_has_no_limits() {
        assert_eq!(limits(&[]), Limits::default());
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let found = limits(&[
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.max", "536870912\n"),
            ("/sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ]);

        assert_eq!(found.mem, Some(Bytes::from_mib(512)));
        assert_eq!(found.cpus, Some(MilliCpu::new(1_500)));
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let found = limits(&[
            ("/proc/self/cgroup", "0::/a.slice/b.service\n"),
            ("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/a.slice/memory.max", "1073741824\n"),
            ("/sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/a.slice/cpu.max", "25000 100000\n"),
        ]);

        assert_eq!(found.mem, Some(Bytes::from_mib(1024)));
        assert_eq!(found.cpus, Some(MilliCpu::new(250)));
    }

    #[test]
    fn the_first_version_is_read_controller_by_controller() {
        let found = limits(&[
            ("/proc/self/cgroup", "4:memory:/box/x\n1:cpuacct,cpu:/box\n0::/\n"),
            ("/sys/fs/cgroup/memory/box/x/memory.limit_in_bytes", "268435456\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000\n"),
            ("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);

        assert_eq!(found.mem, Some(Bytes::from_mib(256)));
        assert_eq!(found.cpus, Some(MilliCpu::from_cores(2)));
    }

    #[test]
    fn cores_are_those_that_the_scheduler_may_use() {
        let cores =
            |list: &str| limits(&[("/proc/self/status", &format!("Name:\tx\nCpus_allowed_list:\t{list}\n"))]).cores;

        assert_eq!(cores("0-1"), Some(2));
        assert_eq!(cores("0-3,8,10-11"), Some(7));
        assert_eq!(cores("7"), Some(1));
        assert_eq!(cores("3-1"), None);
        assert_eq!(cores(""), None);
    }
}
