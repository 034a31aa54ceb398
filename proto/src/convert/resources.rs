//! Amounts.

use haggle_core::resources::{PortRange, Ports, Resources};
use haggle_core::{Bytes, MilliCpu};

use super::Malformed;
use crate::v1;

impl From<Resources> for v1::Resources {
    fn from(resources: Resources) -> Self {
        let scalars = resources.scalars().map(|(name, amount)| (name.to_owned(), amount)).collect();
        let port = |range: &PortRange| v1::PortRange { first: range.first.into(), last: range.last.into() };
        Self {
            milli_cpus: resources.cpus.get(),
            mem_bytes: resources.mem.get(),
            disk_bytes: resources.disk.get(),
            ports: resources.ports.ranges().iter().map(port).collect(),
            scalars,
            revocable_milli_cpus: resources.revocable.get(),
        }
    }
}

impl TryFrom<v1::Resources> for Resources {
    type Error = Malformed;

    fn try_from(wire: v1::Resources) -> Result<Self, Malformed> {
        let ports = wire.ports.iter().map(port_range).collect::<Result<Vec<_>, _>>()?;
        let plain = Self::new(
            MilliCpu::new(amount("milli_cpus", wire.milli_cpus)?),
            Bytes::new(amount("mem_bytes", wire.mem_bytes)?),
            Bytes::new(amount("disk_bytes", wire.disk_bytes)?),
        );
        let plain = plain.with_revocable(MilliCpu::new(amount("revocable_milli_cpus", wire.revocable_milli_cpus)?));
        wire.scalars.into_iter().try_fold(plain.with_ports(Ports::new(ports)), |all, (name, value)| {
            Ok(all.with_scalar(&name, amount("scalars", value)?))
        })
    }
}

/// No amount on the wire is above this, so that sums and products of amounts stay exact.
const AMOUNT_MAX: u64 = 1 << 53;

pub(super) fn amount(field: &'static str, value: u64) -> Result<u64, Malformed> {
    if value > AMOUNT_MAX {
        return Err(Malformed::Invalid { field, got: value.to_string(), wanted: "at most 2^53" });
    }
    Ok(value)
}

fn port_range(wire: &v1::PortRange) -> Result<PortRange, Malformed> {
    match (u16::try_from(wire.first), u16::try_from(wire.last)) {
        (Ok(first), Ok(last)) if first <= last => Ok(PortRange { first, last }),
        _ => Err(Malformed::Invalid {
            field: "ports",
            got: format!("{}-{}", wire.first, wire.last),
            wanted: "a range within 0-65535",
        }),
    }
}
