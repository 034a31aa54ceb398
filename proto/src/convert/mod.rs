//! Where wire types become core types and back: one file for each thing that is spoken of.
//!
//! Core to wire never fails (`From`). Wire to core checks everything that a type of the core promises
//! (`TryFrom`, with [`Malformed`] naming the field).

mod agent;
mod framework;
mod grants;
mod operator;
mod resources;
mod status;
mod task;

use haggle_core::Digest;

/// A message that breaks the contract of `haggle.v1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("{field} is {got}, must be {wanted}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What was there.
        got: String,
        /// What was wanted.
        wanted: &'static str,
    },
}

impl From<Malformed> for tonic::Status {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_argument(malformed.to_string())
    }
}

/// Reads a SHA-256 digest.
///
/// # Errors
/// When there are not 32 bytes.
pub fn digest(bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes.try_into().map(Digest).map_err(|_| Malformed::Invalid {
        field: "digest",
        got: format!("{} bytes", bytes.len()),
        wanted: "32 bytes of SHA-256",
    })
}

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, Malformed> {
    field.ok_or(Malformed::Missing(name))
}

#[cfg(test)]
mod tests;
