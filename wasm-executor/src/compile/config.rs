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
    /// CPU time of the child, all its threads together; counted in whole seconds, rounded up. Not held on Windows. `None`: by the
    /// size of the module's file, between [`Self::CPU_MIN`] and [`Self::CPU_MAX`].
    pub cpu: Option<Duration>,
    /// Memory that the child allocates. Held on Linux and Windows. `None`: by the size of the module's file, between
    /// [`Self::MEM_MIN`] and [`Self::MEM_MAX`].
    pub mem: Option<Bytes>,
    /// Size of the compiled module.
    pub code: Bytes,
    /// Size of the module without its custom sections. Its file may be four times as large.
    pub module: Bytes,
}

impl CompileLimits {
    /// What a module of any size may take. CPython as a component takes 18 s.
    pub const CPU_MIN: Duration = Duration::from_secs(120);
    /// What a module of any size may take. CPython as a component takes some hundred MiB on two CPUs; each CPU more takes its
    /// part.
    pub const MEM_MIN: Bytes = Bytes::from_mib(2048);
    /// What the largest module may take.
    pub const CPU_MAX: Duration = Duration::from_secs(600);
    /// What the largest module may take.
    pub const MEM_MAX: Bytes = Bytes::from_mib(4096);
    /// CPython as a component makes 60 MB.
    pub const DEFAULT_CODE: Bytes = Bytes::from_mib(512);
    /// CPython has 26 MB, and a synthesizer of circuits 48.
    pub const DEFAULT_MODULE: Bytes = Bytes::from_mib(128);

    /// That synthesizer, of 66 MiB with its names, takes 3.8 s for each in a debug build beside others.
    const CPU_PER_MIB: Duration = Duration::from_secs(5);
    /// It takes 40 times its size on two CPUs.
    const MEM_PER_BYTE: u64 = 64;

    /// What a module of this size may take.
    pub(super) fn of(&self, size: u64) -> Allowed {
        let mib = u32::try_from(size.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let cpu = || Self::CPU_PER_MIB.saturating_mul(mib).clamp(Self::CPU_MIN, Self::CPU_MAX);
        let mem = || Bytes::new(size.saturating_mul(Self::MEM_PER_BYTE)).clamp(Self::MEM_MIN, Self::MEM_MAX);
        Allowed {
            cpu: self.cpu.unwrap_or_else(cpu),
            mem: self.mem.unwrap_or_else(mem),
            code: self.code,
            module: self.module,
        }
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu: None, mem: None, code: Self::DEFAULT_CODE, module: Self::DEFAULT_MODULE }
    }
}

/// What the compilation of a certain module may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) cpu: Duration,
    pub(super) mem: Bytes,
    pub(super) code: Bytes,
    pub(super) module: Bytes,
}

impl Allowed {
    /// How many times its CPU limit a compilation may last: it may be as nice as to get a tenth of a CPU on a machine whose
    /// tasks leave nothing over.
    const PATIENCE: u32 = 10;

    /// How long a compilation may last, awake or not.
    pub(super) fn wall(&self) -> Duration {
        self.cpu * Self::PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_module_may_take_more_unless_its_operator_said_what_each_may() {
        let said =
            CompileLimits { cpu: Some(Duration::from_secs(7)), mem: Some(Bytes::new(9)), ..CompileLimits::default() };
        let of = |limits: CompileLimits, mib: u64| {
            let Allowed { cpu, mem, .. } = limits.of(mib << 20);
            (cpu.as_secs(), mem)
        };

        assert_eq!(of(CompileLimits::default(), 0), (120, Bytes::from_mib(2048)));
        assert_eq!(of(CompileLimits::default(), 48), (240, Bytes::from_mib(3072)));
        assert_eq!(of(CompileLimits::default(), 1 << 40), (600, Bytes::from_mib(4096)));
        assert_eq!([of(said, 1), of(said, 500)], [(7, Bytes::new(9)); 2]);
    }
}
