mod standing;
mod why;

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, AgentOrder, Announcement, FrameworkCall, FrameworkCommand,
    FrameworkEvent, FrameworkInfo, HeldTask, Question, Rejection, VolumeStanding, VolumeView,
};
use haggle_core::resources::{PortRange, Ports};
use haggle_core::*;

use super::{Malformed, announcements};
use crate::v1;

const CLUSTER: ClusterId = ClusterId(11 << 70);
const WHEN: Unavailability = Unavailability { start_ms: 1_000, duration_ms: 60_000 };
const TASK: TaskId = TaskId { framework: FrameworkId(3), number: 7 };

fn resources() -> Resources {
    Resources::new(MilliCpu::new(250), Bytes::from_mib(64), Bytes::from_mib(1))
        .with_ports(Ports::new([PortRange { first: 80, last: 90 }]))
        .with_scalar("licence", 1500)
        .with_revocable(MilliCpu::new(50))
}

fn trace() -> Option<Box<TaskTrace>> {
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    Some(TaskTrace { context, parent: SpanId::new(5), began_ns: 1, sent_ns: 2 }.boxed())
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
                Folder {
                    guest_path: "/volume".into(),
                    source: FolderSource::Volume { volume: VOLUME, writable: true },
                },
            ],
            net: vec![Endpoint { host: "db.example".into(), port: 5432 }],
            http: vec![HttpHost { host: "api.example".into(), port: None }],
            anonymous: true,
        },
        group: Some(Group { first: 6, size: 2 }),
        waited: Some(Duration::from_micros(1_500)),
        trace: trace(),
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
        constraint(attributes::HOSTNAME, Test::NotEquals("a".into())),
    ];
    let together =
        Want { resources: resources(), constraints: Vec::new(), volumes: Vec::new(), waiting: 2, spare: 0, gang: 7 };
    vec![Want { resources: resources(), constraints, volumes: volumes(), waiting: 3, spare: 1, gang: 0 }, together]
}

fn ceiling() -> Ceiling {
    Ceiling {
        cpus: Some(MilliCpu::ZERO),
        mem: None,
        disk: Some(Bytes::new(7)),
        scalars: [("licence".into(), 1500)].into(),
    }
}

fn prepared() -> Prepared {
    Prepared { fetched: Some(Duration::from_micros(3).into()), compiled: Some(Duration::from_secs(5_000).into()) }
}

