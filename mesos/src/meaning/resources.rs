//! Amounts: cpus and what people count as numbers, memory and disk in MiB, ports as ranges.

use std::collections::BTreeMap;

use haggle_core::resources::{PortRange, Ports};
use haggle_core::{Bytes, MilliCpu, Reserved, Resources};

use super::{ANY_ROLE, role_out};
use crate::wire::common::{
    AllocationInfo, Range, Ranges, ReservationInfo, ReservationType, Resource, RevocableInfo, Scalar, ValueType,
};

const MIB: f64 = (1 << 20) as f64;

/// The most of anything that is still counted exactly.
const MOST: f64 = (1_u64 << 53) as f64;

/// Why something is no amount.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum BadAmount {
    #[error("{0} is {1}, which is no amount")]
    Scalar(String, f64),
    #[error("{0} has no value: a scalar is wanted, and ranges for ports")]
    None(String),
    #[error("ports {0}-{1} are none: ports are from 0 to 65535")]
    Ports(u64, u64),
    #[error("{0} is a set, and there are none here")]
    Set(String),
}

/// Amounts together, whatever they say of roles: the master gives them the role of their offer.
pub(crate) fn read(resources: &[Resource]) -> Result<Resources, BadAmount> {
    let mut sum = Resources::default();
    for resource in resources {
        sum.give(&read_one(resource)?);
    }
    Ok(sum)
}

fn read_one(resource: &Resource) -> Result<Resources, BadAmount> {
    let name = resource.name.as_str();
    if name == "ports" {
        let ranges = resource.ranges.as_ref().ok_or_else(|| BadAmount::None(name.to_owned()))?;
        let port = |range: &Range| {
            let bad = || BadAmount::Ports(range.begin, range.end);
            let (first, last) = (u16::try_from(range.begin), u16::try_from(range.end));
            let (first, last) = (first.map_err(|_| bad())?, last.map_err(|_| bad())?);
            Ok(PortRange { first, last })
        };
        let ranges: Result<Vec<_>, BadAmount> = ranges.range.iter().map(port).collect();
        return Ok(Resources::default().with_ports(Ports::new(ranges?)));
    }
    if resource.set.is_some() {
        return Err(BadAmount::Set(name.to_owned()));
    }
    let scalar = resource.scalar.as_ref().ok_or_else(|| BadAmount::None(name.to_owned()))?.value;
    let units = |unit: f64| amount(name, scalar, unit);
    Ok(match name {
        "cpus" if resource.revocable.is_some() => Resources::default().with_revocable(MilliCpu::new(units(1000.0)?)),
        "cpus" => Resources::new(MilliCpu::new(units(1000.0)?), Bytes::ZERO, Bytes::ZERO),
        "mem" => Resources::new(MilliCpu::ZERO, Bytes::new(units(MIB)?), Bytes::ZERO),
        "disk" => Resources::new(MilliCpu::ZERO, Bytes::ZERO, Bytes::new(units(MIB)?)),
        _ => Resources::default().with_scalar(name, units(1000.0)?),
    })
}

/// So much of something, in units of which one has `unit`.
pub(crate) fn amount(name: &str, scalar: f64, unit: f64) -> Result<u64, BadAmount> {
    let units = (scalar * unit).round();
    if (0.0..=MOST).contains(&units) { Ok(units as u64) } else { Err(BadAmount::Scalar(name.to_owned(), scalar)) }
}

/// What is offered or held in one role: what is reserved stands apart.
pub(crate) fn write(resources: &Resources, reserved: &[Reserved], role: Option<&str>) -> Vec<Resource> {
    let mut unreserved = resources.clone();
    for part in reserved {
        unreserved.take_up_to(&part.resources);
    }
    let allocation = role.map(|role| AllocationInfo { role: Some(role_out(role)) });
    let mut written = write_plain(&unreserved, ANY_ROLE, None, allocation.as_ref());
    for part in reserved {
        let kind = if part.reservation.is_fixed() { ReservationType::Static } else { ReservationType::Dynamic };
        let reservation = ReservationInfo {
            r#type: Some(kind.into()),
            role: Some(part.reservation.role().to_owned()),
            ..ReservationInfo::default()
        };
        // As before reservations could be refined: a static one is told by its role alone.
        let reservation = (!part.reservation.is_fixed()).then_some(reservation);
        written.extend(write_plain(
            &part.resources,
            part.reservation.role(),
            reservation.as_ref(),
            allocation.as_ref(),
        ));
    }
    written
}

