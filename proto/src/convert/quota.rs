//! What roles are promised, what they may have, and what they weigh.

use std::num::NonZeroU32;

use haggle_core::{Bytes, Ceiling, MilliCpu, Placement, Quota};

use super::Malformed;
use super::resources::amount;
use crate::v1;

impl From<Quota> for v1::Quota {
    fn from(quota: Quota) -> Self {
        Self { guarantee: Some(quota.guarantee.into()), limit: Some(quota.limit.into()) }
    }
}

impl TryFrom<v1::Quota> for Quota {
    type Error = Malformed;

    fn try_from(wire: v1::Quota) -> Result<Self, Malformed> {
        Ok(Self {
            guarantee: wire.guarantee.map(TryInto::try_into).transpose()?.unwrap_or_default(),
            limit: wire.limit.map(TryInto::try_into).transpose()?.unwrap_or_default(),
        })
    }
}

impl From<Ceiling> for v1::Ceiling {
    fn from(ceiling: Ceiling) -> Self {
        Self {
            milli_cpus: ceiling.cpus.map(MilliCpu::get),
            mem_bytes: ceiling.mem.map(Bytes::get),
            disk_bytes: ceiling.disk.map(Bytes::get),
            scalars: ceiling.scalars,
        }
    }
}

impl TryFrom<v1::Ceiling> for Ceiling {
    type Error = Malformed;

    fn try_from(wire: v1::Ceiling) -> Result<Self, Malformed> {
        let most = |field, value: Option<u64>| value.map(|value| amount(field, value)).transpose();
        let scalar = |(name, value)| Ok((name, amount("scalars of a limit", value)?));
        Ok(Self {
            cpus: most("milli_cpus of a limit", wire.milli_cpus)?.map(MilliCpu::new),
            mem: most("mem_bytes of a limit", wire.mem_bytes)?.map(Bytes::new),
            disk: most("disk_bytes of a limit", wire.disk_bytes)?.map(Bytes::new),
            scalars: wire.scalars.into_iter().map(scalar).collect::<Result<_, Malformed>>()?,
        })
    }
}

impl From<Placement> for v1::Placement {
    fn from(placement: Placement) -> Self {
        match placement {
            Placement::Binpack => Self::Binpack,
            Placement::Spread => Self::Spread,
        }
    }
}

/// Reads how agents are chosen for a role; none means as in the role above.
///
/// # Errors
/// When it is none of the placements.
pub fn placement(wire: i32) -> Result<Option<Placement>, Malformed> {
    match v1::Placement::try_from(wire) {
        Ok(v1::Placement::Unspecified) => Ok(None),
        Ok(v1::Placement::Binpack) => Ok(Some(Placement::Binpack)),
        Ok(v1::Placement::Spread) => Ok(Some(Placement::Spread)),
        Err(_) => Err(Malformed::Invalid { field: "placement", got: wire.to_string(), wanted: "binpack or spread" }),
    }
}

/// Reads what a role is to weigh; none means what the configuration says.
///
/// # Errors
/// When it is 0.
pub fn weight(wire: Option<u32>) -> Result<Option<NonZeroU32>, Malformed> {
    let zero = || Malformed::Invalid { field: "weight", got: "0".to_owned(), wanted: "1 or more" };
    wire.map(|weight| NonZeroU32::new(weight).ok_or_else(zero)).transpose()
}
