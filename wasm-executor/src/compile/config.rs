//! What a compiler is started with.

use std::path::PathBuf;
use std::time::Duration;

use haggle_core::Bytes;

use super::cache::make_folder;
use crate::StartError;

/// What a compiler is started with.
#[derive(Clone, Debug)]
pub struct CompilerConfig {
    /// The executable that becomes the child: one whose `main` calls [`compile_child`](crate::compile_child), which
    /// the `haggle` command does.
    pub program: PathBuf,
    /// Where compiled modules are kept over restarts. Must belong to this user; others are shut out of it. Several
    /// compilers of one user may share it.
    pub cache_dir: PathBuf,
    /// What one compilation may take.
    pub limits: CompileLimits,
    /// Compilations at the same time, at least one. Each uses all CPUs; there are several so that a large module does not
    /// hold up every small one behind it, and a framework with many of them not those of the others: the last child is
    /// never its own.
    pub at_once: usize,
}

impl CompilerConfig {
    /// Compilations at the same time, unless said otherwise.
    pub const DEFAULT_AT_ONCE: usize = 3;

    /// With the default limits.
    pub fn new(program: impl Into<PathBuf>, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            cache_dir: cache_dir.into(),
            limits: CompileLimits::default(),
            at_once: Self::DEFAULT_AT_ONCE,
        }
    }

    /// Makes the folder of compiled modules ahead of [`Compiler::start`](super::Compiler::start). An executor gives up all files but
    /// those that are there when it starts, so the folder has to come before it.
    ///
    /// # Errors
    /// When the folder cannot be made, or is another user's.
    pub fn make_cache(&self) -> Result<(), StartError> {
        make_folder(&self.cache_dir)
    }
}

/// What the compilation of one module may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time of the child, all its threads together; counted in whole seconds, rounded up. Not held on Windows.
    pub cpu: Duration,
    /// Memory that the child allocates. Held on Linux.
    pub mem: Bytes,
    /// Size of the compiled module.
    pub code: Bytes,
    /// Size of the module without its custom sections. Its file may be four times as large.
    pub module: Bytes,
}

impl CompileLimits {
    /// CPython as a component takes 18 s.
    pub const DEFAULT_CPU: Duration = Duration::from_secs(120);
    /// CPython as a component takes some hundred MiB on two CPUs; each CPU more takes its part.
    pub const DEFAULT_MEM: Bytes = Bytes::from_mib(2048);
    /// CPython as a component makes 60 MB.
    pub const DEFAULT_CODE: Bytes = Bytes::from_mib(512);
    /// CPython has 26 MB, and a synthesizer of circuits 48.
    pub const DEFAULT_MODULE: Bytes = Bytes::from_mib(128);

    /// How many times its CPU limit a compilation may last: the child is nicer than anybody, and so gets a tenth of a
    /// CPU on a machine whose tasks leave nothing over.
    const PATIENCE: u32 = 10;

    /// How long a compilation may last, awake or not.
    pub(super) fn wall(&self) -> Duration {
        self.cpu * Self::PATIENCE
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu: Self::DEFAULT_CPU, mem: Self::DEFAULT_MEM, code: Self::DEFAULT_CODE, module: Self::DEFAULT_MODULE }
    }
}
