//! What a guest can call: WASI 0.1 and 0.2 as wasmtime has them, with quotas around everything that writes.

mod buffers;
mod descriptors;
mod disk;
mod files;
mod listing;
mod names;
mod net;
mod preview1;
mod preview2;
mod sleep;
mod stdio;
mod streams;
mod transfers;

use wasmtime::Engine;
use wasmtime_wasi::{ResourceTable, WasiCtx};

pub(crate) use disk::{Disk, DiskRefusal, Full, file_id};
pub(crate) use files::{Files, GuestFiles};
pub(crate) use net::Net;
pub(crate) use preview1::Preview1;
pub(crate) use preview2::Preview2;
pub(crate) use stdio::{Output, OutputExceeded, stdin};

use crate::memory::Limiter;
use crate::pace::Pace;

/// Open files, folders, streams and pollables of one guest together. Each may be a descriptor of the host, of
/// which a process has some thousands at most.
pub(crate) const RESOURCES_MAX: usize = 256;

/// Bytes of lists and strings that one call of a component may make the host copy.
const COMPONENT_CALL_MAX: usize = 1 << 20;

/// The same for a core module: the largest buffer of one call, and room for the list that names it.
const CORE_CALL_MAX: usize = buffers::CALL_MAX as usize + (64 << 10);

/// Handles that a component's instances hold of resources, its own among them. The host holds some 32 bytes for each.
const COMPONENT_HANDLES_MAX: u64 = 16 << 10;

/// Handles for this much memory: beside what the handles cost, less than one part in a hundred of it.
const MEMORY_PER_HANDLE: u64 = 4096;

/// Enough for a guest that has all the resources it may have, and has lent them.
const COMPONENT_HANDLES_MIN: u64 = 2 * RESOURCES_MAX as u64;

/// What a core module's store holds.
pub(crate) struct Preview1State {
    pub(crate) wasi: Preview1,
    pub(crate) limiter: Limiter,
}

/// What a component's store holds.
pub(crate) struct Preview2State {
    pub(crate) wasi: Preview2,
    pub(crate) net: Net,
    pub(crate) limiter: Limiter,
}

/// All that a guest can import.
pub(crate) struct Linkers {
    pub(crate) core: wasmtime::Linker<Preview1State>,
    pub(crate) component: wasmtime::component::Linker<Preview2State>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        Ok(Self { core: preview1::linker(engine)?, component: preview2::linker(engine)? })
    }
}

impl Preview1State {
    pub(crate) fn store(self, engine: &Engine) -> wasmtime::Store<Self> {
        let mut store = wasmtime::Store::new(engine, self);
        store.limiter_async(|state| &mut state.limiter);
        store.call_hook_async(Pace);
        store.set_hostcall_fuel(CORE_CALL_MAX);
        store
    }
}

impl Preview2State {
    pub(crate) fn store(self, engine: &Engine) -> wasmtime::Store<Self> {
        let handles = self.limiter.memory().limit() / MEMORY_PER_HANDLE;
        let handles =
            usize::try_from(handles.clamp(COMPONENT_HANDLES_MIN, COMPONENT_HANDLES_MAX)).unwrap_or(usize::MAX);
        let mut store = wasmtime::Store::new(engine, self);
        store.limiter_async(|state| &mut state.limiter);
        store.call_hook_async(Pace);
        store.set_hostcall_fuel(COMPONENT_CALL_MAX);
        store.set_max_component_handles(handles);
        store
    }
}

fn bounded(table: &mut ResourceTable) {
    table.set_max_capacity(RESOURCES_MAX);
}

/// Lets file work of the guest happen on the thread that runs it, so that it is charged to it. Nothing else
/// may block there: see [`preview1`] about sleeping.
pub(crate) fn builder() -> wasmtime_wasi::WasiCtxBuilder {
    let mut builder = WasiCtx::builder();
    builder
        .allow_blocking_current_thread(true)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(COMPONENT_CALL_MAX as u64);
    builder
}
