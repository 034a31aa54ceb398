use std::sync::Arc;
use std::time::Duration;

use haggle_core::allocator::{Hindrance, Obstacle};
use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, AgentOrder, FrameworkCall, FrameworkCommand, FrameworkEvent,
    FrameworkInfo, HeldTask, OfferView, Question, Rejection, RoleView, Why,
};
use haggle_core::resources::{PortRange, Ports, Share};
use haggle_core::*;

use super::Malformed;
use crate::v1;

const CLUSTER: ClusterId = ClusterId(11 << 70);
const TASK: TaskId = TaskId { framework: FrameworkId(3), number: 7 };

fn resources() -> Resources {
    Resources::new(MilliCpu::new(250), Bytes::from_mib(64), Bytes::from_mib(1))
        .with_ports(Ports::new([PortRange { first: 80, last: 90 }]))
        .with_scalar("licence", 1500)
}

fn spec() -> TaskSpec {
    TaskSpec {
        id: TASK,
        name: "count".into(),
        role: String::new(),
        module: Digest([7; 32]),
        args: vec!["a".into()],
        env: vec![("K".into(), "V".into())],
        stdin: b"in".to_vec(),
        resources: resources(),
        sharing: Sharing { weight: Some(MilliCpu::new(2_000)), burst: MilliCpu::new(500) },
        limits: Limits {
            fuel: Some(Fuel::new(9)),
            time: Some(Duration::from_millis(8)),
            output: Bytes::new(7),
            output_overrun: OutputOverrun::Truncate,
        },
        inputs: vec![Input { guest_path: "/in".into(), content: Digest([1; 32]) }],
        grants: Grants {
            folders: vec![
                Folder { guest_path: "work".into(), source: FolderSource::Scratch("a/b".into()) },
                Folder { guest_path: "/data".into(), source: FolderSource::Host("/srv/data".into()) },
            ],
            net: vec![Endpoint { host: "db.example".into(), port: 5432 }],
            http: vec![HttpHost { host: "api.example".into(), port: None }],
            anonymous: true,
        },
    }
}

fn constraint(attribute: &str, test: Test) -> Constraint {
    Constraint { attribute: attribute.into(), test }
}

fn wants() -> Vec<Want> {
    let constraints = vec![
        constraint("gpu", Test::Exists),
        constraint("spot", Test::NotExists),
        constraint("os", Test::Equals("linux".into())),
        constraint(Constraint::HOSTNAME, Test::NotEquals("a".into())),
    ];
    vec![Want { resources: resources(), constraints, waiting: 3, spare: 1 }]
}

fn ceiling() -> Ceiling {
    Ceiling {
        cpus: Some(MilliCpu::ZERO),
        mem: None,
        disk: Some(Bytes::new(7)),
        scalars: [("licence".into(), 1500)].into(),
    }
}

fn status(state: TaskState, reason: Option<Reason>, source: Source) -> TaskStatus {
    TaskStatus {
        reason,
        message: "m".into(),
        agent: Some(AgentId(1)),
        exit_code: Some(77),
        exceeded: Some(Exceeded { limit: 1, used: 2 }),
        usage: Some(Usage { cpu: Duration::from_nanos(5), fuel: Fuel::new(6), ..Usage::default() }),
        ..TaskStatus::new(TASK, UpdateId(4), state, source)
    }
}

#[test]
fn every_state_reason_and_source_survives_the_wire() {
    let reasons = Reason::ALL.iter().map(|&reason| status(TaskState::Failed, Some(reason), Source::Executor));
    let states = TaskState::ALL.iter().map(|&state| status(state, None, Source::Master));

    for said in reasons.chain(states).chain([status(TaskState::Running, None, Source::Agent)]) {
        assert_eq!(TaskStatus::try_from(v1::TaskStatus::from(said.clone())), Ok(said));
    }
}

fn reserved() -> Reserved {
    let reservation = Reservation::fixed("eng").unwrap().refined("eng/batch").unwrap();
    Reserved { reservation, resources: resources() }
}

fn operations() -> Vec<Operation> {
    vec![
        Operation::Reserve { role: "eng".into(), within: None, resources: resources() },
        Operation::Reserve { role: "eng/x".into(), within: Some("eng".into()), resources: resources() },
        Operation::Unreserve { role: "eng".into(), resources: resources() },
    ]
}

