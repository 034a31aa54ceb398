//! Why a module cannot be run.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use haggle_core::{Bytes, Reason};

use crate::compile::IntakeError;
use crate::inspect::{Kind, NotAProgram};

/// Why a module cannot be run, in one line for the one who wrote it or for the one who runs the agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The file is not there.
    #[error("cannot read module {path}: {reason}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It is no module, or none that is compiled.
    #[error("{0}")]
    Invalid(String),
    /// Its compilation was ended at a limit.
    #[error("compile limit: {0}")]
    CompileLimit(Exhausted),
    /// The compiler crashed on it.
    #[error("the compiler crashed on this module: {0}")]
    Crashed(String),
    /// It wants something of the host that is not there.
    #[error("imports {0}, which no task is given")]
    UnknownImport(String),
    /// A core module without an entry.
    #[error("exports no `_start` function without parameters and results, as a WASI 0.1 command does")]
    NoStart,
    /// A component without an entry.
    #[error("exports no `wasi:cli/run`, as a WASI 0.2 command does: {0}")]
    NoRun(String),
    /// Its compiled form is damaged, gone, or of another version.
    #[error("its compiled form cannot be loaded: {0}")]
    Unloadable(String),
    /// This machine cannot run modules of this form.
    #[error("{0}")]
    NoEngine(String),
    /// Something outside of it went wrong.
    #[error("the module was not compiled: {0}")]
    Interrupted(String),
}

/// What a compilation used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// CPU time.
    Cpu(Duration),
    /// Memory; `None` where it was all that the machine had.
    Memory(Option<Bytes>),
    /// Stack, of which no limit is an operator's.
    Stack,
    /// Time on the wall.
    Wall(Duration),
    /// Room for machine code.
    Code(Bytes),
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(limit) => write!(
                f,
                "used {} s of CPU, all that one module is given (`haggle agent --compile-cpu` raises it)",
                limit.as_secs()
            ),
            Self::Memory(Some(limit)) => {
                write!(f, "wants more than {limit} of memory to be compiled (`haggle agent --compile-mem` raises it)")
            }
            Self::Memory(None) => f.write_str("wants more memory to be compiled than there is"),
            Self::Stack => f.write_str("nests deeper than the compiler's stack"),
            Self::Wall(limit) => write!(
                f,
                "took {} s, all that one module is given by the clock (`haggle agent --compile-cpu` raises it)",
                limit.as_secs()
            ),
            Self::Code(limit) => write!(f, "makes more than {limit} of machine code"),
        }
    }
}

impl From<IntakeError> for ModuleError {
    fn from(error: IntakeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<NotAProgram> for ModuleError {
    fn from(error: NotAProgram) -> Self {
        match error {
            NotAProgram::Library(Kind::Core) => Self::NoStart,
            NotAProgram::Library(Kind::Component) => Self::NoRun("it is a library".to_owned()),
            NotAProgram::Foreign(import) => Self::UnknownImport(import.to_string()),
            NotAProgram::NotAModule(_) | NotAProgram::TooNew(_) => Self::Invalid(error.to_string()),
        }
    }
}

impl ModuleError {
    /// The reason with which a task ends whose module this is.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unreadable { .. } => Reason::ArtifactUnavailable,
            Self::Unloadable(_) | Self::NoEngine(_) | Self::Interrupted(_) => Reason::ExecutorTerminated,
            Self::Invalid(_)
            | Self::CompileLimit(_)
            | Self::Crashed(_)
            | Self::UnknownImport(_)
            | Self::NoStart
            | Self::NoRun(_) => Reason::ModuleInvalid,
        }
    }

    /// Whether it may be right by now: what is wrong with a module stays wrong, what went wrong with its file or with
    /// us does not.
    pub(crate) fn is_passing(&self) -> bool {
        self.reason() != Reason::ModuleInvalid
    }
}
