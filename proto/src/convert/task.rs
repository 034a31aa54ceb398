//! Task ids and specs.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::{
    AgentId, Bytes, FrameworkId, Fuel, Grants, Group, Input, Limits, OutputOverrun, Placed, PlacedOperation, Sharing,
    SpanId, TaskId, TaskSpec, TaskTrace, TraceContext, TraceId,
};

use super::{Malformed, digest, required};
use crate::v1;

impl From<TaskId> for v1::TaskId {
    fn from(id: TaskId) -> Self {
        Self { framework: id.framework.0, number: id.number }
    }
}

impl From<v1::TaskId> for TaskId {
    fn from(wire: v1::TaskId) -> Self {
        Self { framework: FrameworkId(wire.framework), number: wire.number }
    }
}

impl From<Group> for v1::Group {
    fn from(group: Group) -> Self {
        Self { first: group.first, size: group.size }
    }
}

impl From<v1::Group> for Group {
    fn from(wire: v1::Group) -> Self {
        Self { first: wire.first, size: wire.size }
    }
}

impl From<Placed> for v1::PlacedTask {
    fn from(placed: Placed) -> Self {
        Self { agent: placed.agent.0, task: Some(Arc::unwrap_or_clone(placed.task).into()) }
    }
}

impl TryFrom<v1::PlacedTask> for Placed {
    type Error = Malformed;

    fn try_from(wire: v1::PlacedTask) -> Result<Self, Malformed> {
        let task = required(wire.task, "task of a group")?.try_into()?;
        Ok(Self { agent: AgentId(wire.agent), task: Arc::new(task) })
    }
}

impl From<PlacedOperation> for v1::PlacedOperation {
    fn from(placed: PlacedOperation) -> Self {
        Self { agent: placed.agent.0, operation: Some(placed.operation.into()) }
    }
}

impl TryFrom<v1::PlacedOperation> for PlacedOperation {
    type Error = Malformed;

    fn try_from(wire: v1::PlacedOperation) -> Result<Self, Malformed> {
        let operation = required(wire.operation, "operation with a group")?.try_into()?;
        Ok(Self { agent: AgentId(wire.agent), operation })
    }
}

impl From<TaskSpec> for v1::TaskSpec {
    fn from(spec: TaskSpec) -> Self {
        let input = |input: Input| v1::Input { guest_path: input.guest_path, content: input.content.0.to_vec() };
        Self {
            id: Some(spec.id.into()),
            name: spec.name,
            role: spec.role,
            module: spec.module.0.to_vec(),
            args: spec.args,
            env: spec.env.into_iter().map(|(name, value)| v1::EnvVar { name, value }).collect(),
            stdin: spec.stdin,
            resources: Some(spec.resources.into()),
            limits: Some(spec.limits.into()),
            inputs: spec.inputs.into_iter().map(input).collect(),
            sharing: (spec.sharing != Sharing::default()).then(|| spec.sharing.into()),
            grants: (!spec.grants.is_empty()).then(|| spec.grants.into()),
            group: spec.group.map(Into::into),
            waited_us: spec.waited.map(micros),
            trace: spec.trace.map(|trace| (*trace).into()),
        }
    }
}

impl TryFrom<v1::TaskSpec> for TaskSpec {
    type Error = Malformed;

    fn try_from(wire: v1::TaskSpec) -> Result<Self, Malformed> {
        let input = |input: v1::Input| Ok(Input { guest_path: input.guest_path, content: digest(&input.content)? });
        Ok(Self {
            id: required(wire.id, "id of a task")?.into(),
            name: wire.name,
            role: wire.role,
            module: digest(&wire.module)?,
            args: wire.args,
            env: wire.env.into_iter().map(|var| (var.name, var.value)).collect(),
            stdin: wire.stdin,
            resources: required(wire.resources, "resources of a task")?.try_into()?,
            limits: wire.limits.map(Limits::from).unwrap_or_default(),
            inputs: wire.inputs.into_iter().map(input).collect::<Result<_, Malformed>>()?,
            sharing: wire.sharing.map(Sharing::from).unwrap_or_default(),
            grants: wire.grants.map(Grants::try_from).transpose()?.unwrap_or_default(),
            group: wire.group.map(Into::into),
            waited: wire.waited_us.map(Duration::from_micros),
            trace: wire.trace.map(TaskTrace::try_from).transpose()?.map(TaskTrace::boxed),
        })
    }
}

impl From<TaskTrace> for v1::TaskTrace {
    fn from(trace: TaskTrace) -> Self {
        let TaskTrace { context, parent, began_ns, sent_ns } = trace;
        Self {
            trace_id: context.trace.get().to_be_bytes().to_vec(),
            span_id: context.span.get(),
            parent_span_id: parent.map_or(0, SpanId::get),
            sampled: context.is_sampled,
            began_ns,
            sent_ns,
        }
    }
}

impl TryFrom<v1::TaskTrace> for TaskTrace {
    type Error = Malformed;

    fn try_from(wire: v1::TaskTrace) -> Result<Self, Malformed> {
        let id = <[u8; 16]>::try_from(&*wire.trace_id).ok().map(u128::from_be_bytes);
        let trace = required(id.and_then(TraceId::new), "trace id of a task, 16 bytes that are not all 0,")?;
        let span = required(SpanId::new(wire.span_id), "span id of a task")?;
        let context = TraceContext { trace, span, is_sampled: wire.sampled };
        let parent = SpanId::new(wire.parent_span_id);
        Ok(Self { context, parent, began_ns: wire.began_ns, sent_ns: wire.sent_ns })
    }
}

impl From<Limits> for v1::Limits {
    fn from(limits: Limits) -> Self {
        Self {
            fuel: limits.fuel.map(Fuel::get),
            time_ms: limits.time.map(millis),
            output_bytes: Some(limits.output.get()),
            output_overrun: match limits.output_overrun {
                OutputOverrun::End => v1::OutputOverrun::Unspecified,
                OutputOverrun::Truncate => v1::OutputOverrun::Truncate,
            }
            .into(),
        }
    }
}

impl From<v1::Limits> for Limits {
    fn from(wire: v1::Limits) -> Self {
        Self {
            fuel: wire.fuel.map(Fuel::new),
            time: wire.time_ms.map(Duration::from_millis),
            output_overrun: match wire.output_overrun() {
                v1::OutputOverrun::Unspecified => OutputOverrun::End,
                v1::OutputOverrun::Truncate => OutputOverrun::Truncate,
            },
            output: wire.output_bytes.map_or(Self::DEFAULT_OUTPUT, Bytes::new),
        }
    }
}

/// Whole milliseconds, saturating; a time under one millisecond becomes one, so that it stays a limit.
pub(super) fn millis(time: Duration) -> u64 {
    if time.is_zero() { 0 } else { u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1) }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
