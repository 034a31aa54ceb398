//! The memory quota: what a guest can make the host hold, counted before it is given.

use std::sync::Arc;

use haggle_core::{Bytes, Exceeded};
use wasmtime::ResourceLimiter;

use crate::meters::Meters;

/// What one table element costs the host.
const TABLE_ELEMENT: u64 = 16;

/// Counters for one store. Growth beyond the limit is denied: `memory.grow` gives -1 in the guest, and an
/// instantiation that does not fit fails.
pub(crate) struct MemoryQuota {
    limit: u64,
    used: u64,
    /// What was granted last, in case that wasmtime then cannot give it.
    granted: u64,
    denied: Option<Exceeded>,
    meters: Arc<Meters>,
}

impl MemoryQuota {
    /// `held` is what the host holds for the guest from the start, such as its standard input.
    pub(crate) fn new(limit: Bytes, held: u64, meters: Arc<Meters>) -> Self {
        meters.memory_peak(held);
        let denied = (held > limit.get()).then_some(Exceeded { limit: limit.get(), used: held });
        Self { limit: limit.get(), used: held, granted: 0, denied, meters }
    }

    /// The first request that was denied: the limit, and what all would have come to.
    pub(crate) fn denied(&self) -> Option<Exceeded> {
        self.denied
    }

    /// Whether the host may hold so much more for the guest from now on.
    pub(crate) fn hold(&mut self, more: u64) -> bool {
        self.grow(more)
    }

    fn grow(&mut self, more: u64) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.denied.get_or_insert(Exceeded { limit: self.limit, used: wanted });
            return false;
        }
        self.used = wanted;
        self.granted = more;
        self.meters.memory_peak(wanted);
        true
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.granted);
    }
}

impl ResourceLimiter for MemoryQuota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow((desired.saturating_sub(current) as u64).saturating_mul(TABLE_ELEMENT)))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_beyond_the_limit_is_denied_and_remembered() {
        let mut quota = MemoryQuota::new(Bytes::from_mib(2), 0, Arc::default());

        assert!(quota.memory_growing(0, 1 << 20, None).unwrap());
        assert!(!quota.memory_growing(1 << 20, 4 << 20, None).unwrap());
        assert!(quota.table_growing(0, 65_536, None).unwrap());

        assert_eq!(quota.denied(), Some(Exceeded { limit: 2 << 20, used: 4 << 20 }));
    }
}
