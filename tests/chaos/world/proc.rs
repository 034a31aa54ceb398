//! What a process of another program holds, as Linux tells.

use std::fs::{read_dir, read_to_string};

use haggle_kit::Daemon;

/// Memory and descriptors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) mib: f64,
    pub(crate) descriptors: usize,
}

impl Held {
    /// By this process now; nothing when it has ended.
    pub(crate) fn by(process: &Daemon) -> Self {
        Self::by_pid(process.pid())
    }

    /// By the process of this id now; nothing when it has ended.
    pub(crate) fn by_pid(pid: u32) -> Self {
        let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let kib: f64 = resident.and_then(|kib| kib.parse().ok()).unwrap_or_default();
        let descriptors = read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self { mib: kib / 1024.0, descriptors }
    }
}

impl std::ops::Add for Held {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { mib: self.mib + other.mib, descriptors: self.descriptors + other.descriptors }
    }
}

impl std::iter::Sum for Held {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| sum + one)
    }
}