#[test]
fn everything_a_framework_says_survives_the_wire() {
    let offers = vec![OfferId(1), OfferId(2)];
    let roles = vec!["r".into(), "s/t".into()];
    let info = FrameworkInfo { name: "f".into(), roles, failover_timeout: Duration::from_secs(1) };
    let member = Some(Member { cluster: CLUSTER, id: FrameworkId(3) });
    let commands = [
        FrameworkCommand::Subscribe { member, info: info.clone() },
        FrameworkCommand::Update(info),
        FrameworkCommand::Accept {
            offers: offers.clone(),
            operations: operations(),
            tasks: vec![Arc::new(spec())],
            refuse: Duration::ZERO,
        },
        FrameworkCommand::Decline { offers, refuse: Duration::from_secs(5) },
        FrameworkCommand::Revive { role: None },
        FrameworkCommand::Suppress { role: None },
        FrameworkCommand::Revive { role: Some("a".into()) },
        FrameworkCommand::Suppress { role: Some("a/b".into()) },
        FrameworkCommand::Demand { role: Some("a".into()), wants: wants() },
        FrameworkCommand::Demand { role: None, wants: Vec::new() },
        FrameworkCommand::Kill(TASK),
        FrameworkCommand::Acknowledge(vec![Acknowledgement {
            task: TASK,
            update: UpdateId(1),
            agent: Some(AgentId(2)),
        }]),
        FrameworkCommand::Reconcile(vec![Question { task: TASK, agent: Some(AgentId(2)) }]),
        FrameworkCommand::Teardown,
    ];

    for command in commands {
        let said = FrameworkCall { number: 7, command };
        assert_eq!(FrameworkCall::try_from(v1::FrameworkCall::from(said.clone())), Ok(said));
    }
}

#[test]
fn everything_a_framework_hears_survives_the_wire() {
    let offer = Offer {
        id: OfferId(1),
        agent: AgentId(2),
        agent_name: "a".into(),
        attributes: [("rack".into(), "1".into())].into(),
        role: "role".into(),
        reserved: vec![reserved()],
        resources: resources(),
    };
    let events = [
        FrameworkEvent::Subscribed {
            member: Member { cluster: CLUSTER, id: FrameworkId(3) },
            epoch: Epoch(4),
            last_call: 9,
        },
        FrameworkEvent::Offers(vec![offer]),
        FrameworkEvent::Rescinded(vec![OfferId(1)]),
        FrameworkEvent::Update(status(TaskState::Running, None, Source::Agent)),
        FrameworkEvent::OperationDropped { operation: operations().remove(1), why: "too much".into() },
        FrameworkEvent::AgentLost(AgentId(2)),
        FrameworkEvent::Error("why".into()),
    ];

    for heard in events {
        assert_eq!(FrameworkEvent::try_from(v1::FrameworkEvent::from(heard.clone())), Ok(heard));
    }
}

#[test]
fn everything_an_agent_says_and_hears_survives_the_wire() {
    let info = AgentInfo {
        name: "a".into(),
        resources: resources(),
        reserved: [("eng".into(), resources())].into(),
        attributes: [("k".into(), "v".into())].into(),
    };
    let held = HeldTask {
        id: TASK,
        name: "count".into(),
        role: "role".to_owned(),
        resources: resources(),
        state: TaskState::Running,
        update: UpdateId(3),
    };
    let member = Member { cluster: CLUSTER, id: AgentId(2) };
    let identity = AgentIdentity { member: Some(member), key: AgentKey(5), run: 6 };
    let said = [
        AgentCommand::Register { identity, info, tasks: vec![held.clone()], complete: false },
        AgentCommand::Holds { tasks: vec![held], complete: true },
        AgentCommand::Heartbeat,
        AgentCommand::Updates(vec![status(TaskState::Running, None, Source::Agent)]),
        AgentCommand::Drain,
        AgentCommand::Leave,
    ];
    let heard = [
        AgentOrder::Registered { member, epoch: Epoch(4) },
        AgentOrder::Refused(Rejection::Later("why".into())),
        AgentOrder::Refused(Rejection::Gone("why".into())),
        AgentOrder::Refused(Rejection::OtherCluster("why".into())),
        AgentOrder::Refused(Rejection::Final("why".into())),
        AgentOrder::Launch(Arc::new(spec())),
        AgentOrder::Kill(TASK),
        AgentOrder::Acknowledge(TASK, UpdateId(1)),
        AgentOrder::Resend(FrameworkId(3)),
        AgentOrder::RemoveFramework(FrameworkId(3)),
    ];

    for said in said {
        assert_eq!(AgentCommand::try_from(v1::AgentReport::from(said.clone())), Ok(said));
    }
    for heard in heard {
        assert_eq!(AgentOrder::try_from(v1::AgentOrder::from(heard.clone())), Ok(heard));
    }
}

#[test]
fn a_task_without_resources_is_malformed() {
    let wire = v1::TaskSpec { resources: None, ..spec().into() };

    assert_eq!(TaskSpec::try_from(wire), Err(Malformed::Missing("resources of a task")));
}

#[test]
fn a_digest_of_another_length_is_malformed() {
    let wire = v1::TaskSpec { module: vec![0; 31], ..spec().into() };

    let refused = TaskSpec::try_from(wire).unwrap_err();

    assert_eq!(refused.to_string(), "digest is 31 bytes, must be 32 bytes of SHA-256");
}

#[test]
fn an_amount_beyond_exact_arithmetic_is_malformed() {
    let wire = v1::Resources { mem_bytes: u64::MAX, ..resources().into() };

    assert!(matches!(Resources::try_from(wire), Err(Malformed::Invalid { field: "mem_bytes", .. })));
}

