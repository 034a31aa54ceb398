//! What is refused before the compiler sees it: cheaper than to let it run into its limits.

use std::borrow::Cow;

use haggle_core::Bytes;

use super::CompileLimits;
use super::effort::{Effort, TooDear};
use crate::inspect;

/// How many times what is compiled of it a module's file may be large: names and debug information are read, and then
/// left aside. What a debug build of Ruby has of them is as much again as its code.
const FILE_FACTOR: u64 = 4;

/// Bytes of a module in text form, of which the parser makes some hundred times as much. People write text.
const TEXT_MAX: usize = 4 << 20;

/// Why a module is not even compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Its file is too large to be read.
    #[error("module has {size} bytes, at most {max} are read")]
    FileTooLarge {
        /// Bytes of the file.
        size: u64,
        /// As many are read.
        max: u64,
    },
    /// There is too much to be compiled.
    #[error("module has {size} bytes without its custom sections, at most {max} are compiled")]
    TooLarge {
        /// Bytes without custom sections.
        size: u64,
        /// As many are compiled.
        max: u64,
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
    /// It is built for a later WASI than any task is given.
    #[error(transparent)]
    TooNew(#[from] inspect::TooNew),
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
    let limit = CompileLimits::DEFAULT_MODULE;
    check(&binary(bytes, limit)?, limit).map(|inspection| inspection.kind)
}

/// Bytes of a file that are worth reading, where so many are compiled.
pub(super) const fn file_max(limit: Bytes) -> u64 {
    limit.get().saturating_mul(FILE_FACTOR)
}

/// Whether a file of this size is worth reading.
pub(super) fn check_file(size: u64, limit: Bytes) -> Result<(), IntakeError> {
    let max = file_max(limit);
    if size > max { Err(IntakeError::FileTooLarge { size, max }) } else { Ok(()) }
}

/// Text becomes the binary form; everything else comes back as it is.
pub(super) fn binary(bytes: &[u8], limit: Bytes) -> Result<Cow<'_, [u8]>, IntakeError> {
    check_file(bytes.len() as u64, limit)?;
    if bytes.len() > TEXT_MAX && inspect::looks_like_text(bytes) {
        return Err(IntakeError::TooMuchText { size: bytes.len() });
    }
    Ok(inspect::to_binary(bytes)?)
}

/// Looks at a binary without compiling it, and says what it is.
pub(super) fn check(binary: &[u8], limit: Bytes) -> Result<inspect::Inspection, IntakeError> {
    let inspection = inspect::inspect(binary)?;
    let (size, max) = ((binary.len() as u64).saturating_sub(inspection.custom), limit.get());
    if size > max {
        return Err(IntakeError::TooLarge { size, max });
    }
    inspection.check_age()?;
    Effort::of(binary)?;
    Ok(inspection)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Bytes = Bytes::new(1000);

    /// A module with this many bytes in a custom section, and as many in a data section.
    fn module(custom: usize, data: usize) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        let mut segments = wasm_encoder::DataSection::new();
        segments.passive(vec![0; data]);
        module.section(&segments);
        module.section(&wasm_encoder::CustomSection { name: "name".into(), data: vec![0; custom].into() });
        module.finish()
    }

    fn admitted(module: &[u8]) -> Result<(), String> {
        let binary = binary(module, LIMIT).map_err(|error| error.to_string())?;
        check(&binary, LIMIT).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_is_compiled_counts_against_the_limit() {
        assert_eq!(admitted(&module(3000, 900)), Ok(()));
        let dear = admitted(&module(0, 1000)).unwrap_err();
        assert!(dear.contains("without its custom sections, at most 1000 are compiled"), "{dear}");
    }

    #[test]
    fn a_file_has_a_bound_whatever_is_in_it() {
        let large = admitted(&module(4000, 0)).unwrap_err();

        assert!(large.ends_with("at most 4000 are read"), "{large}");
    }
}
