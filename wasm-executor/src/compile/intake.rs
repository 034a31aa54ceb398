//! What is refused before the compiler sees it: cheaper than to let it run into its limits.

use std::borrow::Cow;

use super::effort::{Effort, TooDear};
use crate::inspect;

/// Bytes of one module. CPython as a component has 18 MB.
pub(super) const SIZE_MAX: usize = 64 << 20;

/// Bytes of a module in text form, of which the parser makes some hundred times as much. People write text.
const TEXT_MAX: usize = 4 << 20;

/// Why a module is not even compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Its file is too large to be read.
    #[error("module has {size} bytes, at most {SIZE_MAX} are compiled")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
    },
    /// As text it would cost too much to parse.
    #[error("module has {size} bytes of text, at most {TEXT_MAX} are read; as binary it may be larger")]
    TooMuchText {
        /// Bytes of the text.
        size: usize,
    },
    /// Compiling it could take for ever.
    #[error(transparent)]
    TooDear(#[from] TooDear),
    /// It is built for a later WASI than any task is given: wasmtime calls its own 0.3 unstable and incomplete.
    #[error("imports {import}, but WASI 0.3 is not given to tasks yet; build it for WASI 0.2 (wasm32-wasip2)")]
    TooNew {
        /// The first such import.
        import: String,
    },
    /// It is something else, or breaks off.
    #[error("not a WebAssembly module: {0}")]
    NotAModule(#[from] inspect::NotAModule),
}

/// Whether a module, binary or text, would be given to the compiler at all: it is WebAssembly and not too dear to
/// compile. The compiler may still find it invalid.
///
/// # Errors
/// When it would not be, with the first reason.
pub fn admit(bytes: &[u8]) -> Result<inspect::Kind, IntakeError> {
    check(&binary(bytes)?)
}

/// Whether a file of this size is worth reading.
pub(super) fn check_size(size: u64) -> Result<(), IntakeError> {
    if size > SIZE_MAX as u64 { Err(IntakeError::TooLarge { size }) } else { Ok(()) }
}

/// Text becomes the binary form; everything else comes back as it is.
pub(super) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, IntakeError> {
    check_size(bytes.len() as u64)?;
    if bytes.len() > TEXT_MAX && inspect::looks_like_text(bytes) {
        return Err(IntakeError::TooMuchText { size: bytes.len() });
    }
    Ok(inspect::to_binary(bytes)?)
}

/// Looks at a binary without compiling it, and says whether it is a component.
pub(super) fn check(binary: &[u8]) -> Result<inspect::Kind, IntakeError> {
    let inspection = inspect::inspect(binary)?;
    let is_too_new = |import: &&String| import.starts_with("wasi:") && import.contains("@0.3.");
    if let Some(import) = inspection.imports.iter().find(is_too_new) {
        return Err(IntakeError::TooNew { import: import.clone() });
    }
    Effort::of(binary)?;
    Ok(inspection.kind)
}
