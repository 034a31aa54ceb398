use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::grants::Grants;
use crate::id::{Digest, FrameworkId};
use crate::quantity::{Bytes, MilliCpu};
use crate::task::{Limits, Sharing};

fn size(cpus: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cpus), Bytes::from_mib(mib), Bytes::ZERO)
}

fn allocation() -> AllocationSpec {
    AllocationSpec {
        volumes: Vec::new(),
        id: TaskId { framework: FrameworkId(1), number: 1 },
        name: "queue".to_string(),
        role: String::new(),
        resources: size(2, 64),
        idle_timeout: Duration::from_secs(1),
    }
}

fn queued(count: u32) -> QueuedTasks {
    let spec = TaskSpec {
        id: TaskId { framework: FrameworkId(1), number: 10 },
        name: "noop".to_string(),
        role: String::new(),
        module: Digest([7; 32]),
        args: vec![],
        env: vec![("A".to_string(), "1".to_string())],
        stdin: vec![],
        resources: size(1, 16),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: vec![],
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    };
    QueuedTasks { spec: Arc::new(spec), count, index: Some(Index { variable: "N".to_string(), first: 5 }) }
}

#[test]
fn an_allocation_holds_something_and_closes_some_day() {
    assert_eq!(allocation().check(), Ok(()));
    let empty = AllocationSpec { resources: Resources::default(), ..allocation() };
    assert_eq!(empty.check(), Err(InvalidAllocation::Empty));
    let at_once = AllocationSpec { idle_timeout: Duration::ZERO, ..allocation() };
    assert_eq!(at_once.check().unwrap_err().to_string(), "an idle timeout of 0ns is not between 1 ms and 3600s");
    let never = AllocationSpec { idle_timeout: Duration::MAX, ..allocation() };
    assert!(never.check().is_err());
    let volume = QueueVolume::from(VolumeId { agent: AgentId(3), number: 7 });
    let twice = AllocationSpec { volumes: vec![volume; 2], ..allocation() };
    assert_eq!(
        twice.check().unwrap_err().to_string(),
        "2 volumes, or one of them twice: an allocation has up to 64, each once"
    );
}

#[test]
fn each_task_of_a_kind_has_its_number_and_its_index() {
    let task = queued(3).task(2);

    assert_eq!(task.id.number, 12);
    assert_eq!(task.env[1], ("N".to_string(), "7".to_string()));
    assert_eq!(task, TaskSpec { id: task.id, env: task.env.clone(), ..TaskSpec::clone(&queued(3).spec) });
}

#[test]
fn tasks_that_can_never_run_there_are_refused() {
    let within = size(2, 64);
    assert_eq!(queued(3).check(&within), Ok(()));
    assert!(matches!(queued(0).check(&within), Err(InvalidQueued::Count(0, 10))));
    assert!(queued(QueuedTasks::MAX + 1).check(&within).is_err());
    assert_eq!(
        queued(1).check(&size(2, 8)).unwrap_err().to_string(),
        "does not fit its allocation: wants 16 MiB mem, has 8 MiB mem"
    );
    let named =
        |variable: &str| QueuedTasks { index: Some(Index { variable: variable.to_string(), first: 0 }), ..queued(1) };
    for wrong in ["", "A", "B=", "\0"] {
        assert_eq!(named(wrong).check(&within), Err(InvalidQueued::Variable(wrong.to_string())));
    }
    let last = QueuedTasks {
        spec: Arc::new(TaskSpec {
            id: TaskId { framework: FrameworkId(1), number: u64::MAX },
            ..TaskSpec::clone(&queued(1).spec)
        }),
        ..queued(1)
    };
    assert!(matches!(last.check(&within), Err(InvalidQueued::Count(1, u64::MAX))));
}

#[test]
fn ends_in_any_order_are_few_runs_and_the_status_of_each_task() {
    let end = |first, count| {
        QueueEnd::never_ran(first, count, Source::Agent, TaskState::Killed, Reason::KillRequested, "because")
    };
    let update = QueueUpdate {
        allocation: allocation().id,
        update: UpdateId(3),
        agent: Some(AgentId(9)),
        started: vec![],
        ended: vec![end(12, 1), end(10, 2), end(20, 3), end(13, 1)],
    };

    assert_eq!(update.ended_runs(), [(10, 4), (20, 3)]);

    let told: Vec<(u64, TaskState, Option<AgentId>)> =
        update.ends().map(|status| (status.task.number, status.state, status.agent)).collect();
    assert_eq!(told.iter().map(|told| told.0).collect::<Vec<_>>(), [12, 10, 11, 20, 21, 22, 13]);
    assert_eq!(told[0], (12, TaskState::Killed, Some(AgentId(9))));
}
