//! Compiles in this process: what the child does, and whoever trusts the module.

use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;

use haggle_core::Bytes;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::{CompileLimits, intake, rewrite, snapshot};
use crate::engine;
use crate::event::Meter;
use crate::inspect::{Inspection, Kind};
use crate::instances;
use crate::module::{Exhausted, ModuleError};

/// Bytes of a module above which its functions are compiled on all CPUs. Below, starting the threads takes longer.
const PARALLEL_FROM: usize = 64 << 10;

/// Machine code that an [`Executor`](crate::Executor) of this version on a machine like this loads, from a module in
/// binary or text form.
///
/// Nothing bounds what this takes but the first look at the module. Only for modules that are trusted, or in a
/// process that may end: see [`Compiler`](crate::Compiler) for all others.
///
/// # Errors
/// [`ModuleError::Invalid`] when it is no module or none that is compiled, [`ModuleError::CompileLimit`] when this
/// process has no memory for it.
pub fn compile_here(module: &[u8], meter: Meter) -> Result<Vec<u8>, ModuleError> {
    compile(module, meter, CompileLimits::DEFAULT_MODULE, |_| Ok(()), |_, _| None)
}

/// The same of what is to be a task. Whether it can be one is known before it is compiled. An interpreter of which that
/// can be had starts from a snapshot of itself.
pub(super) fn compile_task(module: &[u8], meter: Meter, limit: Bytes) -> Result<Vec<u8>, ModuleError> {
    let judge = |inspection: &Inspection| inspection.check_program().map_err(ModuleError::from);
    compile(module, meter, limit, judge, |engine, binary| {
        let taken = snapshot::take(binary, is_large(binary))?;
        let rewritten = rewrite::rewrite(&taken.binary);
        let compiled = Module::from_binary(engine, &rewritten).ok()?;
        let instances = instances::of(&rewritten).ok()?;
        taken.is_sound(&compiled, meter).then_some(())?;
        let mut compiled = compiled.serialize().ok()?;
        instances::append(&mut compiled, instances);
        Some(compiled)
    })
}

/// Whether the functions of a module are compiled on all CPUs.
pub(super) fn is_large(module: &[u8]) -> bool {
    module.len() >= PARALLEL_FROM
}

fn compile(
    module: &[u8],
    meter: Meter,
    limit: Bytes,
    judge: impl FnOnce(&Inspection) -> Result<(), ModuleError>,
    otherwise: impl FnOnce(&Engine, &[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, ModuleError> {
    // First, since what it maps fits a limit on memory only before the module has used up its own part.
    let engine = engine_for(meter, is_large(module))?;
    let binary = intake::binary(module, limit)?;
    let inspection = intake::check(&binary, limit)?;
    judge(&inspection)?;
    let kind = inspection.kind;
    if let Some(compiled) = otherwise(engine, &binary) {
        return Ok(compiled);
    }
    let rewritten = rewrite::rewrite(&binary);
    let compiled = machine_code(engine, kind, &rewritten).map_err(|error| match &rewritten {
        // Where the fault lies is told of the module as it was given.
        Cow::Owned(_) if !is_out_of_memory(&error) => machine_code(engine, kind, &binary).err().unwrap_or(error),
        _ => error,
    });
    let mut compiled =
        compiled.map_err(|error| fault(&error, |why| ModuleError::Invalid(format!("not a valid module: {why}"))))?;
    let made = instances::of(&rewritten)
        .map_err(|error| ModuleError::Invalid(format!("not a valid module: {}", error.message())))?;
    instances::append(&mut compiled, made);
    Ok(compiled)
}

fn machine_code(engine: &Engine, kind: Kind, binary: &[u8]) -> wasmtime::Result<Vec<u8>> {
    match kind {
        Kind::Core => Module::from_binary(engine, binary)?.serialize(),
        Kind::Component => Component::from_binary(engine, binary)?.serialize(),
    }
}

fn fault(error: &wasmtime::Error, otherwise: impl FnOnce(&str) -> ModuleError) -> ModuleError {
    if is_out_of_memory(error) {
        return ModuleError::CompileLimit(Exhausted::Memory(None));
    }
    otherwise(&error.root_cause().to_string())
}

/// Whether it is the system that had no more, or the limit on this process.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    let cause = error.root_cause();
    #[cfg(unix)]
    if cause.downcast_ref() == Some(&rustix::io::Errno::NOMEM) {
        return true;
    }
    let by_system = |error: &io::Error| error.kind() == io::ErrorKind::OutOfMemory;
    error.is::<wasmtime::OutOfMemory>() || cause.downcast_ref().is_some_and(by_system)
}

fn engine_for(meter: Meter, parallel: bool) -> Result<&'static Engine, ModuleError> {
    static ENGINES: [OnceLock<Result<Engine, ModuleError>>; 4] = [const { OnceLock::new() }; 4];
    let index = usize::from(parallel) * 2 + usize::from(meter == Meter::Epochs);
    let engine = ENGINES[index].get_or_init(|| {
        let broken = |why: &str| ModuleError::Interrupted(format!("no engine on this machine: {why}"));
        engine::compiling(meter, parallel).map_err(|error| fault(&error, broken))
    });
    engine.as_ref().map_err(Clone::clone)
}
