//! From a file of WebAssembly to something that starts in microseconds: checked, compiled once, kept by digest.

mod cache;
mod compiler;
mod effort;
mod intake;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::Component;
use wasmtime::{InstancePre, Module, ModuleExport};
use wasmtime_wasi::p2::bindings::CommandPre;

pub(crate) use cache::Modules;
pub(crate) use compiler::Compiler;
pub use effort::TooDear;
pub use intake::{IntakeError, admit};
pub(crate) use store::Store;

use crate::wasi::{Linkers, Preview1State, Preview2State};

/// A module that is ready to start, its imports resolved.
pub(crate) enum Compiled {
    /// A core module of WASI 0.1.
    Core { pre: InstancePre<Preview1State>, start: ModuleExport },
    /// A component of WASI 0.2.
    Component(CommandPre<Preview2State>),
}

/// Why a module cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModuleError {
    #[error("cannot read module {path}: {reason}", path = path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{0}")]
    Refused(#[from] intake::IntakeError),
    #[error("not a valid module: {0}")]
    Invalid(String),
    #[error("imports {0}, which no task is given")]
    UnknownImport(String),
    #[error("exports no `_start` function without parameters and results, as a WASI 0.1 command does")]
    NoStart,
    #[error("exports no `wasi:cli/run`, as a WASI 0.2 command does: {0}")]
    NoRun(String),
    #[error("{0}")]
    NoEngine(String),
    #[error("the compiler was shut down or broke off")]
    Gone,
}

/// Machine code before its imports are resolved.
enum Code {
    Core(Module),
    Component(Component),
}

impl Code {
    /// Bytes of machine code and data that it keeps in memory.
    fn size(&self) -> usize {
        let range = match self {
            Self::Core(module) => module.image_range(),
            Self::Component(component) => component.image_range(),
        };
        range.end.addr() - range.start.addr()
    }

    fn link(&self, linkers: &Linkers) -> Result<Compiled, ModuleError> {
        match self {
            Self::Core(module) => {
                let start = module.get_export_index("_start").ok_or(ModuleError::NoStart)?;
                let is_command = module
                    .get_export("_start")
                    .and_then(|export| Some(export.func()?.clone()))
                    .is_some_and(|func| func.params().len() == 0 && func.results().len() == 0);
                if !is_command {
                    return Err(ModuleError::NoStart);
                }
                let pre = linkers.core.instantiate_pre(module).map_err(|error| unresolved(&error))?;
                Ok(Compiled::Core { pre, start })
            }
            Self::Component(component) => {
                let pre = linkers.component.instantiate_pre(component).map_err(|error| unresolved(&error))?;
                CommandPre::new(pre)
                    .map(Compiled::Component)
                    .map_err(|error| ModuleError::NoRun(error.root_cause().to_string()))
            }
        }
    }
}

fn unresolved(error: &wasmtime::Error) -> ModuleError {
    match error.downcast_ref::<wasmtime::UnknownImportError>() {
        Some(unknown) => ModuleError::UnknownImport(format!("`{}` from `{}`", unknown.name(), unknown.module())),
        None => ModuleError::Invalid(format!("{error:#}")),
    }
}

/// A module, or why there is none; shared by all who wait for it.
type Verdict = Result<Arc<Compiled>, ModuleError>;
