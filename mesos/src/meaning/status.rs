//! What is said of a task, as Mesos says it.

use haggle_core::{Bytes, Exceeded, MilliCpu, Reason, Resources, Source, TaskId, TaskState, TaskStatus, UpdateId};

use super::{Copes, Dialect, resources};
use crate::ids::{Ids, task_number};
use crate::wire::common::{Label, Labels};
use crate::wire::status as wire;

/// The name of a task by its label here, which is what a framework that came by this API called it. Others have the name that they have here.
pub fn label_of(id: TaskId, label: Option<&str>) -> String {
    match label {
        Some(label) if task_number(label) == id.number => label.to_owned(),
        _ => id.to_string(),
    }
}

/// A status for the framework itself, with what it needs to take note of it.
pub(super) fn told(dialect: &Dialect, status: &TaskStatus, name: String, seconds: f64) -> wire::TaskStatus {
    let uuid = (status.update != UpdateId::UNACKNOWLEDGED).then(|| uuid(status.task, status.update));
    wire::TaskStatus { uuid, ..seen(dialect.ids, dialect.copes, status, name, seconds) }
}

/// A status for whoever looks.
pub(super) fn seen(ids: Ids, copes: Copes, status: &TaskStatus, name: String, seconds: f64) -> wire::TaskStatus {
    let reason = status.reason.and_then(reason_of);
    wire::TaskStatus {
        state: state(status.state, copes).into(),
        message: message(status),
        source: Some(source(status.source).into()),
        reason: reason.map(Into::into),
        agent_id: status.agent.map(|agent| ids.agent(agent).into()),
        // One executor for each task is what a task without one of its own has in Mesos.
        executor_id: Some(name.clone().into()),
        timestamp: Some(seconds),
        labels: labels(status),
        limitation: limitation(status),
        task_id: name.into(),
        ..wire::TaskStatus::default()
    }
}

pub(super) fn uuid(task: TaskId, update: UpdateId) -> Vec<u8> {
    [update.0.to_be_bytes(), task.number.to_be_bytes()].concat()
}

/// Which update of that task is meant; `None` when it is one of another task, or none of ours.
pub(super) fn update_of(task: TaskId, uuid: &[u8]) -> Option<UpdateId> {
    let (update, number) = uuid.split_first_chunk()?;
    (*number == task.number.to_be_bytes()).then(|| UpdateId(u64::from_be_bytes(*update)))
}

pub(super) fn state(state: TaskState, copes: Copes) -> wire::TaskState {
    use wire::TaskState as Said;
    match state {
        TaskState::Staging => Said::Staging,
        TaskState::Starting => Said::Starting,
        TaskState::Running => Said::Running,
        TaskState::Killing if copes.killing => Said::Killing,
        TaskState::Killing => Said::Running,
        TaskState::Finished => Said::Finished,
        TaskState::Failed => Said::Failed,
        TaskState::Killed => Said::Killed,
        TaskState::Lost => Said::Lost,
        TaskState::Error => Said::Error,
        _ if !copes.partition_aware => Said::Lost,
        TaskState::Dropped => Said::Dropped,
        TaskState::Unreachable => Said::Unreachable,
        TaskState::Gone => Said::Gone,
        TaskState::GoneByOperator => Said::GoneByOperator,
        TaskState::Unknown => Said::Unknown,
    }
}

fn source(source: Source) -> wire::Source {
    match source {
        Source::Master => wire::Source::Master,
        Source::Agent => wire::Source::Agent,
        Source::Executor => wire::Source::Executor,
    }
}

/// The number, among those of the master, in which Mesos counts tasks that ended like this; `None`: it counts them by their state alone.
/// In these names agents are slaves.
pub fn counted_as(ended: TaskState, source: Source, reason: Reason) -> Option<String> {
    let all = Copes { partition_aware: true, killing: true };
    let words = [state(ended, all).word(), self::source(source).word(), reason_of(reason)?.word()];
    Some(format!("master/{}", words.join("/").to_ascii_lowercase().replace("_agent", "_slave")))
}

