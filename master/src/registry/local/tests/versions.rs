//! What masters of earlier versions left behind is read.

use super::*;

/// What a master of version 1 left behind: no cluster, no epoch, no keys.
fn registry_of_version_1(folder: &TempDir) {
    #[derive(Clone, PartialEq, Message)]
    struct AgentRow {
        #[prost(message, optional, tag = "1")]
        info: Option<v1::AgentInfo>,
    }
    let database = Database::create(folder.path().join("registry.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut numbers = transaction.open_table(NUMBERS).unwrap();
        for (name, value) in [(VERSION_KEY, 1), (LAST_AGENT, 9), (LAST_FRAMEWORK, 8), (CLOCK, 7)] {
            numbers.insert(name, value).unwrap();
        }
        let row = AgentRow { info: Some(agent("old").info.into()) }.encode_to_vec();
        transaction.open_table(AGENTS).unwrap().insert(9, row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_registry_of_version_1_is_read_and_its_agents_have_no_key_yet() {
    let folder = TempDir::new().unwrap();
    registry_of_version_1(&folder);

    let (registry, recovered, clock) = open(&folder);

    assert_eq!(recovered.roles, []);
    let old = AgentRecord {
        info: agent("old").info,
        key: AgentKey::default(),
        unreachable_since: None,
        certified: false,
        reserved: Vec::new(),
        volumes: Vec::new(),
        last_volume: 0,
    };
    assert_eq!(recovered.agents, [(AgentId(9), old)]);
    assert_eq!((recovered.last_agent, recovered.last_framework, clock), (9, 8, Now::from_nanos(7)));
    assert_ne!(recovered.cluster, ClusterId::default());
    drop(registry);
    assert_eq!(open(&folder).1, Recovered { epoch: Epoch(2), ..recovered });
}

/// What a master of version 2 left behind: nobody had a principal.
#[test]
fn the_frameworks_of_a_registry_of_version_2_are_the_owners() {
    #[derive(Clone, PartialEq, Message)]
    struct FrameworkRow {
        #[prost(message, optional, tag = "1")]
        info: Option<v1::FrameworkInfo>,
    }
    let folder = TempDir::new().unwrap();
    let database = Database::create(folder.path().join("registry.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        transaction.open_table(NUMBERS).unwrap().insert(VERSION_KEY, 2).unwrap();
        transaction.open_table(CLUSTER).unwrap().insert(0, 7).unwrap();
        let row = FrameworkRow { info: Some(framework("f").info.into()) }.encode_to_vec();
        transaction.open_table(FRAMEWORKS).unwrap().insert(3, row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let (registry, recovered, _) = open(&folder);

    let old = FrameworkRecord { principal: PrincipalId::owner(), ..framework("f") };
    assert_eq!(recovered.frameworks, [(FrameworkId(3), old)]);
    assert_eq!((recovered.cluster, recovered.tokens, recovered.enrolled), (ClusterId(7), vec![], vec![]));
    let version = read_number(&registry.database.unwrap().begin_write().unwrap(), VERSION_KEY).unwrap();
    assert_eq!(version, VERSION);
}

/// What a master of version 5 left behind: a framework had one role, and nothing was reserved.
#[test]
fn in_a_registry_of_version_5_a_framework_has_one_role_nothing_is_reserved_and_no_volume_is_there() {
    #[derive(Clone, PartialEq, Message)]
    struct FrameworkInfo {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        role: String,
        #[prost(uint64, optional, tag = "3")]
        failover_timeout_ms: Option<u64>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct FrameworkRow {
        #[prost(message, optional, tag = "1")]
        info: Option<FrameworkInfo>,
        #[prost(string, tag = "2")]
        principal: String,
        #[prost(enumeration = "v1::PrincipalKind", tag = "3")]
        kind: i32,
    }
    #[derive(Clone, PartialEq, Message)]
    struct AgentInfo {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, optional, tag = "2")]
        resources: Option<v1::Resources>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct AgentRow {
        #[prost(message, optional, tag = "1")]
        info: Option<AgentInfo>,
        #[prost(bytes = "vec", tag = "2")]
        key: Vec<u8>,
        #[prost(bool, tag = "4")]
        certified: bool,
    }
    let folder = TempDir::new().unwrap();
    let database = Database::create(folder.path().join("registry.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let resources = agent("a").info.resources;
    {
        transaction.open_table(NUMBERS).unwrap().insert(VERSION_KEY, 5).unwrap();
        transaction.open_table(CLUSTER).unwrap().insert(0, 7).unwrap();
        let info = FrameworkInfo { name: "f".into(), role: "eng/batch".into(), failover_timeout_ms: Some(7_000) };
        let kind = v1::PrincipalKind::Framework.into();
        let row = FrameworkRow { info: Some(info), principal: "ci".into(), kind }.encode_to_vec();
        transaction.open_table(FRAMEWORKS).unwrap().insert(3, row.as_slice()).unwrap();
        let info = AgentInfo { name: "a".into(), resources: Some(resources.into()) };
        let key = agent("a").key.0.to_be_bytes().to_vec();
        let row = AgentRow { info: Some(info), key, certified: true }.encode_to_vec();
        transaction.open_table(AGENTS).unwrap().insert(4, row.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let (registry, recovered, _) = open(&folder);

    let mut expected = framework("f");
    expected.info.roles = vec!["eng/batch".to_owned()];
    assert_eq!(recovered.frameworks, [(FrameworkId(3), expected)]);
    let mut expected = AgentRecord {
        unreachable_since: None,
        reserved: Vec::new(),
        volumes: Vec::new(),
        last_volume: 0,
        ..agent("a")
    };
    expected.info.attributes.clear();
    assert_eq!(recovered.agents, [(AgentId(4), expected)]);
    let version = read_number(&registry.database.unwrap().begin_write().unwrap(), VERSION_KEY).unwrap();
    assert_eq!(version, VERSION);
}
