//! How many connections one guest may have open, and what they cost its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::memory::Memory;
use crate::wasi::GuestFiles;
use crate::wasi::files::Slot;

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
pub(super) struct Connections {
    memory: Arc<Memory>,
    files: Arc<GuestFiles>,
    open: Arc<AtomicUsize>,
    /// How many its memory has paid for. They stay paid, as pages of a linear memory do.
    paid: usize,
}

/// A connection that may be open. It may no longer be when the last copy is dropped.
#[derive(Clone)]
pub(super) struct Permit(#[expect(dead_code, reason = "kept for what its end does")] Arc<Open>);

struct Open {
    count: Arc<AtomicUsize>,
    _slot: Slot,
}

impl Connections {
    pub(super) fn new(memory: Arc<Memory>, files: Arc<GuestFiles>) -> Self {
        Self { memory, files, open: Arc::default(), paid: 0 }
    }

    /// Room for one more, if there is any: in number, in memory, and among the files of this process.
    pub(super) fn open(&mut self) -> Option<Permit> {
        // Only the guest's own thread adds.
        let open = self.open.load(Ordering::Acquire);
        if open >= CONNECTIONS_MAX {
            return None;
        }
        let slot = self.files.open().ok()?;
        if open >= self.paid {
            self.memory.try_hold(CONNECTION_HELD).then_some(())?;
            self.paid += 1;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Permit(Arc::new(Open { count: Arc::clone(&self.open), _slot: slot })))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::Bytes;

    use super::*;
    use crate::wasi::Files;

    fn connections(mem: Bytes) -> (Arc<Memory>, Connections) {
        let memory = Arc::new(Memory::new(mem, Arc::default()));
        let files = Arc::new(GuestFiles::new(&Arc::new(Files::of_this_process())));
        (Arc::clone(&memory), Connections::new(memory, files))
    }

    #[test]
    fn connections_are_bounded_in_number_and_given_back() {
        let (memory, mut connections) = connections(Bytes::from_mib(64));

        let mut permits: Vec<Permit> = std::iter::from_fn(|| connections.open()).take(2 * CONNECTIONS_MAX).collect();

        assert_eq!(permits.len(), CONNECTIONS_MAX);
        permits.pop();
        assert!(connections.open().is_some());
        assert_eq!(memory.denied(), None);
    }

    #[test]
    fn connections_that_do_not_fit_the_memory_are_refused() {
        let (memory, mut connections) = connections(Bytes::from_mib(1));

        let first = connections.open();
        let second = connections.open();

        assert!(first.is_some() && second.is_some());
        assert!(connections.open().is_none());
        assert!(memory.denied().is_some());
        drop(second);
        assert!(connections.open().is_some(), "what was paid once is not paid again");
    }
}
