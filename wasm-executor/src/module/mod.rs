//! From a compiled module on disk to something that starts in microseconds: loaded and linked once, kept by digest.

mod cache;
mod error;
mod loader;

use std::sync::Arc;

use wasmtime::component::Component;
use wasmtime::{InstancePre, Module, ModuleExport};
use wasmtime_wasi::p2::bindings::CommandPre;

pub(crate) use cache::Modules;
pub use error::{Exhausted, ModuleError};
pub(crate) use loader::Loader;

use crate::instances::Instances;
use crate::wasi::{Linkers, Preview1State, Preview2State};

/// A module that is ready to start, its imports resolved.
pub(crate) enum Compiled {
    /// A core module of WASI 0.1.
    Core { pre: InstancePre<Preview1State>, start: ModuleExport, instances: Instances },
    /// A component of WASI 0.2.
    Component { pre: CommandPre<Preview2State>, instances: Instances },
}

impl Compiled {
    /// What the host holds for the instances of one task, beside their memories and tables, and whether making them runs
    /// code of the guest.
    pub(crate) fn instances(&self) -> Instances {
        match self {
            Self::Core { instances, .. } | Self::Component { instances, .. } => *instances,
        }
    }
}

/// Machine code before its imports are resolved.
struct Code {
    form: CodeForm,
    /// See [`Compiled::instances`].
    instances: Instances,
}

enum CodeForm {
    Core(Module),
    Component(Component),
}

impl Code {
    /// Bytes of machine code and data that it keeps in memory.
    fn size(&self) -> usize {
        let range = match &self.form {
            CodeForm::Core(module) => module.image_range(),
            CodeForm::Component(component) => component.image_range(),
        };
        range.end.addr() - range.start.addr()
    }

    fn link(&self, linkers: &Linkers) -> Result<Compiled, ModuleError> {
        let instances = self.instances;
        match &self.form {
            CodeForm::Core(module) => {
                let start = module.get_export_index("_start").ok_or(ModuleError::NoStart)?;
                let is_command = module
                    .get_export("_start")
                    .and_then(|export| Some(export.func()?.clone()))
                    .is_some_and(|func| func.params().len() == 0 && func.results().len() == 0);
                if !is_command {
                    return Err(ModuleError::NoStart);
                }
                let pre = linkers.core.instantiate_pre(module).map_err(|error| unresolved(&error))?;
                Ok(Compiled::Core { pre, start, instances })
            }
            CodeForm::Component(component) => {
                let pre = linkers.component.instantiate_pre(component).map_err(|error| unresolved(&error))?;
                CommandPre::new(pre)
                    .map(|pre| Compiled::Component { pre, instances })
                    .map_err(|error| ModuleError::NoRun(error.root_cause().to_string()))
            }
        }
    }
}

fn unresolved(error: &wasmtime::Error) -> ModuleError {
    match error.downcast_ref::<wasmtime::UnknownImportError>() {
        Some(unknown) => ModuleError::UnknownImport(format!("`{}` from `{}`", unknown.name(), unknown.module())),
        None => ModuleError::Invalid(format!("not a valid module: {error:#}")),
    }
}

/// A module, or why there is none; shared by all who wait for it.
type Verdict = Result<Arc<Compiled>, ModuleError>;
