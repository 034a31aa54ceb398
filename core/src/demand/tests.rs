use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{Constraint, InvalidDemand, Test, Want};
use crate::agent::AgentInfo;
use crate::attributes;
use crate::grants::{Folder, FolderSource, Grants, HttpHost};
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
    Want { resources, constraints: vec![], volumes: vec![], waiting: 1, spare: 0, gang: 0 }
}

#[test]
fn an_attribute_that_is_not_there_differs_from_every_value() {
    let (os, zone) = ("os", "zone");
    let value = |text: &str| String::from(text);
    assert!(on(os, Test::Exists).holds(linux().traits()) && !on(zone, Test::Exists).holds(linux().traits()));
    assert!(on(zone, Test::NotExists).holds(linux().traits()) && !on(os, Test::NotExists).holds(linux().traits()));
    assert!(on(os, Test::Equals(value("linux"))).holds(linux().traits()));
    assert!(!on(zone, Test::Equals(value("linux"))).holds(linux().traits()));
    assert!(on(zone, Test::NotEquals(value("linux"))).holds(linux().traits()));
    assert!(!on(os, Test::NotEquals(value("linux"))).holds(linux().traits()));
    assert!(on(attributes::HOSTNAME, Test::Equals(value("a1"))).holds(linux().traits()));
}

#[test]
fn the_first_constraint_that_is_not_met_is_named() {
    let constraints = vec![on("os", Test::Exists), on("gpu", Test::Exists), on("zone", Test::Exists)];
    let wanted = Want { constraints, ..want(1) };
    assert_eq!(wanted.suits(linux().traits()).unwrap_err().to_string(), "has gpu");
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

#[test]
fn what_a_task_is_granted_an_agent_must_allow() {
    let folder = |guest: &str, source| Folder { guest_path: guest.to_string(), source };
    let data = || FolderSource::Host("/srv/data".to_string());
    let grants = Grants {
        folders: vec![
            folder("/a", data()),
            folder("/b", FolderSource::Scratch("b".to_string())),
            folder("/c", data()),
            folder("/long", FolderSource::Host(format!("/{}", "x".repeat(Constraint::TEXT_MAX)))),
        ],
        http: vec![HttpHost { host: "api.example".to_string(), port: None }],
        ..Grants::default()
    };

    let constraints = Constraint::of_grants(&grants);

    let said: Vec<String> = constraints.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["has haggle.net", "has haggle.dir:/srv/data"]);
    assert_eq!(constraints[0].unmet(), "no network is given to tasks (haggle agent --allow-network)");
    assert_eq!(constraints[1].unmet(), "tasks may not read /srv/data (haggle agent --allow-folder)");
    assert_eq!(Constraint::of_grants(&Grants::default()), []);
}

#[test]
fn a_constraint_is_read_as_it_is_typed() {
    let value = |text: &str| String::from(text);
    for (text, attribute, test) in [
        ("zone=a", "zone", Test::Equals(value("a"))),
        ("zone=", "zone", Test::Equals(value(""))),
        ("zone=a!=b", "zone", Test::Equals(value("a!=b"))),
        ("zone!=a", "zone", Test::NotEquals(value("a"))),
        ("hostname=h1", "hostname", Test::Equals(value("h1"))),
        ("gpu", "gpu", Test::Exists),
        ("!gpu", "gpu", Test::NotExists),
    ] {
        assert_eq!(text.parse(), Ok(on(attribute, test)), "{text}");
    }
    for wrong in ["", "!", "=a", "!=a", "!!gpu", "!gpu=1", "a b"] {
        assert!(wrong.parse::<Constraint>().is_err(), "{wrong}");
    }
}

#[test]
fn a_launched_task_counts_for_the_first_want_that_its_agent_suits() {
    let (windows, any) = (on("os", Test::Equals("windows".to_string())), want(1));
    let wants = [Want { constraints: vec![windows], ..want(1) }, want(2), Want { waiting: 0, ..want(1) }, any];

    let counted = Want::of_launched(wants.iter(), &want(1).resources, &[], linux().traits(), false);

    assert_eq!(counted, Some(3));
}

#[test]
fn more_gangs_than_are_looked_for_at_once_are_refused_with_what_to_do() {
    let gangs = |count: u32| -> Vec<Want> { (1..=count).map(|gang| Want { gang, ..want(1) }).collect() };

    assert_eq!(Want::check_all(&gangs(8)), Ok(()));
    let refused = Want::check_all(&gangs(9)).expect_err("there are too many");

    assert_eq!(
        refused.to_string(),
        "9 gangs are wanted at once, at most 8 are taken: have the others wait until one of these runs"
    );
}
