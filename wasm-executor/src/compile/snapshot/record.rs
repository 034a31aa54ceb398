//! Runs of a module before it is a task's: to take a snapshot, and to try one.

use wasmtime::{Config, Engine, Instance, Module, OptLevel, Store, Val};

use super::host::{self, Host, Stop};
use crate::engine;
use crate::event::Meter;

/// Fuel of a run. CPython gets ready with 250 million, and looks for what it lost with some hundred more.
const FUEL: u64 = 4_000_000_000;

/// How a run ended, and what there was then.
pub(super) struct Ended {
    /// `None` when its function returned.
    pub(super) stop: Option<Stop>,
    pub(super) host: Host,
    pub(super) memory: Vec<u8>,
    /// Its exported globals of this many, by number.
    pub(super) globals: Vec<i64>,
}

/// The name under which a global is exported for a run.
pub(super) fn global_name(number: usize) -> String {
    format!("haggle global {number}")
}

/// A module that is run a few times only, and so compiled quickly.
///
/// # Errors
/// When it cannot be.
pub(super) fn quickly_compiled(binary: &[u8], parallel: bool) -> wasmtime::Result<Module> {
    let mut config = Config::new();
    config.consume_fuel(true);
    config.cranelift_opt_level(OptLevel::None);
    config.parallel_compilation(parallel);
    config.max_wasm_stack(engine::WASM_STACK);
    Module::from_binary(&Engine::new(&config)?, binary)
}

/// Calls `_start`. `globals` are as many as are exported.
///
/// # Errors
/// When it traps, or cannot even begin.
pub(super) fn run(module: &Module, meter: Meter, globals: usize, host: Host) -> wasmtime::Result<Ended> {
    let mut store = Store::new(module.engine(), host);
    match meter {
        Meter::Fuel => store.set_fuel(FUEL)?,
        // Nobody counts them, so this is never reached.
        Meter::Epochs => store.set_epoch_deadline(1),
    }
    let instance = host::linker(module)?.instantiate(&mut store, module)?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
    let stop = match start.call(&mut store, ()) {
        Ok(()) => None,
        Err(error) => match error.downcast_ref::<Stop>() {
            Some(stop) => Some(*stop),
            None => return Err(error),
        },
    };
    let memory = memory(&instance, &mut store)?;
    let mut values = Vec::with_capacity(globals);
    for number in 0..globals {
        values.push(match instance.get_global(&mut store, &global_name(number)).map(|global| global.get(&mut store)) {
            Some(Val::I32(value)) => value.into(),
            Some(Val::I64(value)) => value,
            _ => return Err(wasmtime::Error::msg("has a global of another type")),
        });
    }
    Ok(Ended { stop, host: store.into_data(), memory, globals: values })
}

fn memory(instance: &Instance, store: &mut Store<Host>) -> wasmtime::Result<Vec<u8>> {
    let memory = instance.get_memory(&mut *store, "memory");
    Ok(memory.ok_or_else(|| wasmtime::Error::msg("has no memory"))?.data(&*store).to_vec())
}