fn status(state: TaskState, reason: Option<Reason>, source: Source) -> TaskStatus {
    TaskStatus {
        reason,
        message: "m".into(),
        agent: Some(AgentId(1)),
        exit_code: Some(77),
        exceeded: Some(Exceeded { limit: 1, used: 2 }),
        usage: Some(Usage { cpu: Duration::from_nanos(5), fuel: Fuel::new(6), ..Usage::default() }),
        prepared: prepared(),
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

fn operations() -> Vec<OfferOperation> {
    vec![
        Operation::Reserve { role: "eng".into(), within: None, resources: resources() }.into(),
        Operation::Reserve { role: "eng/x".into(), within: Some("eng".into()), resources: resources() }.into(),
        Operation::Unreserve { role: "eng".into(), resources: resources() }.into(),
        VolumeOperation::Create { role: "eng".into(), name: "data".into(), size: Bytes::new(5) }.into(),
        VolumeOperation::Destroy(VOLUME).into(),
        VolumeOperation::Share { volume: VOLUME, shared: true }.into(),
    ]
}

const VOLUME: VolumeId = VolumeId { agent: AgentId(2), number: 7 };

fn volumes() -> Vec<VolumeId> {
    vec![VOLUME, VolumeId { number: 8, ..VOLUME }]
}

fn volume() -> Volume {
    Volume {
        id: VOLUME,
        name: "data".into(),
        reservation: Reservation::fixed("eng").unwrap().refined("eng/batch").unwrap(),
        size: Bytes::from_mib(3),
        shared: true,
        creator: "framework:ci".parse().unwrap(),
        made: true,
    }
}

#[test]
fn what_is_shown_of_volumes_survives_the_wire() {
    let standings = [
        VolumeStanding::Making,
        VolumeStanding::Ready,
        VolumeStanding::Missing,
        VolumeStanding::Away,
        VolumeStanding::Unknown,
    ];
    for standing in standings {
        let known = Some(volume()).filter(|_| standing != VolumeStanding::Unknown);
        let shown =
            VolumeView { id: VOLUME, agent: AgentId(2), known, standing, user: Some(TASK), users: 2, offers: 3 };
        assert_eq!(VolumeView::try_from(v1::VolumeView::from(shown.clone())), Ok(shown));
    }
    let nobodys = v1::Volume { creator: "nobody".into(), ..volume().into() };
    assert!(Volume::try_from(nobodys).is_err());
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
        FrameworkCommand::LaunchGroup {
            offers: offers.clone(),
            operations: operations()
                .into_iter()
                .map(|operation| PlacedOperation { agent: AgentId(2), operation })
                .collect(),
            tasks: vec![Placed { agent: AgentId(2), task: Arc::new(spec()) }],
            refuse: Duration::from_secs(3),
        },
        FrameworkCommand::Decline { offers, refuse: Duration::from_secs(5) },
        FrameworkCommand::Revive { role: None },
        FrameworkCommand::Suppress { role: None },
        FrameworkCommand::Revive { role: Some("a".into()) },
        FrameworkCommand::Suppress { role: Some("a/b".into()) },
        FrameworkCommand::Demand { role: Some("a".into()), wants: wants() },
        FrameworkCommand::Demand { role: None, wants: Vec::new() },
        FrameworkCommand::AcceptInverse(vec![InverseOfferId(1), InverseOfferId(2)]),
        FrameworkCommand::DeclineInverse { offers: vec![InverseOfferId(1)], refuse: Duration::from_secs(5) },
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
        volumes: vec![volume()],
        resources: resources(),
        unavailability: Some(WHEN),
    };
    let events = [
        FrameworkEvent::Subscribed {
            member: Member { cluster: CLUSTER, id: FrameworkId(3) },
            epoch: Epoch(4),
            last_call: 9,
        },
        FrameworkEvent::Offers(vec![offer]),
        FrameworkEvent::Rescinded(vec![OfferId(1)]),
        FrameworkEvent::InverseOffers(vec![InverseOffer { id: InverseOfferId(1), agent: AgentId(2), when: WHEN }]),
        FrameworkEvent::InverseRescinded(vec![InverseOfferId(1)]),
        FrameworkEvent::Update(status(TaskState::Running, None, Source::Agent)),
        FrameworkEvent::Queue(Arc::new(queue_update())),
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
        volumes: volumes(),
        module: Some(Digest([5; 32])),
        resources: resources(),
        state: TaskState::Running,
        update: UpdateId(3),
        group: Some(Group { first: 6, size: 2 }),
        trace: trace(),
        life: Some(HeldLife { age: Duration::from_secs(7).into(), prepared: prepared(), started: None }),
    };
    let member = Member { cluster: CLUSTER, id: AgentId(2) };
    let identity = AgentIdentity { member: Some(member), key: AgentKey(5), run: 6 };
    let said = [
        AgentCommand::Register { identity, info, tasks: vec![held.clone()], complete: false },
        AgentCommand::Holds { tasks: vec![held], complete: true },
        AgentCommand::HoldsQueues { queues: vec![held_queue()], complete: true },
        AgentCommand::QueueUpdates(vec![Arc::new(queue_update())]),
        AgentCommand::Heartbeat,
        AgentCommand::Updates(vec![status(TaskState::Running, None, Source::Agent)]),
        AgentCommand::Volumes(volumes()),
        AgentCommand::Unused(MilliCpu::new(1_400)),
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
        AgentOrder::Open(Arc::new(allocation())),
        AgentOrder::Enqueue { allocation: TASK, tasks: vec![queued()], last: true },
        AgentOrder::Kill(TASK),
        AgentOrder::End { task: TASK, reason: Reason::TaskGroup, why: "why".into() },
        AgentOrder::StopAll,
        AgentOrder::Acknowledge(TASK, UpdateId(1)),
        AgentOrder::Resend(FrameworkId(3)),
        AgentOrder::RemoveFramework(FrameworkId(3)),
        AgentOrder::CreateVolume { volume: VOLUME, role: "eng".into(), size: Bytes::new(9) },
        AgentOrder::DestroyVolume(VOLUME),
    ];

    for said in said {
        assert_eq!(AgentCommand::try_from(v1::AgentReport::from(said.clone())), Ok(said));
    }
    for heard in heard {
        assert_eq!(AgentOrder::try_from(v1::AgentOrder::from(heard.clone())), Ok(heard));
    }
}

fn allocation() -> AllocationSpec {
    AllocationSpec {
        id: TASK,
        name: "q".into(),
        role: "a/b".into(),
        resources: resources(),
        volumes: vec![QueueVolume { id: VolumeId { agent: AgentId(3), number: 7 }, writable: false }],
        idle_timeout: Duration::from_millis(7),
    }
}

fn queued() -> QueuedTasks {
    let index = Some(haggle_core::queue::Index { variable: "N".into(), first: 3 });
    QueuedTasks { spec: Arc::new(spec()), count: 5, index }
}

fn queue_update() -> QueueUpdate {
    let told = status(TaskState::Failed, Some(Reason::Exit), Source::Executor);
    let ending = Ending {
        state: told.state,
        reason: told.reason,
        message: told.message,
        exit_code: told.exit_code,
        exceeded: told.exceeded,
        usage: told.usage.unwrap_or_default(),
    };
    let killed = QueueEnd::never_ran(20, 9, Source::Agent, TaskState::Killed, Reason::KillRequested, "why");
    QueueUpdate {
        allocation: TASK,
        update: UpdateId(4),
        agent: Some(AgentId(2)),
        started: vec![8, 9],
        ended: vec![QueueEnd { first: 10, count: 1, source: Source::Executor, ending }, killed],
    }
}

fn held_queue() -> HeldQueue {
    let shape =
        Arc::new(haggle_core::queue::Shape { name: "t".into(), resources: resources(), module: Some(Digest([6; 32])) });
    let run = HeldRun { first: 3, count: 4, state: TaskState::Running, update: UpdateId(2), shape };
    HeldQueue { allocation: TASK, runs: vec![run] }
}

#[test]
fn an_allocation_that_names_no_time_closes_soon() {
    let wire = v1::Allocation { idle_timeout_ms: None, ..allocation().into() };

    assert_eq!(AllocationSpec::try_from(wire).unwrap().idle_timeout, AllocationSpec::IDLE_DEFAULT);
}

#[test]
fn ends_of_more_tasks_than_there_are_numbers_or_of_none_that_ended_are_malformed() {
    let end = || v1::QueueEnd::from(queue_update().ended.remove(0));

    for wrong in [
        v1::QueueEnd { count: QueuedTasks::MAX + 1, ..end() },
        v1::QueueEnd { first: u64::MAX, count: 2, ..end() },
        v1::QueueEnd { state: v1::TaskState::Running.into(), ..end() },
    ] {
        assert!(QueueEnd::try_from(wrong).is_err());
    }
}

#[test]
fn what_a_watch_tells_of_many_tasks_is_told_of_each() {
    let run = QueueRun {
        allocation: TASK,
        agent: AgentId(2),
        first: 8,
        count: 2,
        state: TaskState::Unreachable,
        reason: Some(Reason::AgentRemoved),
        message: "why".into(),
    };
    let told = |news: QueueNews| {
        let here: Vec<_> = news.clone().statuses().map(Announcement::Task).collect();
        let there: Vec<_> = announcements(v1::watch_event::Event::from(news)).unwrap().collect();
        assert_eq!(here, there);
        there.len()
    };
    assert_eq!(told(QueueNews::Run(run.clone())), 2);
    assert_eq!(told(QueueNews::Told(Arc::new(queue_update()))), 2 + 1 + 9);

    for (first, count) in [(8, 0), (u64::MAX, 2)] {
        let wrong = v1::QueueRun { first, count, ..run.clone().into() };
        assert!(announcements(v1::watch_event::Event::QueueRun(wrong)).is_err());
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
fn a_want_without_resources_or_with_half_a_constraint_is_malformed() {
    let wire = || v1::Want::from(wants().remove(0));
    let without = v1::Want { resources: None, ..wire() };
    let half = v1::Constraint { attribute: "os".into(), test: None };

    assert_eq!(Want::try_from(without), Err(Malformed::Missing("resources of a want")));
    let half = v1::Want { constraints: vec![half], ..wire() };
    assert_eq!(Want::try_from(half), Err(Malformed::Missing("test of a constraint")));
}
