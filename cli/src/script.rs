//! Scripts on the command line: a file, standard input or a word, and which runtime is to run it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use haggle_core::Bytes as Size;
use haggle_sdk::Language;
use haggle_sources::Source;

use crate::runtime::{Known, Runtime, RuntimeError};

/// Above this it is data, and belongs in an input.
const SCRIPT_MAX: u64 = 16 << 20;

/// Bytes of a file that are looked at to tell what it is.
const HEAD: u64 = 256;

/// A script, as it was found.
#[derive(Debug)]
pub(crate) struct Script {
    /// Under which the task finds it.
    pub(crate) file_name: String,
    pub(crate) source: Bytes,
    pub(crate) runtime: Runtime,
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read the script on standard input: {0}")]
    Stdin(io::Error),
    #[error("a script on standard input says not in which language it is: add --runtime NAME, like --runtime python")]
    NoRuntime,
    #[error("standard input cannot be both the script and what it reads: give one of them as a file")]
    StdinTwice,
    #[error("{name} is not UTF-8: the byte 0x{byte:02x} in line {line}")]
    NotUtf8 { name: String, byte: u8, line: usize },
    #[error("{name} has more than the {} that a script may have; data belongs in an --input", Size::new(SCRIPT_MAX))]
    TooLarge { name: String },
    #[error(
        "{} wants {program:?}, which is no runtime: Haggle runs interpreters that are compiled to WebAssembly, and no others; \
         --runtime NAME names one",
        path.display()
    )]
    ForeignInterpreter { path: PathBuf, program: String },
    #[error("{} is a WebAssembly module, and needs no --runtime", path.display())]
    Module { path: PathBuf },
    #[error("--runtime runs a script, and {0} is none: wanted a file")]
    NotAFile(String),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// What names a script on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// MODULE, which may be something else than a script.
    pub(crate) module: Option<&'a str>,
    /// The script itself.
    pub(crate) code: Option<&'a str>,
    /// The runtime, if it was named.
    pub(crate) runtime: Option<&'a str>,
    /// Whether the task is to read standard input.
    pub(crate) reads_stdin: bool,
}

impl Wanted<'_> {
    /// The script that is meant; `None` when MODULE is something else.
    ///
    /// # Errors
    /// When it cannot be read, or there is no runtime for it.
    pub(crate) fn find(self) -> Result<Option<Script>, ScriptError> {
        let runtime = self.runtime.map(Runtime::named).transpose()?;
        let named = |stem: &str, runtime: &Runtime| format!("{stem}{}", runtime.language.suffix());
        match (self.code, self.module, runtime) {
            (Some(code), _, Some(runtime)) => {
                let source = Bytes::copy_from_slice(code.as_bytes());
                Ok(Some(Script { file_name: named("code", &runtime), source, runtime }))
            }
            (None, Some("-"), _) if self.reads_stdin => Err(ScriptError::StdinTwice),
            (None, Some("-"), Some(runtime)) => {
                let file_name = named("stdin", &runtime);
                let source = read(io::stdin().lock(), "standard input", ScriptError::Stdin)?;
                Ok(Some(Script { file_name, source, runtime }))
            }
            (Some(_), _, None) | (None, Some("-"), None) => Err(ScriptError::NoRuntime),
            (None, Some(module), runtime) => in_file(module, runtime),
            (None, None, _) => Ok(None),
        }
    }
}

fn in_file(module: &str, runtime: Option<Runtime>) -> Result<Option<Script>, ScriptError> {
    let path = Path::new(module);
    if !path.is_file() {
        // What it is instead, or that it is not there, is for others to say.
        let is_something = path.exists() || module.starts_with("sha256:") || Source::is_meant(module);
        return if runtime.is_some() && is_something {
            Err(ScriptError::NotAFile(module.to_owned()))
        } else {
            Ok(None)
        };
    }
    let unreadable = |source| ScriptError::Read { path: path.into(), source };
    let mut head = Vec::new();
    let mut file = File::open(path).map_err(unreadable)?;
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
    if head.starts_with(b"\0asm") {
        return match runtime {
            Some(_) => Err(ScriptError::Module { path: path.into() }),
            None => Ok(None),
        };
    }
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let runtime = match runtime {
        Some(runtime) => runtime,
        None => match language(path, &file_name, &head)? {
            Some(known) => Runtime::named(known.name)?,
            None => return Ok(None),
        },
    };
    let source = read((&head[..]).chain(file), module, unreadable)?;
    Ok(Some(Script { file_name, source, runtime }))
}

/// The runtime that a file asks for, by its name or its first line.
fn language(path: &Path, file_name: &str, head: &[u8]) -> Result<Option<&'static Known>, ScriptError> {
    if let Some(language) = Language::of_file(file_name) {
        return Ok(Known::of(language));
    }
    let Some(program) = interpreter(head) else { return Ok(None) };
    match Language::of_interpreter(&program).and_then(Known::of) {
        Some(known) => Ok(Some(known)),
        None => Err(ScriptError::ForeignInterpreter { path: path.into(), program }),
    }
}

/// The program that a `#!` line names: `/usr/bin/python3`, or `/usr/bin/env -S python3 -u`.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let program = match words.next()? {
        "env" => words.find(|word| !word.starts_with('-') && !word.contains('='))?,
        program => program,
    };
    Some(program.to_owned())
}

fn read(from: impl Read, name: &str, failed: impl FnOnce(io::Error) -> ScriptError) -> Result<Bytes, ScriptError> {
    let mut source = Vec::new();
    from.take(SCRIPT_MAX + 1).read_to_end(&mut source).map_err(failed)?;
    if source.len() as u64 > SCRIPT_MAX {
        return Err(ScriptError::TooLarge { name: name.to_owned() });
    }
    if let Err(error) = std::str::from_utf8(&source) {
        let at = error.valid_up_to();
        let line = source[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        return Err(ScriptError::NotUtf8 { name: name.to_owned(), byte: source[at], line });
    }
    Ok(source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_an_interpreter() {
        let named = |line: &str| interpreter(line.as_bytes());

        assert_eq!(named("#!/usr/bin/python3\nprint()").as_deref(), Some("python3"));
        assert_eq!(named("#!/usr/bin/env python3 -u").as_deref(), Some("python3"));
        assert_eq!(named("#! /usr/bin/env -S A=1 qjs --std\n").as_deref(), Some("qjs"));
        assert_eq!(named("print()"), None);
        assert_eq!(named("#!\n"), None);
    }

    #[test]
    fn a_script_that_is_not_text_is_told_with_its_place() {
        let failed = |_| ScriptError::NoRuntime;

        let error = read(&b"one\ntwo \xff"[..], "a.py", failed).unwrap_err();

        assert_eq!(error.to_string(), "a.py is not UTF-8: the byte 0xff in line 2");
    }

    #[test]
    fn a_script_has_a_bound() {
        let failed = |_| ScriptError::NoRuntime;

        let error = read(io::repeat(b'#'), "a.py", failed).unwrap_err();

        assert_eq!(
            error.to_string(),
            "a.py has more than the 16 MiB that a script may have; data belongs in an --input"
        );
    }
}
