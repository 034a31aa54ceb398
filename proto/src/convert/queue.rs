//! Allocations and what is in their queues.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::queue::{Index, Shape};
use haggle_core::{
    AgentId, AllocationSpec, Ending, Exceeded, HeldQueue, HeldRun, QueueEnd, QueueRun, QueueUpdate, QueueVolume,
    QueuedTasks, TaskId, UpdateId, Usage,
};

use super::status::{reason, source, task_state};
use super::task::millis;
use super::{Malformed, digest_bytes, optional_digest, required};
use crate::v1;

impl From<AllocationSpec> for v1::Allocation {
    fn from(spec: AllocationSpec) -> Self {
        Self {
            id: Some(spec.id.into()),
            name: spec.name,
            role: spec.role,
            resources: Some(spec.resources.into()),
            volumes: spec.volumes.into_iter().map(Into::into).collect(),
            idle_timeout_ms: Some(millis(spec.idle_timeout)),
        }
    }
}

impl From<QueueVolume> for v1::QueueVolume {
    fn from(QueueVolume { id, writable }: QueueVolume) -> Self {
        Self { volume: Some(id.into()), writable }
    }
}

impl TryFrom<v1::QueueVolume> for QueueVolume {
    type Error = Malformed;

    fn try_from(wire: v1::QueueVolume) -> Result<Self, Malformed> {
        Ok(Self { id: required(wire.volume, "volume of an allocation")?.into(), writable: wire.writable })
    }
}

impl TryFrom<v1::Allocation> for AllocationSpec {
    type Error = Malformed;

    fn try_from(wire: v1::Allocation) -> Result<Self, Malformed> {
        Ok(Self {
            id: required(wire.id, "id of an allocation")?.into(),
            name: wire.name,
            role: wire.role,
            resources: required(wire.resources, "resources of an allocation")?.try_into()?,
            volumes: wire.volumes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            idle_timeout: wire.idle_timeout_ms.map_or(Self::IDLE_DEFAULT, Duration::from_millis),
        })
    }
}

pub(super) fn enqueue(allocation: TaskId, tasks: Vec<QueuedTasks>, last: bool) -> v1::Enqueue {
    v1::Enqueue { allocation: Some(allocation.into()), tasks: tasks.into_iter().map(Into::into).collect(), last }
}

pub(super) fn enqueued(wire: v1::Enqueue) -> Result<(TaskId, Vec<QueuedTasks>, bool), Malformed> {
    let allocation = required(wire.allocation, "allocation to enqueue in")?.into();
    let tasks = wire.tasks.into_iter().map(QueuedTasks::try_from).collect::<Result<_, _>>()?;
    Ok((allocation, tasks, wire.last))
}

impl From<QueuedTasks> for v1::QueuedTasks {
    fn from(tasks: QueuedTasks) -> Self {
        let index = tasks.index.unwrap_or(Index { variable: String::new(), first: 0 });
        Self {
            spec: Some(Arc::unwrap_or_clone(tasks.spec).into()),
            count: tasks.count,
            index_variable: index.variable,
            first_index: index.first,
        }
    }
}

impl TryFrom<v1::QueuedTasks> for QueuedTasks {
    type Error = Malformed;

    fn try_from(wire: v1::QueuedTasks) -> Result<Self, Malformed> {
        let index = Index { variable: wire.index_variable, first: wire.first_index };
        Ok(Self {
            spec: Arc::new(required(wire.spec, "spec of queued tasks")?.try_into()?),
            count: wire.count,
            index: (!index.variable.is_empty()).then_some(index),
        })
    }
}

