//! What is said of a task.

use std::time::Duration;

use haggle_core::{
    AgentId, Bytes, Exceeded, Fuel, HeldLife, Lapse, Prepared, Reason, Source, TaskState, TaskStatus, UpdateId, Usage,
};

use super::{Malformed, required};
use crate::v1;

/// Two enums with the same variants, one on each side. The wire's zero means "not said", and so does a number
/// that only a later version knows.
macro_rules! same_variants {
    (fn $read:ident -> $core:ident: $($variant:ident)*) => {
        impl From<$core> for v1::$core {
            fn from(value: $core) -> Self {
                match value { $($core::$variant => Self::$variant,)* }
            }
        }

        fn $read(wire: i32) -> Option<$core> {
            match v1::$core::try_from(wire) {
                $(Ok(v1::$core::$variant) => Some($core::$variant),)*
                Ok(v1::$core::Unspecified) | Err(_) => None,
            }
        }
    };
}

same_variants! { fn read_state -> TaskState:
    Staging Starting Running Killing Finished Failed Killed Lost Error Dropped Unreachable Gone GoneByOperator Unknown
}

same_variants! { fn read_source -> Source: Master Agent Executor }

same_variants! { fn read_reason -> Reason:
    Exit Trap MemoryLimit FuelExhausted TimeLimit DiskLimit OutputLimit ModuleInvalid ArtifactUnavailable TaskInvalid
    InvalidOffers KilledDuringLaunch KillRequested FrameworkRemoved AgentDisconnected AgentRemoved AgentReregistered
    AgentRestarted AgentDraining Reconciliation ExecutorTerminated FrameworkLimit TaskGroup
    Preempted
}

pub(super) fn task_state(wire: i32) -> Result<TaskState, Malformed> {
    read_state(wire).ok_or_else(|| Malformed::Invalid {
        field: "state of a task",
        got: wire.to_string(),
        wanted: "a state of haggle.v1",
    })
}

pub(super) fn reason(wire: i32) -> Option<Reason> {
    read_reason(wire)
}

pub(super) fn source(wire: i32) -> Result<Source, Malformed> {
    read_source(wire).ok_or(Malformed::Missing("source of a status"))
}

impl From<TaskStatus> for v1::TaskStatus {
    fn from(status: TaskStatus) -> Self {
        Self {
            task: Some(status.task.into()),
            update: status.update.0,
            state: v1::TaskState::from(status.state).into(),
            reason: status.reason.map_or(v1::Reason::Unspecified, v1::Reason::from).into(),
            source: v1::Source::from(status.source).into(),
            message: status.message,
            agent: status.agent.map(|agent| agent.0),
            exit_code: status.exit_code,
            exceeded: status.exceeded.map(|Exceeded { limit, used }| v1::Exceeded { limit, used }),
            usage: status.usage.map(v1::Usage::from),
            prepared: prepared(status.prepared),
        }
    }
}

impl TryFrom<v1::TaskStatus> for TaskStatus {
    type Error = Malformed;

    fn try_from(wire: v1::TaskStatus) -> Result<Self, Malformed> {
        Ok(Self {
            task: required(wire.task, "task of a status")?.into(),
            update: UpdateId(wire.update),
            state: task_state(wire.state)?,
            reason: reason(wire.reason),
            source: source(wire.source)?,
            message: wire.message,
            agent: wire.agent.map(AgentId),
            exit_code: wire.exit_code,
            exceeded: wire.exceeded.map(|v1::Exceeded { limit, used }| Exceeded { limit, used }),
            usage: wire.usage.map(Usage::from),
            prepared: wire.prepared.map(Prepared::from).unwrap_or_default(),
        })
    }
}

fn micros(lapse: Lapse) -> u64 {
    u64::try_from(lapse.get().as_micros()).unwrap_or(u64::MAX)
}

fn lapse(micros: u64) -> Lapse {
    Duration::from_micros(micros).into()
}

/// Nothing is said of a task for which nothing was done.
fn prepared(told: Prepared) -> Option<v1::Prepared> {
    let Prepared { fetched, compiled } = told;
    let wire = v1::Prepared { fetched_us: fetched.map(micros), compiled_us: compiled.map(micros) };
    (told != Prepared::default()).then_some(wire)
}

impl From<v1::Prepared> for Prepared {
    fn from(wire: v1::Prepared) -> Self {
        Self { fetched: wire.fetched_us.map(lapse), compiled: wire.compiled_us.map(lapse) }
    }
}

impl From<HeldLife> for v1::HeldLife {
    fn from(life: HeldLife) -> Self {
        let HeldLife { age, prepared: told, started } = life;
        Self { age_us: micros(age), prepared: prepared(told), started_us: started.map(micros) }
    }
}

impl From<v1::HeldLife> for HeldLife {
    fn from(wire: v1::HeldLife) -> Self {
        let prepared = wire.prepared.map(Prepared::from).unwrap_or_default();
        Self { age: lapse(wire.age_us), prepared, started: wire.started_us.map(lapse) }
    }
}

impl From<Usage> for v1::Usage {
    fn from(usage: Usage) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            cpu_ns: nanos(usage.cpu),
            wall_ns: nanos(usage.wall),
            fuel: usage.fuel.get(),
            peak_mem_bytes: usage.peak_mem.get(),
            peak_disk_bytes: usage.peak_disk.get(),
            output_bytes: usage.output.get(),
            net_bytes: usage.net.get(),
            throttled_ns: nanos(usage.throttled),
        }
    }
}

impl From<v1::Usage> for Usage {
    fn from(wire: v1::Usage) -> Self {
        Self {
            cpu: Duration::from_nanos(wire.cpu_ns),
            wall: Duration::from_nanos(wire.wall_ns),
            fuel: Fuel::new(wire.fuel),
            peak_mem: Bytes::new(wire.peak_mem_bytes),
            peak_disk: Bytes::new(wire.peak_disk_bytes),
            output: Bytes::new(wire.output_bytes),
            net: Bytes::new(wire.net_bytes),
            throttled: Duration::from_nanos(wire.throttled_ns),
        }
    }
}