fn write_plain(
    resources: &Resources,
    role: &str,
    reservation: Option<&ReservationInfo>,
    allocation: Option<&AllocationInfo>,
) -> Vec<Resource> {
    let of = |name: &str, kind: ValueType| Resource {
        name: name.to_owned(),
        r#type: kind.into(),
        role: Some(role.to_owned()),
        reservation: reservation.cloned(),
        allocation_info: allocation.cloned(),
        ..Resource::default()
    };
    let scalar = |name: &str, value: f64| Resource { scalar: Some(Scalar { value }), ..of(name, ValueType::Scalar) };
    let mut written = Vec::new();
    let amounts = [
        ("cpus", resources.cpus.as_cores()),
        ("mem", resources.mem.get() as f64 / MIB),
        ("disk", resources.disk.get() as f64 / MIB),
    ];
    written.extend(amounts.into_iter().filter(|(_, value)| *value > 0.0).map(|(name, value)| scalar(name, value)));
    if !resources.ports.is_empty() {
        let range = |range: &PortRange| Range { begin: range.first.into(), end: range.last.into() };
        let ranges = Ranges { range: resources.ports.ranges().iter().map(range).collect() };
        written.push(Resource { ranges: Some(ranges), ..of("ports", ValueType::Ranges) });
    }
    written.extend(resources.scalars().map(|(name, thousandths)| scalar(name, thousandths as f64 / 1000.0)));
    if !resources.revocable.is_zero() {
        let cpus = scalar("cpus", resources.revocable.as_cores());
        written.push(Resource { revocable: Some(RevocableInfo {}), ..cpus });
    }
    written
}

/// The old endpoints show amounts as one object.
pub(crate) fn plain(resources: &Resources) -> BTreeMap<String, serde_json::Value> {
    let mut plain = BTreeMap::from([
        ("cpus".to_owned(), resources.cpus.as_cores().into()),
        ("mem".to_owned(), (resources.mem.get() as f64 / MIB).into()),
        ("disk".to_owned(), (resources.disk.get() as f64 / MIB).into()),
        ("gpus".to_owned(), (resources.scalar("gpus") as f64 / 1000.0).into()),
    ]);
    if !resources.ports.is_empty() {
        plain.insert("ports".to_owned(), format!("[{}]", resources.ports).into());
    }
    plain.extend(resources.scalars().map(|(name, amount)| (name.to_owned(), (amount as f64 / 1000.0).into())));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(name: &str, value: f64) -> Resource {
        Resource { name: name.to_owned(), scalar: Some(Scalar { value }), ..Resource::default() }
    }

    #[test]
    fn amounts_are_read_in_mesos_units_and_zero_is_nothing() {
        let ports = Resource {
            name: "ports".to_owned(),
            ranges: Some(Ranges { range: vec![Range { begin: 31000, end: 31001 }] }),
            ..Resource::default()
        };

        let read = read(&[scalar("cpus", 0.1), scalar("mem", 32.0), scalar("gpus", 0.0), scalar("disk", 0.5), ports]);

        let read = read.unwrap();
        assert_eq!((read.cpus, read.mem, read.disk), (MilliCpu::new(100), Bytes::from_mib(32), Bytes::from_kib(512)));
        assert_eq!((read.scalars().count(), read.ports.to_string()), (0, "31000-31001".to_owned()));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in [scalar("cpus", -1.0), scalar("mem", f64::NAN), scalar("mem", f64::INFINITY), Resource::default()] {
            assert!(read(&[bad]).is_err());
        }
        let ports = Ranges { range: vec![Range { begin: 1, end: 70_000 }] };
        let ports = Resource { name: "ports".to_owned(), ranges: Some(ports), ..Resource::default() };
        assert_eq!(read(&[ports]), Err(BadAmount::Ports(1, 70_000)));
    }
}