fn reason_of(reason: Reason) -> Option<wire::Reason> {
    use wire::Reason as Said;
    Some(match reason {
        Reason::Exit | Reason::Trap => Said::CommandExecutorFailed,
        Reason::MemoryLimit => Said::ContainerLimitationMemory,
        Reason::DiskLimit => Said::ContainerLimitationDisk,
        Reason::FuelExhausted | Reason::OutputLimit => Said::ContainerLimitation,
        Reason::TimeLimit => Said::MaxCompletionTimeReached,
        Reason::ModuleInvalid | Reason::ArtifactUnavailable => Said::ContainerLaunchFailed,
        Reason::TaskInvalid => Said::TaskInvalid,
        Reason::InvalidOffers => Said::InvalidOffers,
        Reason::KilledDuringLaunch => Said::TaskKilledDuringLaunch,
        // In Mesos a task that was killed as it was asked to has no reason.
        Reason::KillRequested => return None,
        Reason::FrameworkRemoved => Said::FrameworkRemoved,
        Reason::AgentDisconnected => Said::AgentDisconnected,
        Reason::AgentRemoved => Said::AgentRemoved,
        Reason::AgentReregistered => Said::AgentReregistered,
        Reason::AgentRestarted => Said::AgentRestarted,
        Reason::AgentDraining => Said::AgentDraining,
        Reason::Preempted => Said::ContainerPreempted,
        Reason::Reconciliation => Said::Reconciliation,
        Reason::FrameworkLimit => Said::ResourcesUnknown,
        Reason::ExecutorTerminated => Said::ExecutorTerminated,
        Reason::TaskGroup => Said::TaskGroupInvalid,
    })
}

/// Our own word for the reason, the message, and both numbers of a limit.
fn message(status: &TaskStatus) -> Option<String> {
    let mut message = match status.reason {
        Some(reason) if status.message.is_empty() => reason.name().to_owned(),
        Some(reason) => format!("{}: {}", reason.name(), status.message),
        None => status.message.clone(),
    };
    if let Some(Exceeded { limit, used }) = status.exceeded {
        message.push_str(&format!(" (limit {limit}, used {used})"));
    }
    (!message.is_empty()).then_some(message)
}

/// What Mesos has no field for.
fn labels(status: &TaskStatus) -> Option<Labels> {
    let label = |key: &str, value: String| Label { key: format!("haggle.{key}"), value: Some(value) };
    let mut labels: Vec<_> = status.exit_code.map(|code| label("exit-code", code.to_string())).into_iter().collect();
    if let Some(usage) = &status.usage {
        labels.push(label("cpu-seconds", usage.cpu.as_secs_f64().to_string()));
        labels.push(label("wall-seconds", usage.wall.as_secs_f64().to_string()));
        labels.push(label("fuel", usage.fuel.get().to_string()));
        labels.push(label("peak-mem-bytes", usage.peak_mem.get().to_string()));
        labels.push(label("output-bytes", usage.output.get().to_string()));
    }
    (!labels.is_empty()).then_some(Labels { labels })
}

fn limitation(status: &TaskStatus) -> Option<wire::TaskResourceLimitation> {
    let limit = Bytes::new(status.exceeded?.limit);
    let resources = match status.reason? {
        Reason::MemoryLimit => Resources::new(MilliCpu::ZERO, limit, Bytes::ZERO),
        Reason::DiskLimit => Resources::new(MilliCpu::ZERO, Bytes::ZERO, limit),
        _ => return None,
    };
    Some(wire::TaskResourceLimitation { resources: resources::write(&resources, &[], None) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_ended_are_counted_by_names_in_which_agents_are_slaves() {
        let counted = [
            counted_as(TaskState::Gone, Source::Master, Reason::AgentRemoved),
            counted_as(TaskState::Dropped, Source::Agent, Reason::AgentDisconnected),
            counted_as(TaskState::Failed, Source::Executor, Reason::Trap),
            counted_as(TaskState::Killed, Source::Executor, Reason::KillRequested),
        ];

        let expected = [
            Some("master/task_gone/source_master/reason_slave_removed"),
            Some("master/task_dropped/source_slave/reason_slave_disconnected"),
            Some("master/task_failed/source_executor/reason_command_executor_failed"),
            None,
        ];
        assert_eq!(counted.each_ref().map(Option::as_deref), expected);
    }
}
