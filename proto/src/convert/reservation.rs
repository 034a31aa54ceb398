//! What is reserved, and for whom.

use std::collections::BTreeMap;

use haggle_core::cluster::ReservationView;
use haggle_core::{Operation, Reservation, Reserved, Resources};

use super::{Malformed, required};
use crate::v1;
use crate::v1::operation::Operation as Wire;

impl From<Reserved> for v1::Reserved {
    fn from(reserved: Reserved) -> Self {
        let Reserved { reservation, resources } = reserved;
        let (roles, fixed) = (reservation.roles().to_vec(), reservation.is_fixed());
        Self { roles, fixed, resources: Some(resources.into()) }
    }
}

impl TryFrom<v1::Reserved> for Reserved {
    type Error = Malformed;

    fn try_from(wire: v1::Reserved) -> Result<Self, Malformed> {
        let got = wire.roles.join(" > ");
        let wanted = "roles, each below the one before";
        let invalid = |_| Malformed::Invalid { field: "roles of what is reserved", got, wanted };
        Ok(Self {
            reservation: Reservation::of(wire.roles, wire.fixed).map_err(invalid)?,
            resources: required(wire.resources, "resources that are reserved")?.try_into()?,
        })
    }
}

/// Reads everything that is reserved.
///
/// # Errors
/// The first that is malformed.
pub fn all_reserved(wire: Vec<v1::Reserved>) -> Result<Vec<Reserved>, Malformed> {
    wire.into_iter().map(TryInto::try_into).collect()
}

/// What an agent keeps by its own configuration.
pub(super) fn kept(reserved: BTreeMap<String, Resources>) -> Vec<v1::Reserved> {
    let one = |(role, resources): (String, Resources)| v1::Reserved {
        roles: vec![role],
        fixed: true,
        resources: Some(resources.into()),
    };
    reserved.into_iter().map(one).collect()
}

/// Reads what an agent keeps by its own configuration: whether it can is the machine's to decide.
pub(super) fn read_kept(wire: Vec<v1::Reserved>) -> Result<BTreeMap<String, Resources>, Malformed> {
    let mut kept: BTreeMap<String, Resources> = BTreeMap::new();
    for one in wire {
        let [role] = one.roles.try_into().map_err(|roles: Vec<String>| Malformed::Invalid {
            field: "roles of what an agent keeps",
            got: roles.join(" > "),
            wanted: "one role",
        })?;
        let resources = required(one.resources, "resources that an agent keeps")?.try_into()?;
        kept.entry(role).or_default().give(&resources);
    }
    Ok(kept)
}

impl From<ReservationView> for v1::ReservedPart {
    fn from(view: ReservationView) -> Self {
        Self {
            reserved: Some(view.reserved.into()),
            used: Some(view.used.into()),
            offered: Some(view.offered.into()),
            kept: Some(view.kept.into()),
        }
    }
}

impl TryFrom<v1::ReservedPart> for ReservationView {
    type Error = Malformed;

    fn try_from(wire: v1::ReservedPart) -> Result<Self, Malformed> {
        Ok(Self {
            reserved: required(wire.reserved, "what is reserved")?.try_into()?,
            used: required(wire.used, "used resources of what is reserved")?.try_into()?,
            offered: required(wire.offered, "offered resources of what is reserved")?.try_into()?,
            kept: wire.kept.map(TryInto::try_into).transpose()?.unwrap_or_default(),
        })
    }
}

impl From<Operation> for Wire {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Reserve { role, within, resources } => Self::Reserve(v1::Reserve {
                role,
                within: within.unwrap_or_default(),
                resources: Some(resources.into()),
            }),
            Operation::Unreserve { role, resources } => {
                Self::Unreserve(v1::Unreserve { role, resources: Some(resources.into()) })
            }
        }
    }
}

impl TryFrom<v1::Reserve> for Operation {
    type Error = Malformed;

    fn try_from(wire: v1::Reserve) -> Result<Self, Malformed> {
        Ok(Self::Reserve {
            role: wire.role,
            within: Some(wire.within).filter(|role| !role.is_empty()),
            resources: required(wire.resources, "resources to reserve")?.try_into()?,
        })
    }
}

impl TryFrom<v1::Unreserve> for Operation {
    type Error = Malformed;

    fn try_from(wire: v1::Unreserve) -> Result<Self, Malformed> {
        let resources = required(wire.resources, "resources to unreserve")?.try_into()?;
        Ok(Self::Unreserve { role: wire.role, resources })
    }
}
