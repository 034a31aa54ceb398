//! What goes wrong, as Python's exceptions.

use haggle_sdk::{ArtifactError, CallError, RunError, TokenError};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyFileNotFoundError, PyOSError, PyValueError};
use pyo3::{PyErr, PyResult};

create_exception!(
    haggle_cluster,
    HaggleError,
    PyException,
    "Something between this program and its cluster went wrong."
);
create_exception!(haggle_cluster, ConnectError, HaggleError, "No master answers, or it is not the one that is meant.");
create_exception!(haggle_cluster, NotAllowed, HaggleError, "The master does not let this program do that.");
create_exception!(haggle_cluster, NotFound, HaggleError, "The master does not know what was asked for.");
create_exception!(haggle_cluster, AtLimit, HaggleError, "This program, or the master, is at a limit.");
create_exception!(haggle_cluster, Refused, HaggleError, "The master, or the SDK before it, does not take this.");
create_exception!(haggle_cluster, SessionOver, HaggleError, "The session with the master has ended.");

/// An error of the SDK that has an exception of its own.
pub(crate) trait Raised {
    /// That exception.
    fn raised(self) -> PyErr;
}

/// A result whose error is raised.
pub(crate) trait OrRaise<T> {
    /// The value.
    ///
    /// # Errors
    /// The exception.
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: Raised> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(Raised::raised)
    }
}

impl Raised for haggle_sdk::ConnectError {
    fn raised(self) -> PyErr {
        ConnectError::new_err(self.to_string())
    }
}

impl Raised for TokenError {
    fn raised(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

impl Raised for CallError {
    fn raised(self) -> PyErr {
        let said = self.to_string();
        match self {
            Self::Unreachable { .. } | Self::Untrusted(_) | Self::FellBehind(_) => ConnectError::new_err(said),
            Self::Unauthenticated(_) | Self::NotAllowed(_) => NotAllowed::new_err(said),
            Self::NotFound(_) => NotFound::new_err(said),
            Self::AtLimit { .. } => AtLimit::new_err(said),
            Self::Refused(_) => Refused::new_err(said),
            Self::NotHeld(_) => SessionOver::new_err(said),
            Self::Garbled { .. } => HaggleError::new_err(said),
        }
    }
}

impl Raised for ArtifactError {
    fn raised(self) -> PyErr {
        let said = self.to_string();
        match self {
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                PyFileNotFoundError::new_err(said)
            }
            Self::File { .. } => PyOSError::new_err(said),
            Self::NotAProgram { .. } => Refused::new_err(said),
            Self::WrongDigest { .. } => HaggleError::new_err(said),
            Self::Call(error) => error.raised(),
        }
    }
}

impl Raised for RunError {
    fn raised(self) -> PyErr {
        let said = self.to_string();
        match self {
            Self::Call(error) => error.raised(),
            Self::BadTask(_) | Self::TooBig(_) | Self::Unsuitable(_) => Refused::new_err(said),
            Self::Master(_) | Self::Cancelled | Self::Over => SessionOver::new_err(said),
        }
    }
}

impl Raised for haggle_sdk::SessionOver {
    fn raised(self) -> PyErr {
        SessionOver::new_err(self.to_string())
    }
}

/// A text that is not what it should be: an id, a digest.
pub(crate) fn unreadable(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
