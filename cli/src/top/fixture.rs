//! A cluster to look at: an agent at work, one that is drained, one that is away; roles that wait; names that mean harm.

use std::time::{Duration, SystemTime};

use haggle_core::cluster::{AgentView, Announcement, FrameworkInfo, FrameworkView, TaskView, WithdrawalView};
use haggle_core::{
    AgentId, AgentInfo, Bytes, Cause, ClusterId, Digest, Epoch, FrameworkId, MilliCpu, Placement, Reason, Resources,
    Source, TaskId, TaskState, TaskStatus, UpdateId,
};
use haggle_sdk::{Hindrance, MasterInfo, Obstacle, PhaseView, RoleInfo, WatchEvent, Why};

use super::data::{Data, Fetched, Link, Looked};
use super::state::State;

/// Clears the screen, and turns the line around.
const HARM: &str = "\u{1b}[2Jh\u{202e}arm";

pub(super) fn resources(milli: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(mib), Bytes::from_mib(2 * mib))
}

fn agent(id: u64, name: &str, used: Resources, tasks: usize) -> AgentView {
    let info = AgentInfo { name: name.into(), resources: resources(4000, 8192), ..AgentInfo::default() };
    AgentView {
        id: AgentId(id),
        info,
        connected: true,
        draining: false,
        withdrawal: None,
        unavailability: None,
        revocable: MilliCpu::ZERO,
        used,
        offered: Resources::default(),
        reserved: Vec::new(),
        volumes: 0,
        kept: Bytes::ZERO,
        tasks,
    }
}

fn framework(id: u64, name: &str, role: &str, tasks: usize) -> FrameworkView {
    let info = FrameworkInfo { name: name.into(), roles: vec![role.into()], failover_timeout: Duration::from_secs(60) };
    FrameworkView {
        id: FrameworkId(id),
        info,
        connected: true,
        suppressed: false,
        used: resources(500 * tasks as u64, 64 * tasks as u64),
        offered: Resources::default(),
        tasks,
    }
}

fn role(name: &str, waiting: u64, share: f64) -> RoleInfo {
    RoleInfo {
        name: name.into(),
        weight: 2,
        frameworks: 1,
        waiting,
        used: resources((share * 8000.0) as u64, 512),
        offered: Resources::default(),
        reserved: Resources::default(),
        share,
        fair_share: 0.5,
        quota: None,
        placement: Placement::default(),
        min_allocatable: None,
    }
}

pub(super) fn id(framework: u64, number: u64) -> TaskId {
    TaskId { framework: FrameworkId(framework), number }
}

pub(super) fn task(framework: u64, number: u64, name: &str, state: TaskState) -> TaskView {
    let id = id(framework, number);
    let mut status = TaskStatus::new(id, UpdateId(1), state, Source::Agent);
    if state == TaskState::Failed {
        status.reason = Some(Reason::MemoryLimit);
        status.message = "wants 65 MiB memory, is limited to 64 MiB".into();
    }
    let role = if framework == 1 { "eng/batch" } else { "default" }.into();
    TaskView {
        id,
        name: name.into(),
        role,
        agent: AgentId(1 + number % 2),
        module: Some(Digest([0xab; 32])),
        resources: resources(500, 64),
        group: None,
        is_allocation: false,
        status,
    }
}

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_550_000 + seconds)
}

/// Everything, as it was told.
pub(super) fn data() -> Data {
    let mut data = Data::of("http://127.0.0.1:5050".into());
    let busy = AgentView { offered: resources(1000, 1024), ..agent(1, "alpha", resources(2500, 3072), 5) };
    let phase = PhaseView::Draining { kill_in: Duration::from_secs(30), mark_gone: false };
    let withdrawal = WithdrawalView { phase, age: Duration::from_secs(300), cause: Cause::Operator };
    let drained = AgentView { withdrawal: Some(withdrawal), ..agent(2, HARM, resources(500, 64), 1) };
    let away = AgentView { connected: false, ..agent(10, "gamma", resources(0, 0), 2) };
    let master = MasterInfo {
        version: "0.1.0".into(),
        uptime: Duration::from_secs(3 * 60 * 60),
        cluster: ClusterId(7),
        epoch: Epoch(1),
        time: None,
    };
    let tasks = vec![
        task(1, 1, "primes", TaskState::Running),
        task(1, 2, "primes", TaskState::Staging),
        task(1, 10, HARM, TaskState::Failed),
        task(2, 3, "night report", TaskState::Finished),
    ];
    for answer in [
        Fetched::Master(master),
        Fetched::Agents(vec![busy, drained, away]),
        Fetched::Roles(vec![role("eng", 1, 0.3), role("eng/batch", 1, 0.3), role("default", 0, 0.0625)]),
        Fetched::Frameworks(vec![framework(1, "haggle run primes", "eng/batch", 5), framework(2, HARM, "default", 1)]),
        Fetched::Tasks(tasks),
    ] {
        data.take(answer);
    }
    data.link = Link::Up;
    data
}

/// All of that, with some that happened since, on a terminal of so many rows.
pub(super) fn state(height: u16) -> State {
    let mut state = State::new(data(), height);
    let failed = task(1, 10, HARM, TaskState::Failed).status;
    for (seconds, what) in [
        (1, Announcement::AgentDown(AgentId(10))),
        (2, Announcement::Task(task(1, 1, "primes", TaskState::Running).status)),
        (63, Announcement::Task(TaskStatus { message: HARM.into(), ..failed })),
    ] {
        state.data.hear(&WatchEvent { at: at(seconds), what });
    }
    state
}

/// A task that waits, and why.
pub(super) fn looked() -> Looked {
    let want = Some(resources(500, 64));
    let obstacle = Obstacle::InUse { free: resources(250, 4096) };
    let why = Why {
        framework: FrameworkId(1),
        name: HARM.into(),
        role: "eng/batch".into(),
        roles: vec!["eng/batch".into()],
        waits_for: Some(Duration::from_secs(12)),
        offers: 0,
        rank: Some(1),
        ranked: 2,
        ahead: Vec::new(),
        hindrances: vec![Hindrance { obstacle, want, agents: 2, nearest: Vec::new(), age: None }],
    };
    Looked { id: id(1, 2), view: Some(task(1, 2, "primes", TaskState::Staging)), why: Some(why) }
}
