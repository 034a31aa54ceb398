use alloc::string::ToString;

use super::{Ceiling, InvalidQuota, Quota};
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::{PortRange, Ports, Resources};

fn cpus(cores: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cores), Bytes::ZERO, Bytes::ZERO)
}

fn at_most(cores: u64) -> Ceiling {
    Ceiling { cpus: Some(MilliCpu::from_cores(cores)), ..Ceiling::default() }
}

#[test]
fn a_guarantee_within_its_limit_is_a_quota() {
    assert_eq!(Quota { guarantee: cpus(2), limit: at_most(2) }.check(), Ok(()));
    let above = Quota { guarantee: cpus(3), limit: at_most(2) }.check();
    assert!(matches!(above, Err(InvalidQuota::AboveLimit { .. })));
}

#[test]
fn ports_have_no_quota() {
    let range = PortRange { first: 80, last: 80 };
    let ports = Ports::new([range]);
    let quota = Quota { guarantee: cpus(1).with_ports(ports), limit: Ceiling::default() };
    assert_eq!(quota.check(), Err(InvalidQuota::Ports));
}

#[test]
fn what_is_not_named_has_no_bound() {
    let limit = at_most(1);
    assert!(limit.admits(&Resources::new(MilliCpu::from_cores(1), Bytes::MAX, Bytes::MAX)));
    assert!(!limit.admits(&cpus(2)));
    assert_eq!(Ceiling::default().to_string(), "no limit");
    assert_eq!(limit.to_string(), cpus(1).cpus.to_string());
}
