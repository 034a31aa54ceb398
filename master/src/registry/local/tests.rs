use std::time::Duration;

use haggle_core::cluster::FrameworkInfo;
use haggle_core::{AgentInfo, Bytes, MilliCpu, Resources};
use tempfile::TempDir;

use super::*;

fn agent(name: &str) -> AgentInfo {
    AgentInfo {
        name: name.to_owned(),
        resources: Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(64), Bytes::ZERO).with_scalar("gpu", 500),
        attributes: [("zone".to_owned(), "a".to_owned())].into(),
    }
}

fn framework(name: &str) -> FrameworkInfo {
    FrameworkInfo {
        name: name.to_owned(),
        role: FrameworkInfo::DEFAULT_ROLE.to_owned(),
        failover_timeout: Duration::from_secs(7),
    }
}

fn reopened(folder: &TempDir) -> (Recovered, Now) {
    let (_, recovered, clock) = Registry::open(Some(folder.path())).unwrap();
    (recovered, clock)
}

#[test]
fn a_restart_remembers_who_was_there_and_when() {
    let folder = TempDir::new().unwrap();
    let (registry, nothing, origin) = Registry::open(Some(folder.path())).unwrap();
    assert_eq!((nothing, origin), (Recovered::default(), Now::ZERO));

    let changes = [
        Change::AgentAdmitted(AgentId(1), agent("a")),
        Change::AgentAdmitted(AgentId(1), agent("b")),
        Change::FrameworkSubscribed(FrameworkId(4), framework("f")),
    ];
    registry.write(Now::from_millis(1234), &changes).unwrap();
    drop(registry);

    let remembered = Recovered {
        agents: vec![(AgentId(1), agent("b"))],
        frameworks: vec![(FrameworkId(4), framework("f"))],
        last_agent: 1,
        last_framework: 4,
    };
    assert_eq!(reopened(&folder), (remembered, Now::from_millis(1234)));
}

#[test]
fn numbers_of_those_who_are_gone_are_not_given_again() {
    let folder = TempDir::new().unwrap();
    let (registry, ..) = Registry::open(Some(folder.path())).unwrap();

    let came = [
        Change::AgentAdmitted(AgentId(1), agent("a")),
        Change::AgentAdmitted(AgentId(2), agent("b")),
        Change::FrameworkSubscribed(FrameworkId(3), framework("f")),
    ];
    registry.write(Now::ZERO, &came).unwrap();
    let went = [Change::AgentRemoved(AgentId(2)), Change::FrameworkRemoved(FrameworkId(3))];
    registry.write(Now::ZERO, &went).unwrap();
    registry.write(Now::ZERO, &[Change::AgentAdmitted(AgentId(1), agent("a"))]).unwrap();
    drop(registry);

    let (recovered, _) = reopened(&folder);
    assert_eq!(recovered.agents, [(AgentId(1), agent("a"))]);
    assert_eq!(recovered.frameworks, []);
    assert_eq!((recovered.last_agent, recovered.last_framework), (2, 3));
}

#[test]
fn a_second_master_is_refused() {
    let folder = TempDir::new().unwrap();
    let _first = Registry::open(Some(folder.path())).unwrap();

    let error = Registry::open(Some(folder.path())).unwrap_err();

    assert!(matches!(error, RegistryError::Locked(_)), "{error}");
}

#[test]
fn a_registry_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let (registry, ..) = Registry::open(Some(folder.path())).unwrap();
    let transaction = registry.database.begin_write().unwrap();
    transaction.open_table(NUMBERS).unwrap().insert(VERSION_KEY, VERSION + 1).unwrap();
    transaction.commit().unwrap();
    drop(registry);

    for _ in 0..2 {
        let error = Registry::open(Some(folder.path())).unwrap_err();
        assert!(matches!(error, RegistryError::Newer { found, .. } if found == VERSION + 1), "{error}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();

    let error = Registry::open(Some(&blocked.join("state"))).unwrap_err();

    assert!(matches!(error, RegistryError::Folder { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_registry_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("registry.redb"), vec![7; 10_000]).unwrap();

    let error = Registry::open(Some(folder.path())).unwrap_err();

    assert!(matches!(error, RegistryError::Store { .. }), "{error}");
}
