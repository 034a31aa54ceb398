//! The memory quota: what a guest can make the host hold, counted before it is given.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use haggle_core::{Bytes, Exceeded};
use parking_lot::Mutex;
use wasmtime::ResourceLimiterAsync;
use wasmtime_wasi::async_trait;

use crate::meters::Meters;

/// Bytes of the objects that a guest has thrown and that are still alive or not looked through yet, at most. An object has some 40. To look
/// through that many takes milliseconds, in which the guest cannot be stopped.
pub(crate) const EXCEPTIONS_MAX: u64 = 4 << 20;

/// Bytes that 32 bits address.
const WHOLE: u64 = 1 << 32;

/// What one table element costs the host.
const TABLE_ELEMENT: u64 = 16;

/// Output that waits to be taken, at most: enough to keep a guest running while the other side is at work elsewhere,
/// and little beside what a task has.
const OUTPUT_MAX: u64 = 256 << 10;

/// A guest that uses all of its memory can still have this much output under way, or it could never say anything. It
/// is part of the stated overhead of a task.
const OUTPUT_MIN: u64 = 16 << 10;

/// A guest that uses all of its memory can still have a call of the host move this much at once. Part of the stated
/// overhead as well, once for each worker.
const CALL_MIN: u64 = 64 << 10;

/// The memory of one task.
///
/// Growth beyond the limit is denied: `memory.grow` gives -1 in the guest, and an instantiation that does not fit
/// fails. Output counts until it is taken by whoever hears of it. It yields to everything else: it only takes what is
/// free, and growth that would fit without it waits for it.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    state: Mutex<State>,
    meters: Arc<Meters>,
}

#[derive(Debug, Default)]
struct State {
    /// Without the output.
    used: u64,
    output: u64,
    denied: Option<Exceeded>,
    /// Who waits for output to be taken. There is one thread in a guest.
    waiting: Option<Waker>,
}

impl Memory {
    pub(crate) fn new(limit: Bytes, meters: Arc<Meters>) -> Self {
        Self { limit: limit.get(), state: Mutex::default(), meters }
    }

    /// Counts what the host holds for the guest, whether it wants to grow or not.
    pub(crate) fn hold(&self, bytes: u64) -> Result<(), Exceeded> {
        let Some(exceeded) = self.try_grow(&mut self.state.lock(), bytes) else { return Ok(()) };
        // It is held, and the task ends by it.
        self.meters.memory_peak(exceeded.used);
        Err(exceeded)
    }

    /// Counts what the host would hold for the guest, if there is room; a guest that is refused may live on without.
    pub(crate) fn try_hold(&self, bytes: u64) -> bool {
        self.try_grow(&mut self.state.lock(), bytes).is_none()
    }

    /// The first request that was denied: the limit, and what all would have come to.
    pub(crate) fn denied(&self) -> Option<Exceeded> {
        self.state.lock().denied
    }

    /// Bytes that the task was promised.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of output for which there is room now.
    pub(crate) fn output_room(&self) -> u64 {
        self.room(&self.state.lock())
    }

