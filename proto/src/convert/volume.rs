//! Volumes.

use haggle_core::access::PrincipalId;
use haggle_core::cluster::{VolumeStanding, VolumeView};
use haggle_core::{AgentId, Bytes, OfferOperation, Reservation, Volume, VolumeId, VolumeOperation};

use super::operator::{count, size};
use super::{Malformed, required};
use crate::v1;
use crate::v1::operation::Operation as Wire;

impl From<VolumeId> for v1::VolumeId {
    fn from(id: VolumeId) -> Self {
        Self { agent: id.agent.0, number: id.number }
    }
}

impl From<v1::VolumeId> for VolumeId {
    fn from(wire: v1::VolumeId) -> Self {
        Self { agent: AgentId(wire.agent), number: wire.number }
    }
}

pub(super) fn ids(volumes: Vec<VolumeId>) -> Vec<v1::VolumeId> {
    volumes.into_iter().map(Into::into).collect()
}

pub(super) fn read_ids(wire: Vec<v1::VolumeId>) -> Vec<VolumeId> {
    wire.into_iter().map(Into::into).collect()
}

impl From<Volume> for v1::Volume {
    fn from(volume: Volume) -> Self {
        Self {
            id: Some(volume.id.into()),
            name: volume.name,
            roles: volume.reservation.roles().to_vec(),
            fixed: volume.reservation.is_fixed(),
            size_bytes: volume.size.get(),
            shared: volume.shared,
            creator: volume.creator.to_string(),
            made: volume.made,
        }
    }
}

impl TryFrom<v1::Volume> for Volume {
    type Error = Malformed;

    fn try_from(wire: v1::Volume) -> Result<Self, Malformed> {
        let got = wire.roles.join(" > ");
        let wanted = "roles, each below the one before";
        let no_roles = |_| Malformed::Invalid { field: "roles of a volume", got, wanted };
        let nobody = |not: haggle_core::id::NotAnId| Malformed::Invalid {
            field: "creator of a volume",
            got: not.to_string(),
            wanted: "a principal like framework:ci",
        };
        Ok(Self {
            id: required(wire.id, "id of a volume")?.into(),
            name: wire.name,
            reservation: Reservation::of(wire.roles, wire.fixed).map_err(no_roles)?,
            size: Bytes::new(wire.size_bytes),
            shared: wire.shared,
            creator: wire.creator.parse::<PrincipalId>().map_err(nobody)?,
            made: wire.made,
        })
    }
}

/// Reads volumes.
///
/// # Errors
/// The first that is malformed.
pub fn volumes(wire: Vec<v1::Volume>) -> Result<Vec<Volume>, Malformed> {
    wire.into_iter().map(TryInto::try_into).collect()
}

impl From<OfferOperation> for v1::Operation {
    fn from(operation: OfferOperation) -> Self {
        let operation = match operation {
            OfferOperation::Reservation(operation) => operation.into(),
            OfferOperation::Volume(VolumeOperation::Create { role, name, size }) => {
                Wire::CreateVolume(v1::CreateVolume { role, name, size_bytes: size.get() })
            }
            OfferOperation::Volume(VolumeOperation::Destroy(volume)) => Wire::DestroyVolume(volume.into()),
            OfferOperation::Volume(VolumeOperation::Share { volume, shared }) => {
                Wire::ShareVolume(v1::ShareVolume { volume: Some(volume.into()), shared })
            }
        };
        Self { operation: Some(operation) }
    }
}

impl TryFrom<v1::Operation> for OfferOperation {
    type Error = Malformed;

    fn try_from(wire: v1::Operation) -> Result<Self, Malformed> {
        Ok(match required(wire.operation, "operation")? {
            Wire::Reserve(reserve) => Self::Reservation(reserve.try_into()?),
            Wire::Unreserve(unreserve) => Self::Reservation(unreserve.try_into()?),
            Wire::CreateVolume(v1::CreateVolume { role, name, size_bytes }) => {
                Self::Volume(VolumeOperation::Create { role, name, size: Bytes::new(size_bytes) })
            }
            Wire::DestroyVolume(volume) => Self::Volume(VolumeOperation::Destroy(volume.into())),
            Wire::ShareVolume(v1::ShareVolume { volume, shared }) => {
                Self::Volume(VolumeOperation::Share { volume: required(volume, "volume to share")?.into(), shared })
            }
        })
    }
}

impl From<VolumeView> for v1::VolumeView {
    fn from(view: VolumeView) -> Self {
        Self {
            id: Some(view.id.into()),
            agent: view.agent.0,
            known: view.known.map(Into::into),
            standing: v1::VolumeStanding::from(view.standing).into(),
            user: view.user.map(Into::into),
            users: count(view.users),
            offers: count(view.offers),
        }
    }
}

impl TryFrom<v1::VolumeView> for VolumeView {
    type Error = Malformed;

    fn try_from(wire: v1::VolumeView) -> Result<Self, Malformed> {
        let standing = match wire.standing() {
            v1::VolumeStanding::Making => VolumeStanding::Making,
            v1::VolumeStanding::Ready => VolumeStanding::Ready,
            v1::VolumeStanding::Missing => VolumeStanding::Missing,
            v1::VolumeStanding::Away => VolumeStanding::Away,
            v1::VolumeStanding::Unknown => VolumeStanding::Unknown,
            v1::VolumeStanding::Unspecified => return Err(Malformed::Missing("standing of a volume")),
        };
        Ok(Self {
            id: required(wire.id, "id of a volume")?.into(),
            agent: AgentId(wire.agent),
            known: wire.known.map(TryInto::try_into).transpose()?,
            standing,
            user: wire.user.map(Into::into),
            users: size(wire.users),
            offers: size(wire.offers),
        })
    }
}

impl From<VolumeStanding> for v1::VolumeStanding {
    fn from(standing: VolumeStanding) -> Self {
        match standing {
            VolumeStanding::Making => Self::Making,
            VolumeStanding::Ready => Self::Ready,
            VolumeStanding::Missing => Self::Missing,
            VolumeStanding::Away => Self::Away,
            VolumeStanding::Unknown => Self::Unknown,
        }
    }
}
