//! The child: a module on standard input, its machine code on standard output, what is wrong on standard error.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use rayon::ThreadPoolBuilder;

use super::here::{compile_task, is_large};
use super::intake;
use super::limits::{self, Order};
use crate::module::ModuleError;

/// The first argument that makes the program of a [`CompilerConfig`](crate::CompilerConfig) a compiler.
pub const COMPILE_COMMAND: &str = "compile";

/// The module is at fault.
pub(super) const REFUSED: u8 = 3;
/// There is no memory for it.
pub(super) const OUT_OF_MEMORY: u8 = 4;
/// The machine is at fault.
pub(super) const BROKEN: u8 = 5;

/// Compiles what standard input has, when these are the arguments of a child of a [`Compiler`](crate::Compiler), its
/// program's own name first. To be called first thing in `main`, while there is one thread; `None` means that this
/// process is something else.
///
/// The limits are taken on before anything is read.
pub fn compile_child(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != COMPILE_COMMAND {
        return None;
    }
    let Some(order) = Order::from_args(args) else {
        return Some(complain(BROKEN, "this command is an agent's own: it compiles modules under limits"));
    };
    if let Err(error) = limits::apply(&order) {
        return Some(complain(BROKEN, &format!("the compiler cannot be limited: {error}")));
    }
    Some(match compile(&order) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Module(ModuleError::CompileLimit(_))) => complain(OUT_OF_MEMORY, ""),
        Err(Fault::Module(
            error @ (ModuleError::Invalid(_)
            | ModuleError::NoStart
            | ModuleError::NoRun(_)
            | ModuleError::UnknownImport(_)),
        )) => complain(REFUSED, &error.to_string()),
        Err(Fault::Module(ModuleError::Interrupted(why))) => complain(BROKEN, &why),
        Err(Fault::Module(error)) => complain(BROKEN, &error.to_string()),
        Err(Fault::Io(error)) => complain(BROKEN, &error.to_string()),
    })
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn compile(order: &Order) -> Result<(), Fault> {
    let mut module = Vec::new();
    let limit = order.limits.module;
    io::stdin().lock().take(intake::file_max(limit).saturating_add(1)).read_to_end(&mut module)?;
    if is_large(&module) {
        // Now, since a library that is left to start them panics where there are none.
        let threads = ThreadPoolBuilder::new().num_threads(order.threads).stack_size(limits::STACK);
        threads.build_global().map_err(io::Error::other)?;
    }
    let compiled = compile_task(&module, order.meter, limit)?;
    let mut out = io::stdout().lock();
    out.write_all(&compiled)?;
    out.flush()?;
    Ok(())
}

fn complain(code: u8, why: &str) -> ExitCode {
    // Without a reader the code has to do.
    let _ = writeln!(io::stderr(), "{why}");
    ExitCode::from(code)
}