    /// The same, as soon as there is room.
    pub(crate) fn poll_output_room(&self, context: &Context<'_>) -> Poll<u64> {
        let mut state = self.state.lock();
        match self.room(&state) {
            0 => {
                state.waiting = Some(context.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(room),
        }
    }

    /// There is so much more output.
    pub(crate) fn output_held(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.output += bytes;
        self.meters.memory_peak((state.used + state.output).min(self.limit));
    }

    /// So much of the output was taken.
    pub(crate) fn output_taken(&self, bytes: u64) {
        let waiting = {
            let mut state = self.state.lock();
            state.output = state.output.saturating_sub(bytes);
            state.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn room(&self, state: &State) -> u64 {
        let free = self.limit.saturating_sub(state.used);
        free.clamp(OUTPUT_MIN, OUTPUT_MAX).saturating_sub(state.output)
    }

    /// What would be exceeded.
    fn try_grow(&self, state: &mut State, more: u64) -> Option<Exceeded> {
        let wanted = state.used.saturating_add(more);
        if wanted > self.limit {
            let exceeded = Exceeded { limit: self.limit, used: wanted };
            state.denied.get_or_insert(exceeded);
            return Some(exceeded);
        }
        state.used = wanted;
        self.meters.memory_peak((wanted + state.output).min(self.limit));
        None
    }

    fn poll_grow(&self, context: &Context<'_>, more: u64) -> Poll<bool> {
        let mut state = self.state.lock();
        let wanted = state.used.saturating_add(more);
        let output = state.output.saturating_sub(OUTPUT_MIN);
        if wanted <= self.limit && wanted + output > self.limit {
            state.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(self.try_grow(&mut state, more).is_none())
    }

    /// Counts what the host holds while it serves one call: `wanted` bytes, or as many as are free, but
    /// [`CALL_MIN`] in any case.
    pub(crate) fn for_call(&self, wanted: u64) -> CallBuffer<'_> {
        let mut state = self.state.lock();
        let held = wanted.min(self.limit.saturating_sub(state.used));
        let denied = self.try_grow(&mut state, held);
        debug_assert_eq!(denied, None, "no more is taken than is free");
        CallBuffer { memory: self, held, bytes: held.max(wanted.min(CALL_MIN)) }
    }

    /// What was held is gone.
    pub(crate) fn release(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.used = state.used.saturating_sub(bytes);
    }
}

/// What the host holds while it serves a call.
pub(crate) struct CallBuffer<'a> {
    memory: &'a Memory,
    held: u64,
    /// As large as it may be.
    pub(crate) bytes: u64,
}

impl Drop for CallBuffer<'_> {
    fn drop(&mut self) {
        self.memory.release(self.held);
    }
}

/// What a store asks before it grows.
pub(crate) struct Limiter {
    memory: Arc<Memory>,
    /// What was granted last, in case that wasmtime then cannot give it.
    granted: u64,
    /// Whether the guest has a heap of exceptions. It can become as large as [`WHOLE`] for all that wasmtime knows, and no memory
    /// of the guest can: see [`rewrite`](crate::rewrite).
    throws: bool,
}

impl Limiter {
    pub(crate) fn new(memory: Arc<Memory>, throws: bool) -> Self {
        Self { memory, granted: 0, throws }
    }

    /// The memory of the task.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    async fn grow(&mut self, more: u64) -> bool {
        let granted = poll_fn(|context| self.memory.poll_grow(context, more)).await;
        self.granted = if granted { more } else { 0 };
        granted
    }

    fn take_back(&mut self) {
        self.memory.release(std::mem::take(&mut self.granted));
    }
}

#[async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let whole = usize::try_from(WHOLE).ok();
        let is_for_exceptions = self.throws && maximum == whole && Some(desired) < whole;
        if is_for_exceptions && desired as u64 > EXCEPTIONS_MAX {
            self.granted = 0;
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current) as u64).await)
    }

    async fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow((desired.saturating_sub(current) as u64).saturating_mul(TABLE_ELEMENT)).await)
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

    const MIB: u64 = 1 << 20;

    fn memory() -> Memory {
        Memory::new(Bytes::from_mib(2), Arc::default())
    }

    fn grow(memory: &Memory, more: u64) -> Poll<bool> {
        memory.poll_grow(&Context::from_waker(Waker::noop()), more)
    }

    #[test]
    fn growth_beyond_the_limit_is_denied_and_remembered() {
        let memory = memory();

        assert_eq!(grow(&memory, MIB), Poll::Ready(true));
        assert_eq!(grow(&memory, 3 * MIB), Poll::Ready(false));
        assert_eq!(grow(&memory, MIB), Poll::Ready(true));

        assert_eq!(memory.denied(), Some(Exceeded { limit: 2 * MIB, used: 4 * MIB }));
    }

    #[test]
    fn output_has_room_until_it_is_taken_no_faster() {
        let memory = memory();
        memory.output_held(OUTPUT_MAX);

        assert_eq!(memory.output_room(), 0);
        memory.output_taken(1000);
        assert_eq!(memory.output_room(), 1000);
    }

    #[test]
    fn output_takes_what_the_guest_leaves_free() {
        let memory = memory();
        assert_eq!(grow(&memory, 2 * MIB - 100_000), Poll::Ready(true));
        assert_eq!(memory.output_room(), 100_000);

        assert_eq!(grow(&memory, 100_000), Poll::Ready(true));
        assert_eq!(memory.output_room(), OUTPUT_MIN);
    }

    #[test]
    fn a_call_holds_what_is_free_and_gives_it_back() {
        let memory = memory();
        let buffer = memory.for_call(MIB);
        assert_eq!(buffer.bytes, MIB);
        assert_eq!(grow(&memory, MIB + 1), Poll::Ready(false));
        assert_eq!(memory.for_call(3 * MIB).bytes, MIB);
        drop(buffer);
        assert_eq!(grow(&memory, 2 * MIB), Poll::Ready(true));

        let buffer = memory.for_call(MIB);

        assert_eq!((buffer.held, buffer.bytes), (0, CALL_MIN));
        assert_eq!(memory.for_call(100).bytes, 100);
    }

    #[test]
    fn growth_that_fits_without_the_output_waits_for_it_and_other_growth_is_denied() {
        let memory = memory();
        memory.output_held(100_000);

        assert_eq!(grow(&memory, 2 * MIB), Poll::Pending);
        assert_eq!(grow(&memory, 2 * MIB + 1), Poll::Ready(false));
        memory.output_taken(100_000);
        assert_eq!(grow(&memory, 2 * MIB), Poll::Ready(true));
    }
}
