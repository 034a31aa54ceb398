//! What is refused before the compiler sees it, since compiling cannot be interrupted.

use std::borrow::Cow;

use crate::inspect;

/// Bytes of one module. CPython as a component has 18 MB.
const SIZE_MAX: usize = 64 << 20;

/// Functions of one module, in all of a component's core modules together. CPython has about 20,000; 900,000
/// tiny ones take seven minutes and 5 GiB to compile.
const FUNCTIONS_MAX: u64 = 100_000;

/// Why a module is not even compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error("module has {size} bytes, at most {SIZE_MAX} are compiled")]
    TooLarge { size: u64 },
    #[error("module has {functions} functions, at most {FUNCTIONS_MAX} are compiled")]
    TooManyFunctions { functions: u64 },
    #[error("not a WebAssembly module: {0}")]
    NotAModule(#[from] inspect::NotAModule),
}

/// Whether a file of this size is worth reading.
pub(super) fn check_size(size: u64) -> Result<(), IntakeError> {
    if size > SIZE_MAX as u64 { Err(IntakeError::TooLarge { size }) } else { Ok(()) }
}

/// Text becomes the binary form; everything else comes back as it is.
pub(super) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, IntakeError> {
    Ok(inspect::to_binary(bytes)?)
}

/// Looks at a binary without compiling it, and says whether it is a component.
pub(super) fn check(binary: &[u8]) -> Result<inspect::Kind, IntakeError> {
    let inspection = inspect::inspect(binary)?;
    if inspection.functions > FUNCTIONS_MAX {
        return Err(IntakeError::TooManyFunctions { functions: inspection.functions });
    }
    Ok(inspection.kind)
}
