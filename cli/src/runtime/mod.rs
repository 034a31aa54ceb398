//! Interpreters that run scripts: where they come from, and where they are kept.

mod catalog;
mod error;
mod fetch;
mod npm;
mod pip;
mod ruby;
mod store;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use haggle_core::Digest;
use haggle_executor::inspect;
use haggle_sdk::Language;

pub(crate) use catalog::{CATALOG, Known};
pub(crate) use error::RuntimeError;
pub(crate) use pip::{Pip, PipError};
pub(crate) use store::{Record, Source};

use crate::module::{self, Module};
use store::{Store, digest};

/// Letters of a runtime's name.
const NAME_MAX: usize = 32;

/// A runtime that a script can be given to, if it can be had.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: String,
    pub(crate) language: Language,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Kept on this machine, or at the master.
    Here(Record),
    /// Fetched when it is needed.
    Elsewhere(&'static Known),
}

impl Runtime {
    /// The one of this name. Fetches nothing.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn named(name: &str) -> Result<Self, RuntimeError> {
        let known = Known::named(name);
        let name = known.map_or(name, |known| known.name);
        check_name(name)?;
        let language = known.map_or(Language::Other, |known| known.language);
        let place = match (Store::open()?.record(name)?, known) {
            (Some(record), known) if !is_outdated(&record, known) => Place::Here(record),
            (_, Some(known)) => Place::Elsewhere(known),
            (_, None) => return Err(unknown(name)),
        };
        Ok(Self { name: name.to_owned(), language, place })
    }

    /// What it is, where that is known.
    pub(crate) fn version(&self) -> Option<&str> {
        match &self.place {
            Place::Here(record) => record.version.as_deref(),
            Place::Elsewhere(known) => Some(known.release.version),
        }
    }

    /// Its terms, where they are known.
    pub(crate) fn licence(&self) -> Option<&str> {
        match &self.place {
            Place::Here(record) => record.licence.as_deref(),
            Place::Elsewhere(known) => Some(known.release.licence),
        }
    }

    /// Where it is from, for people.
    pub(crate) fn source(&self) -> String {
        match &self.place {
            Place::Here(record) => record.source.to_string(),
            Place::Elsewhere(known) => known.release.source(),
        }
    }

    /// Its module's.
    ///
    /// # Errors
    /// When what is kept of it cannot be read.
    pub(crate) fn digest(&self) -> Result<Digest, RuntimeError> {
        match &self.place {
            Place::Here(record) => record.digest(),
            Place::Elsewhere(known) => Ok(known.release.digest()),
        }
    }

    /// Whether nothing has to be fetched before it runs.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// Its module; fetches it when it is not here.
    ///
    /// # Errors
    /// When it cannot be had, or is not what was expected.
    pub(crate) fn module(&self, quiet: bool) -> Result<Module, RuntimeError> {
        let store = Store::open()?;
        let record = match &self.place {
            Place::Here(record) => record.clone(),
            Place::Elsewhere(known) => fetch::fetch(&store, known, quiet)?,
        };
        match record.source {
            Source::Master => Ok(Module::Stored(record.digest()?)),
            Source::Package(_) | Source::File(_) => {
                let bytes = Bytes::from(store.load(&record)?);
                Ok(Module::Bytes { name: self.name.clone(), bytes })
            }
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package(package) => f.write_str(package),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Master => f.write_str("the master"),
        }
    }
}

/// All that are kept on this machine.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn kept() -> Result<Vec<Record>, RuntimeError> {
    let mut records = Store::open()?.records()?;
    records.retain(|record| !is_outdated(record, Known::named(&record.name)));
    Ok(records)
}

/// The file of this machine that one is in; `None` when only the master has it.
///
/// # Errors
/// When what is kept of it cannot be read.
pub(crate) fn file(record: &Record) -> Result<Option<PathBuf>, RuntimeError> {
    match record.source {
        Source::Master => Ok(None),
        Source::Package(_) | Source::File(_) => Store::open()?.path(record).map(Some),
    }
}

/// Fetches a known runtime now, so that it is here when it is needed.
///
/// # Errors
/// When it is none, or cannot be had.
pub(crate) fn add_known(name: &str, quiet: bool) -> Result<Record, RuntimeError> {
    let known = Known::named(name).ok_or_else(|| RuntimeError::NothingToAdd(name.to_owned()))?;
    fetch::fetch(&Store::open()?, known, quiet)
}

/// Has a name stand for a module of this machine.
///
/// # Errors
/// When it is no module, no program, or not the one that was expected; then the name stands for what it did before.
pub(crate) fn add_file(name: &str, path: &Path, expected: Option<Digest>) -> Result<Record, RuntimeError> {
    let name = own_name(name)?;
    let module = module::load(path)?;
    let got = digest(&module);
    if let Some(wanted) = expected.filter(|wanted| *wanted != got) {
        return Err(RuntimeError::WrongDigest { what: path.display().to_string(), wanted, got });
    }
    inspect::check_program(&module).map_err(|why| RuntimeError::Unfit { path: path.into(), why })?;
    let record = Record {
        name: name.to_owned(),
        version: None,
        licence: None,
        source: Source::File(std::path::absolute(path).unwrap_or_else(|_| path.into())),
        digest: got.to_string(),
        size: Some(module.len() as u64),
    };
    Store::open()?.lock()?.keep(&record, &module, &[])?;
    Ok(record)
}

/// Has a name stand for a module that the master has.
///
/// # Errors
/// When it cannot be written down.
pub(crate) fn add_stored(name: &str, digest: Digest) -> Result<Record, RuntimeError> {
    let record = Record {
        name: own_name(name)?.to_owned(),
        version: None,
        licence: None,
        source: Source::Master,
        digest: digest.to_string(),
        size: None,
    };
    Store::open()?.lock()?.name(&record)?;
    Ok(record)
}

/// Forgets a runtime of this machine. A known one is fetched again when it is needed.
///
/// # Errors
/// When it is not here.
pub(crate) fn remove(name: &str) -> Result<String, RuntimeError> {
    let name = own_name(name)?;
    if Store::open()?.lock()?.forget(name)? { Ok(name.to_owned()) } else { Err(RuntimeError::NotHere(name.to_owned())) }
}

/// The name under which a runtime is kept.
fn own_name(name: &str) -> Result<&str, RuntimeError> {
    let name = Known::named(name).map_or(name, |known| known.name);
    check_name(name).map(|()| name)
}

/// Such a name is also that of a file, on every system.
fn check_name(name: &str) -> Result<(), RuntimeError> {
    let is_inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(is_inner)
        && name.len() <= NAME_MAX;
    if is_name { Ok(()) } else { Err(RuntimeError::Name(name.to_owned())) }
}

/// Fetched by a Haggle that knew another build.
fn is_outdated(record: &Record, known: Option<&Known>) -> bool {
    let pinned = known.map(|known| known.release.digest().to_string());
    matches!(record.source, Source::Package(_)) && pinned.is_some_and(|pinned| pinned != record.digest)
}

fn unknown(name: &str) -> RuntimeError {
    let mut known: Vec<_> = CATALOG.iter().map(|known| known.name.to_owned()).collect();
    for record in Store::open().and_then(|store| store.records()).unwrap_or_default() {
        if !known.contains(&record.name) {
            known.push(record.name);
        }
    }
    RuntimeError::Unknown { name: name.to_owned(), known: known.join(", ") }
}
