//! How many connections one guest may have open, and what they cost its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::memory::MemoryQuota;

/// Sockets and HTTP requests of one guest that are open at once. Each is a descriptor, of which a process has some
/// thousands.
const CONNECTIONS_MAX: usize = 32;

/// Bytes that the kernel may hold for each direction of a socket; Linux doubles it for its own bookkeeping. As much
/// as a connection of 100 Mbit/s needs over 5 ms; left alone, the kernel would go up to several MiB.
pub(super) const SOCKET_BUFFER: u32 = 64 << 10;

/// What a connection costs the memory of its task: the kernel's buffers (4 times [`SOCKET_BUFFER`]), and ours, which
/// are less than as much again: a chunk each way (128 KiB), or those of HTTP (128 KiB) and TLS (64 KiB).
const CONNECTION_HELD: u64 = 8 * SOCKET_BUFFER as u64;

/// Open connections of one guest.
#[derive(Default)]
pub(super) struct Connections {
    open: Arc<AtomicUsize>,
    /// How many its memory has paid for. They stay paid, as pages of a linear memory do.
    paid: usize,
}

/// A connection that may be open. It may no longer be when the last copy is dropped.
#[derive(Clone)]
pub(super) struct Permit(#[expect(dead_code, reason = "kept for what its end does")] Arc<Open>);

struct Open(Arc<AtomicUsize>);

impl Connections {
    /// Room for one more, if there is any, in number and in memory.
    pub(super) fn open(&mut self, memory: &mut MemoryQuota) -> Option<Permit> {
        // Only the guest's own thread adds.
        let open = self.open.load(Ordering::Acquire);
        if open >= CONNECTIONS_MAX {
            return None;
        }
        if open >= self.paid {
            if !memory.hold(CONNECTION_HELD) {
                return None;
            }
            self.paid += 1;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Permit(Arc::new(Open(Arc::clone(&self.open)))))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::Bytes;

    use super::*;

    #[test]
    fn connections_are_bounded_in_number_and_given_back() {
        let mut memory = MemoryQuota::new(Bytes::from_mib(64), 0, Arc::default());
        let mut connections = Connections::default();

        let mut permits: Vec<Permit> =
            std::iter::from_fn(|| connections.open(&mut memory)).take(2 * CONNECTIONS_MAX).collect();

        assert_eq!(permits.len(), CONNECTIONS_MAX);
        permits.pop();
        assert!(connections.open(&mut memory).is_some());
        assert_eq!(memory.denied(), None);
    }

    #[test]
    fn connections_that_do_not_fit_the_memory_are_refused() {
        let mut memory = MemoryQuota::new(Bytes::from_mib(1), 0, Arc::default());
        let mut connections = Connections::default();

        let first = connections.open(&mut memory);
        let second = connections.open(&mut memory);

        assert!(first.is_some() && second.is_some());
        assert!(connections.open(&mut memory).is_none());
        assert!(memory.denied().is_some());
        drop(second);
        assert!(connections.open(&mut memory).is_some(), "what was paid once is not paid again");
    }
}