impl From<QueueUpdate> for v1::QueueUpdate {
    fn from(update: QueueUpdate) -> Self {
        Self {
            allocation: Some(update.allocation.into()),
            update: update.update.0,
            agent: update.agent.map(|agent| agent.0),
            started: update.started,
            ended: update.ended.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::QueueUpdate> for QueueUpdate {
    type Error = Malformed;

    fn try_from(wire: v1::QueueUpdate) -> Result<Self, Malformed> {
        Ok(Self {
            allocation: required(wire.allocation, "allocation of an update")?.into(),
            update: UpdateId(wire.update),
            agent: wire.agent.map(AgentId),
            started: wire.started,
            ended: wire.ended.into_iter().map(QueueEnd::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<QueueRun> for v1::QueueRun {
    fn from(run: QueueRun) -> Self {
        Self {
            allocation: Some(run.allocation.into()),
            agent: run.agent.0,
            first: run.first,
            count: run.count,
            state: v1::TaskState::from(run.state).into(),
            reason: run.reason.map_or(v1::Reason::Unspecified, v1::Reason::from).into(),
            message: run.message,
        }
    }
}

impl TryFrom<v1::QueueRun> for QueueRun {
    type Error = Malformed;

    fn try_from(wire: v1::QueueRun) -> Result<Self, Malformed> {
        let is_run = wire.count > 0 && wire.first.checked_add(wire.count).is_some();
        let wanted = "at least one task, and none beyond the numbers that there are";
        if !is_run {
            let got = format!("{} from {} on", wire.count, wire.first);
            return Err(Malformed::Invalid { field: "run of tasks", got, wanted });
        }
        Ok(Self {
            allocation: required(wire.allocation, "allocation of a run")?.into(),
            agent: AgentId(wire.agent),
            first: wire.first,
            count: wire.count,
            state: task_state(wire.state)?,
            reason: reason(wire.reason),
            message: wire.message,
        })
    }
}

impl From<QueueEnd> for v1::QueueEnd {
    fn from(end: QueueEnd) -> Self {
        let QueueEnd { first, count, source, ending } = end;
        Self {
            first,
            count: if count == 1 { 0 } else { u32::try_from(count).unwrap_or(u32::MAX) },
            state: v1::TaskState::from(ending.state).into(),
            reason: ending.reason.map_or(v1::Reason::Unspecified, v1::Reason::from).into(),
            source: v1::Source::from(source).into(),
            message: ending.message,
            exit_code: ending.exit_code,
            exceeded: ending.exceeded.map(|Exceeded { limit, used }| v1::Exceeded { limit, used }),
            usage: (ending.usage != Usage::default()).then(|| ending.usage.into()),
        }
    }
}

impl TryFrom<v1::QueueEnd> for QueueEnd {
    type Error = Malformed;

    fn try_from(wire: v1::QueueEnd) -> Result<Self, Malformed> {
        let state = task_state(wire.state)?;
        if !state.is_terminal() {
            return Err(Malformed::Invalid {
                field: "state of an end",
                got: state.to_string(),
                wanted: "a state that is never left",
            });
        }
        let count = count(wire.first, u64::from(wire.count.max(1)), "count of an end")?;
        Ok(Self {
            first: wire.first,
            count,
            source: source(wire.source)?,
            ending: Ending {
                state,
                reason: reason(wire.reason),
                message: wire.message,
                exit_code: wire.exit_code,
                exceeded: wire.exceeded.map(|v1::Exceeded { limit, used }| Exceeded { limit, used }),
                usage: wire.usage.map(Usage::from).unwrap_or_default(),
            },
        })
    }
}

impl From<HeldQueue> for v1::HeldQueue {
    fn from(queue: HeldQueue) -> Self {
        Self { allocation: Some(queue.allocation.into()), runs: queue.runs.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<v1::HeldQueue> for HeldQueue {
    type Error = Malformed;

    fn try_from(wire: v1::HeldQueue) -> Result<Self, Malformed> {
        Ok(Self {
            allocation: required(wire.allocation, "allocation of a held queue")?.into(),
            runs: wire.runs.into_iter().map(HeldRun::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<HeldRun> for v1::HeldRun {
    fn from(run: HeldRun) -> Self {
        let Shape { name, resources, module } = Arc::unwrap_or_clone(run.shape);
        Self {
            first: run.first,
            count: run.count,
            state: v1::TaskState::from(run.state).into(),
            update: run.update.0,
            name,
            resources: Some(resources.into()),
            module: digest_bytes(module),
        }
    }
}

impl TryFrom<v1::HeldRun> for HeldRun {
    type Error = Malformed;

    fn try_from(wire: v1::HeldRun) -> Result<Self, Malformed> {
        let resources = required(wire.resources, "resources of held tasks")?.try_into()?;
        Ok(Self {
            first: wire.first,
            count: count(wire.first, wire.count, "count of held tasks")?,
            state: task_state(wire.state)?,
            update: UpdateId(wire.update),
            shape: Arc::new(Shape { name: wire.name, resources, module: optional_digest(&wire.module)? }),
        })
    }
}

/// So many tasks from a number on, all of which have a number.
fn count(first: u64, count: u64, field: &'static str) -> Result<u64, Malformed> {
    let is_one = (1..=u64::from(QueuedTasks::MAX)).contains(&count) && first.checked_add(count).is_some();
    let wanted = "from 1 to 65,536, and within the numbers that there are";
    is_one.then_some(count).ok_or_else(|| Malformed::Invalid { field, got: format!("{count} from {first} on"), wanted })
}
