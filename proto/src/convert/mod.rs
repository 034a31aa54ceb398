//! Where wire types become core types and back: one file for each thing that is spoken of.
//!
//! Core to wire never fails (`From`). Wire to core checks everything that a type of the core promises
//! (`TryFrom`, with [`Malformed`] naming the field).

mod access;
mod agent;
mod demand;
mod framework;
mod grants;
mod operator;
mod queue;
mod quota;
mod reservation;
mod resources;
mod status;
mod task;
mod upkeep;
mod volume;
mod why;

pub use access::{token_id, token_kind};
pub use operator::announcements;
pub use quota::{placement, weight};
pub use reservation::all_reserved;
pub use upkeep::maintenance;
pub use volume::volumes;

use haggle_core::{AgentId, ClusterId, Digest, FrameworkId, Member, RequestId};

use crate::v1;

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
    /// The roles are none.
    #[error(transparent)]
    Roles(#[from] haggle_core::access::InvalidRoles),
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

/// Reads the digest of something that may be unknown; no bytes mean that it is.
fn optional_digest(bytes: &[u8]) -> Result<Option<Digest>, Malformed> {
    if bytes.is_empty() { Ok(None) } else { digest(bytes).map(Some) }
}

fn digest_bytes(digest: Option<Digest>) -> Vec<u8> {
    digest.map_or_else(Vec::new, |digest| digest.0.to_vec())
}

/// Reads the random bytes of an operator's request; none means that it has no name.
///
/// # Errors
/// When there are neither 16 bytes nor none.
pub fn request_id(bytes: &[u8]) -> Result<Option<RequestId>, Malformed> {
    match bytes {
        [] => Ok(None),
        bytes => random(bytes, "request").map(|number| Some(RequestId(number))),
    }
}

/// The random bytes of an operator's request.
pub fn request_bytes(request: RequestId) -> Vec<u8> {
    request.0.to_be_bytes().to_vec()
}

/// Reads the name of a cluster.
///
/// # Errors
/// When there are not 16 bytes.
pub fn cluster(bytes: &[u8]) -> Result<ClusterId, Malformed> {
    random(bytes, "cluster").map(ClusterId)
}

/// Reads 128 random bits.
fn random(bytes: &[u8], field: &'static str) -> Result<u128, Malformed> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| Malformed::Invalid {
        field,
        got: format!("{} bytes", bytes.len()),
        wanted: "16 random bytes",
    })
}

macro_rules! member {
    ($id:ident) => {
        impl From<Member<$id>> for v1::Member {
            fn from(member: Member<$id>) -> Self {
                Self { cluster: member.cluster.0.to_be_bytes().to_vec(), id: member.id.0 }
            }
        }

        impl TryFrom<v1::Member> for Member<$id> {
            type Error = Malformed;

            fn try_from(wire: v1::Member) -> Result<Self, Malformed> {
                Ok(Self { cluster: ClusterId(random(&wire.cluster, "cluster of a member")?), id: $id(wire.id) })
            }
        }
    };
}

member! { AgentId }
member! { FrameworkId }

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, Malformed> {
    field.ok_or(Malformed::Missing(name))
}

#[cfg(test)]
mod tests;
