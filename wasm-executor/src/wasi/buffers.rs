//! What one call of a core module may name: buffers, paths and subscriptions, each within bounds.

use wasmtime_wasi::p1::types::{Errno, Error};
use wiggle::{GuestMemory, GuestPtr, GuestType};

use crate::memory::{CallBuffer, Memory};
use crate::names;

/// Bytes that one call reads or writes at most. A longer buffer is filled in part, as POSIX allows: a call is over in a
/// fraction of a slice, and the host holds no more than this for it.
pub(super) const CALL_MAX: u32 = 1 << 20;

/// Buffers of one call; the same bound as POSIX has.
const BUFFERS_MAX: u32 = 1024;

/// Bytes of a path; the same bound as Linux has.
const PATH_MAX: u32 = 4096;

/// Things that one `poll_oneoff` waits for. Each takes one or two of the guest's resources.
const SUBSCRIPTIONS_MAX: u32 = 64;

/// Bytes of a buffer's entry in the list: address and length.
const ENTRY: u32 = 8;

/// The one buffer of a call that is worth looking at: the first that is not empty, as wasmtime does it.
pub(super) struct Buffer {
    /// Where its entry lies.
    entry: u32,
    at: u32,
    /// As the guest named it.
    named: u32,
    /// Bytes of it that the call covers.
    length: u32,
}

impl Buffer {
    /// `None` when all are empty.
    pub(super) fn first<T>(memory: &mut GuestMemory<'_>, list: GuestPtr<[T]>) -> Result<Option<Self>, Error> {
        if list.len() > BUFFERS_MAX {
            return Err(Errno::Inval.into());
        }
        for number in 0..list.len() {
            let entry = number.checked_mul(ENTRY).and_then(|skipped| list.offset_base().checked_add(skipped));
            let entry = entry.ok_or(Errno::Fault)?;
            let at = memory.read(GuestPtr::<u32>::new(entry))?;
            let named = memory.read(length_of(entry)?)?;
            if named > 0 {
                return Ok(Some(Self { entry, at, named, length: named.min(CALL_MAX) }));
            }
        }
        Ok(None)
    }

    /// Bytes of it that the call covers.
    pub(super) fn length(&self) -> u32 {
        self.length
    }

    /// Takes the host's copy of it from the task's memory for as long as the call lasts. The call covers no more than
    /// there is room for.
    pub(super) fn hold<'a>(&mut self, task: &'a Memory) -> CallBuffer<'a> {
        let held = task.for_call(self.length.into());
        self.length = u32::try_from(held.bytes).unwrap_or(u32::MAX).min(self.length);
        held
    }

    /// The list that a call is given instead: this buffer alone, no longer than a call may take. The guest, which
    /// owns the entry, is suspended until [`Self::restore`].
    pub(super) fn cut<T: GuestType>(
        &self,
        memory: &mut GuestMemory<'_>,
        list: GuestPtr<[T]>,
    ) -> Result<GuestPtr<[T]>, Error> {
        if self.length < self.named {
            memory.write(length_of(self.entry)?, self.length)?;
        }
        let skipped = (self.entry - list.offset_base()) / ENTRY;
        list.get_range(skipped..skipped + 1).ok_or_else(|| Errno::Fault.into())
    }

    /// Puts back what [`Self::cut`] changed, unless the call itself wrote there.
    pub(super) fn restore(&self, memory: &mut GuestMemory<'_>, filled: u32) -> Result<(), Error> {
        if self.length == self.named {
            return Ok(());
        }
        let (from, to) = (u64::from(self.entry) + 4, u64::from(self.entry) + u64::from(ENTRY));
        let is_overwritten = u64::from(self.at) < to && from < u64::from(self.at) + u64::from(filled);
        if !is_overwritten {
            memory.write(length_of(self.entry)?, self.named)?;
        }
        Ok(())
    }
}

fn length_of(entry: u32) -> Result<GuestPtr<u32>, Error> {
    Ok(GuestPtr::new(entry.checked_add(4).ok_or(Errno::Fault)?))
}

/// Refuses a path that no file system knows, before anybody copies it.
pub(super) fn check_path(memory: &GuestMemory<'_>, path: GuestPtr<str>) -> Result<(), Error> {
    if path.len() > PATH_MAX {
        return Err(Errno::Nametoolong.into());
    }
    // Elsewhere every name is plain, and reading it twice is not for nothing.
    if cfg!(windows) && !names::is_plain(&memory.as_cow_str(path)?) {
        return Err(Errno::Inval.into());
    }
    Ok(())
}

/// Refuses to wait for more than the host holds for one guest.
pub(super) fn check_subscriptions(count: u32) -> Result<(), Error> {
    if count > SUBSCRIPTIONS_MAX { Err(Errno::Inval.into()) } else { Ok(()) }
}
