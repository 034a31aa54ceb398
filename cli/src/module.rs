//! What MODULE on the command line stands for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use haggle_core::Digest;
use haggle_core::id::NotAnId;
use haggle_executor::inspect::{self, NotAProgram};
use haggle_sources::{NotASource, Source};

use crate::toolchain::{self, BuildError};

/// As much as an agent reads of a module, unless its operator says otherwise.
pub(crate) const MODULE_MAX: u64 = 512 << 20;

/// A module, as it was found.
pub(crate) enum Module {
    /// Its bytes, and its name for people.
    Bytes { name: String, bytes: Bytes },
    /// One that the master should have.
    Stored(Digest),
    /// One that is fetched from there.
    Remote(Source),
}

/// Why there is no module.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleError {
    #[error(
        "{0:?} is neither a .wasm or .wat file, nor a script, a cargo package folder, a sha256 digest or a source like \
         oci://registry/name:tag: there is no such file"
    )]
    Missing(String),
    #[error(transparent)]
    Digest(#[from] NotAnId),
    #[error(transparent)]
    Source(#[from] NotASource),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has {size} bytes; a module has at most {MODULE_MAX}", path.display())]
    TooLarge { path: PathBuf, size: u64 },
    #[error("{} is not a WebAssembly module: wanted bytes that begin with \\0asm, or WebAssembly text; found {found}", path.display())]
    NotWasm { path: PathBuf, found: String },
    #[error("{} is not valid WebAssembly text: {message}", path.display())]
    NotWat { path: PathBuf, message: String },
    #[error("{name} cannot be a task: {source}")]
    NotAProgram { name: String, source: NotAProgram },
    #[error(
        "{0} names a module that a master has; `haggle inspect` looks at files and packages of this machine, and at sources"
    )]
    NotHere(Digest),
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Whether a module of this machine can be a task, as far as that shows before it is compiled. What a master has was not read.
///
/// # Errors
/// With the first reason why not.
pub(crate) fn check_program(module: &Module) -> Result<(), ModuleError> {
    let Module::Bytes { name, bytes } = module else { return Ok(()) };
    inspect::check_program(bytes).map_err(|source| ModuleError::NotAProgram { name: name.clone(), source })
}

/// Finds the module that `text` names; builds it when it is a package.
///
/// # Errors
/// When there is none.
pub(crate) fn find(text: &str, bin: Option<&str>, quiet: bool) -> Result<Module, ModuleError> {
    if text.starts_with("sha256:") {
        return Ok(Module::Stored(text.parse()?));
    }
    if Source::is_meant(text) {
        return Ok(Module::Remote(text.parse()?));
    }
    let path = Path::new(text);
    if path.is_dir() {
        let built = toolchain::build(path, bin, quiet)?;
        return loaded(&built);
    }
    if !path.exists() {
        return Err(ModuleError::Missing(text.to_string()));
    }
    loaded(path)
}

fn loaded(path: &Path) -> Result<Module, ModuleError> {
    let name = path.file_stem().map_or_else(|| "task".into(), |stem| stem.to_string_lossy().into_owned());
    Ok(Module::Bytes { name, bytes: load(path)? })
}

/// A module of this machine, in the binary form.
///
/// # Errors
/// When it cannot be read, or is none.
pub(crate) fn load(path: &Path) -> Result<Bytes, ModuleError> {
    let unreadable = |source| ModuleError::Read { path: path.into(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MODULE_MAX {
        return Err(ModuleError::TooLarge { path: path.into(), size });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    Ok(as_binary(path, bytes)?.into())
}

/// Text becomes binary; binary stays as it is.
fn as_binary(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, ModuleError> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    let is_text = path.extension().is_some_and(|extension| extension == "wat" || extension == "wast")
        || bytes.trim_ascii_start().starts_with(b"(");
    if !is_text {
        return Err(ModuleError::NotWasm { path: path.into(), found: beginning(&bytes) });
    }
    match wat::parse_bytes(&bytes) {
        Ok(binary) => Ok(binary.into_owned()),
        Err(error) => Err(ModuleError::NotWat { path: path.into(), message: position_and_cause(&error.to_string()) }),
    }
}

/// What a file begins with, readable.
fn beginning(bytes: &[u8]) -> String {
    match bytes {
        [] => "an empty file".into(),
        _ => format!("\"{}\"", bytes[..bytes.len().min(8)].escape_ascii()),
    }
}

/// The wat crate draws the offending line over several lines: the first says what, the second where.
fn position_and_cause(drawn: &str) -> String {
    let mut lines = drawn.lines().map(str::trim);
    let cause = lines.next().unwrap_or_default();
    let place = lines.next().and_then(|line| line.strip_prefix("-->")).and_then(|place| place.rsplit_once(':'));
    match place.and_then(|(rest, column)| Some((rest.rsplit_once(':')?.1, column))) {
        Some((line, column)) => format!("{cause} (line {line}, column {column})"),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_file(name: &str, content: &[u8]) -> Result<Module, ModuleError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        find(path.to_str().unwrap(), None, true)
    }

    #[test]
    fn text_becomes_binary() {
        let Ok(Module::Bytes { name, bytes }) = find_file("nothing.wat", b"(module)") else {
            panic!("it is a module");
        };

        assert_eq!(name, "nothing");
        assert_eq!(bytes, &b"\0asm\x01\0\0\0"[..]);
    }

    #[test]
    fn what_is_no_module_is_refused_with_what_it_is() {
        let refusal = |name, content: &[u8]| find_file(name, content).err().unwrap().to_string();

        assert!(refusal("a.wasm", b"\x7fELF\x02\x01").ends_with(r#"found "\x7fELF\x02\x01""#));
        assert!(refusal("a.wasm", b"").ends_with("found an empty file"));
        assert!(refusal("a.wat", b"(module\n  (fnuc))").contains("(line 2, column 4)"));
    }

    #[test]
    fn a_digest_is_taken_as_one() {
        let digest = format!("sha256:{}", "ab".repeat(32));

        assert!(matches!(find(&digest, None, true), Ok(Module::Stored(found)) if found.to_string() == digest));
        assert!(matches!(find("sha256:abc", None, true), Err(ModuleError::Digest(_))));
    }

    #[test]
    fn a_file_that_is_not_there_is_missing() {
        assert!(matches!(find("no/such.wasm", None, true), Err(ModuleError::Missing(_))));
    }
}
