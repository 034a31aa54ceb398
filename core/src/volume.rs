//! Named room on an agent's disk that outlives the tasks which use it.

use alloc::string::{String, ToString};

use crate::access::{PrincipalId, is_role};
use crate::id::VolumeId;
use crate::quantity::{Bytes, MilliCpu};
use crate::reservation::{Portion, Reservation};
use crate::resources::Resources;

/// A folder that an agent keeps for a role, with a bound on what is in it. Its room is a part of the disk that is reserved there
/// for that role.
///
/// It is offered whole, to frameworks in its role and in those below it. It is in one offer or used by one task at a time, which
/// reads and writes it. One that is *shared* is in any number of offers, and any number of tasks read it at once; nobody writes
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its id.
    pub id: VolumeId,
    /// What people call it: no two of one role on one agent have the same name.
    pub name: String,
    /// Of which reservation its disk is, and so whose it is.
    pub reservation: Reservation,
    /// How much may be in it.
    pub size: Bytes,
    /// Whether any number of tasks may read it at once, and none may write it.
    pub shared: bool,
    /// Who had it made.
    pub creator: PrincipalId,
    /// Whether its agent has said that it is there.
    pub made: bool,
}

/// What is to be done to a volume, or to reserved disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeOperation {
    /// Of disk that is reserved for a role and that nobody uses a volume becomes.
    Create {
        /// For this role.
        role: String,
        /// What people call it.
        name: String,
        /// How much may be in it. As much of the disk is its own from then on.
        size: Bytes,
    },
    /// It is removed with all that is in it, and its disk is free again, for the same role.
    Destroy(VolumeId),
    /// Whether any number of tasks may read it at once, and none write it.
    Share {
        /// Which one.
        volume: VolumeId,
        /// Whether they may.
        shared: bool,
    },
}

/// Why there can be no such volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVolume {
    /// The name is of no use to people.
    #[error("the volume's name {0:?} is empty, longer than {max} bytes, or not printable", max = Volume::NAME_MAX)]
    Name(String),
    /// Nothing fits into it.
    #[error("a volume of no size holds nothing: give it some bytes")]
    Empty,
    /// The role is no path of names.
    #[error("role {0:?} is no role: names joined by /, none empty, . or .., no spaces, at most 128 bytes")]
    Role(String),
}

impl Volume {
    /// The longest name, in bytes: longer ones fit into no table.
    pub const NAME_MAX: usize = 128;

    /// Whose it is. Whoever is in this role, or in one below it, may use it.
    pub fn role(&self) -> &str {
        self.reservation.role()
    }

    /// Its room, as a part of what is reserved.
    pub fn portion(&self) -> Portion {
        Portion::of_one(Some(self.reservation.clone()), disk(self.size))
    }
}

impl VolumeOperation {
    /// Whether it could be carried out anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidVolume> {
        let Self::Create { role, name, size } = self else { return Ok(()) };
        if name.is_empty() || name.len() > Volume::NAME_MAX || name.contains(char::is_control) {
            return Err(InvalidVolume::Name(name.to_string()));
        }
        if !is_role(role) {
            return Err(InvalidVolume::Role(role.clone()));
        }
        if size.is_zero() { Err(InvalidVolume::Empty) } else { Ok(()) }
    }
}

/// So much disk, and nothing else.
pub(crate) fn disk(size: Bytes) -> Resources {
    Resources::new(MilliCpu::ZERO, Bytes::ZERO, size)
}
