use alloc::string::{String, ToString};
use alloc::vec;

use super::{Constraint, InvalidDemand, Test, Want};
use crate::agent::AgentInfo;
use crate::quantity::{Bytes, MilliCpu};
use crate::resources::Resources;

fn linux() -> AgentInfo {
    let attributes = [("os".to_string(), "linux".to_string())].into();
    AgentInfo { name: "a1".to_string(), attributes, ..AgentInfo::default() }
}

fn on(attribute: &str, test: Test) -> Constraint {
    Constraint { attribute: attribute.to_string(), test }
}

fn want(cpus: u64) -> Want {
    let resources = Resources::new(MilliCpu::new(cpus), Bytes::ZERO, Bytes::ZERO);
    Want { resources, constraints: vec![], waiting: 1, spare: 0 }
}

#[test]
fn an_attribute_that_is_not_there_differs_from_every_value() {
    let (os, zone) = ("os", "zone");
    let value = |text: &str| String::from(text);
    assert!(on(os, Test::Exists).holds(&linux()) && !on(zone, Test::Exists).holds(&linux()));
    assert!(on(zone, Test::NotExists).holds(&linux()) && !on(os, Test::NotExists).holds(&linux()));
    assert!(on(os, Test::Equals(value("linux"))).holds(&linux()));
    assert!(!on(zone, Test::Equals(value("linux"))).holds(&linux()));
    assert!(on(zone, Test::NotEquals(value("linux"))).holds(&linux()));
    assert!(!on(os, Test::NotEquals(value("linux"))).holds(&linux()));
    assert!(on(Constraint::HOSTNAME, Test::Equals(value("a1"))).holds(&linux()));
}

#[test]
fn the_first_constraint_that_is_not_met_is_named() {
    let constraints = vec![on("os", Test::Exists), on("gpu", Test::Exists), on("zone", Test::Exists)];
    let wanted = Want { constraints, ..want(1) };
    assert_eq!(wanted.suits(&linux()).unwrap_err().to_string(), "has gpu");
}

#[test]
fn demands_that_nobody_could_meet_are_refused() {
    assert_eq!(Want::check_all(&[want(1), want(0)]), Err(InvalidDemand::Empty(1)));
    assert_eq!(Want::check_all(&vec![want(1); Want::MAX + 1]), Err(InvalidDemand::TooMany(Want::MAX + 1)));
    let long = "x".repeat(Constraint::TEXT_MAX + 1);
    let named = Want { constraints: vec![on(&long, Test::Exists)], ..want(1) };
    assert_eq!(Want::check_all(&[named]), Err(InvalidDemand::Attribute(long.clone())));
    let valued = Want { constraints: vec![on("os", Test::Equals(long))], ..want(1) };
    assert_eq!(Want::check_all(&[valued]), Err(InvalidDemand::Value("os".to_string())));
    assert_eq!(Want::check_all(&vec![want(1); Want::MAX]), Ok(()));
}