#[test]
fn a_framework_without_a_role_is_in_the_default_role() {
    let info = FrameworkInfo::from(v1::FrameworkInfo { name: "f".into(), ..Default::default() });

    assert_eq!(info.roles, [FrameworkInfo::DEFAULT_ROLE]);
    assert_eq!(info.failover_timeout, Duration::from_secs(60));
}

#[test]
fn an_answer_to_why_survives_the_wire() {
    let obstacles = [
        Obstacle::NotConnected,
        Obstacle::Suppressed,
        Obstacle::WantsNothing,
        Obstacle::NoAgent,
        Obstacle::AtLimit { role: "eng".into(), limit: ceiling(), has: resources() },
        Obstacle::KeptForOthers { kept: resources() },
        Obstacle::Constraint(constraint("os", Test::Equals("linux".into()))),
        Obstacle::TooLarge { largest: resources() },
        Obstacle::Reserved { reserved: resources() },
        Obstacle::InUse { free: resources() },
        Obstacle::Offered { to: FrameworkId(9), age: Duration::from_secs(3) },
        Obstacle::Refused { lasts: Duration::from_secs(4) },
    ];
    let hindrances = obstacles.map(|obstacle| Hindrance { obstacle, want: Some(resources()), agents: 2 });
    let why = Why {
        framework: FrameworkId(3),
        name: "f".into(),
        role: "eng/batch".into(),
        roles: vec!["eng".into(), "eng/batch".into()],
        waits_for: Some(Duration::from_secs(12)),
        offers: 1,
        rank: Some(2),
        ranked: 5,
        hindrances: hindrances.into(),
    };
    let content = Why { waits_for: None, rank: None, hindrances: Vec::new(), ..why.clone() };

    for told in [why, content] {
        assert_eq!(Why::try_from(v1::WhyResponse::from(told.clone())), Ok(told));
    }
}

#[test]
fn a_hindrance_without_an_obstacle_is_malformed() {
    let wire = v1::WhyResponse { hindrances: vec![v1::Hindrance::default()], ..Default::default() };

    assert_eq!(Why::try_from(wire), Err(Malformed::Missing("obstacle of a hindrance")));
}

#[test]
fn a_want_without_resources_or_with_half_a_constraint_is_malformed() {
    let wire = || v1::Want::from(wants().remove(0));
    let without = v1::Want { resources: None, ..wire() };
    let half = v1::Constraint { attribute: "os".into(), test: None };

    assert_eq!(Want::try_from(without), Err(Malformed::Missing("resources of a want")));
    let half = v1::Want { constraints: vec![half], ..wire() };
    assert_eq!(Want::try_from(half), Err(Malformed::Missing("test of a constraint")));
}

#[test]
fn a_quota_survives_the_wire_and_what_is_absent_is_no_bound() {
    let quota = Quota { guarantee: resources(), limit: ceiling() };

    assert_eq!(Quota::try_from(v1::Quota::from(quota.clone())), Ok(quota));
    assert_eq!(Quota::try_from(v1::Quota::default()), Ok(Quota::default()));
}

#[test]
fn a_limit_beyond_exact_arithmetic_is_malformed() {
    let limit = v1::Ceiling { milli_cpus: Some(u64::MAX), ..Default::default() };

    let refused = Quota::try_from(v1::Quota { limit: Some(limit), guarantee: None }).unwrap_err();

    assert_eq!(refused.to_string(), format!("milli_cpus of a limit is {}, must be at most 2^53", u64::MAX));
}

#[test]
fn a_weight_of_nothing_is_malformed() {
    assert_eq!(super::weight(None), Ok(None));
    assert_eq!(super::weight(Some(3)).map(|weight| weight.map(u32::from)), Ok(Some(3)));
    assert_eq!(super::weight(Some(0)).unwrap_err().to_string(), "weight is 0, must be 1 or more");
}

#[test]
fn an_open_offer_tells_its_age() {
    let offer = OfferView {
        id: OfferId(1),
        framework: FrameworkId(2),
        role: "eng/batch".into(),
        agent: AgentId(3),
        resources: resources(),
        reserved: vec![reserved()],
        age: Duration::from_millis(1500),
    };

    assert_eq!(OfferView::try_from(v1::OpenOffer::from(offer.clone())), Ok(offer));
}

#[test]
fn a_role_tells_what_it_has_beside_what_it_should_have() {
    let quota = Quota { guarantee: resources(), limit: ceiling() };
    let role = RoleView {
        name: "eng/batch".into(),
        weight: 2,
        frameworks: 3,
        waiting: 1,
        used: resources(),
        offered: Resources::default(),
        reserved: resources(),
        share: Share::new(1, 4),
        fair_share: Share::new(1, 2),
        quota: Some(quota.clone()),
    };

    let wire = v1::Role::from(role);

    assert_eq!((wire.share, wire.fair_share, wire.waiting), (0.25, 0.5, 1));
    assert_eq!(wire.reserved, Some(resources().into()));
    assert_eq!((wire.used, wire.offered), (Some(resources().into()), Some(Resources::default().into())));
    assert_eq!(wire.quota.map(Quota::try_from), Some(Ok(quota)));
}
