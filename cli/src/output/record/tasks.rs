//! Tasks, what became of them and what happens, in JSON.

use haggle_core::cluster::{Announcement, TaskView};
use haggle_core::{Exceeded, Reason, TaskState, TaskStatus, Usage};
use haggle_sdk::Withheld;
use serde::Serialize;

use super::ResourcesRecord;

#[derive(Serialize)]
pub(crate) struct UsageRecord {
    cpu_seconds: f64,
    wall_seconds: f64,
    fuel: u64,
    peak_mem_bytes: u64,
    peak_disk_bytes: u64,
    output_bytes: u64,
    net_bytes: u64,
}

impl From<Usage> for UsageRecord {
    fn from(usage: Usage) -> Self {
        Self {
            cpu_seconds: usage.cpu.as_secs_f64(),
            wall_seconds: usage.wall.as_secs_f64(),
            fuel: usage.fuel.get(),
            peak_mem_bytes: usage.peak_mem.get(),
            peak_disk_bytes: usage.peak_disk.get(),
            output_bytes: usage.output.get(),
            net_bytes: usage.net.get(),
        }
    }
}

#[derive(Serialize)]
struct ExceededRecord {
    limit: u64,
    used: u64,
}

impl From<Exceeded> for ExceededRecord {
    fn from(exceeded: Exceeded) -> Self {
        Self { limit: exceeded.limit, used: exceeded.used }
    }
}

/// What a status says, as part of the records below.
#[derive(Serialize)]
pub(crate) struct StatusRecord {
    state: &'static str,
    reason: Option<&'static str>,
    message: String,
    exit_code: Option<i32>,
    /// In bytes, fuel or milliseconds, as the reason says.
    exceeded: Option<ExceededRecord>,
    usage: Option<UsageRecord>,
}

impl StatusRecord {
    /// Of a task that nobody ever saw.
    pub(crate) fn bare(state: TaskState, reason: Option<Reason>) -> Self {
        Self {
            state: state.name(),
            reason: reason.map(Reason::name),
            message: String::new(),
            exit_code: None,
            exceeded: None,
            usage: None,
        }
    }
}

impl From<&TaskStatus> for StatusRecord {
    fn from(status: &TaskStatus) -> Self {
        Self {
            state: status.state.name(),
            reason: status.reason.map(Reason::name),
            message: status.message.clone(),
            exit_code: status.exit_code,
            exceeded: status.exceeded.map(Into::into),
            usage: status.usage.map(Into::into),
        }
    }
}

/// A task of `haggle run`.
#[derive(Serialize)]
pub(crate) struct RunRecord<'a> {
    pub(crate) id: Option<String>,
    pub(crate) name: &'a str,
    pub(crate) index: u64,
    #[serde(flatten)]
    pub(crate) status: StatusRecord,
    pub(crate) agent: Option<String>,
    pub(crate) agent_name: Option<&'a str>,
    pub(crate) attempts: u32,
}

/// A task of `haggle ps`.
#[derive(Serialize)]
pub(crate) struct TaskRecord {
    id: String,
    kind: &'static str,
    name: String,
    role: String,
    agent: String,
    resources: ResourcesRecord,
    /// The id of the first task of its group; `null`: it is in none.
    group: Option<String>,
    #[serde(flatten)]
    status: StatusRecord,
}

impl From<&TaskView> for TaskRecord {
    fn from(task: &TaskView) -> Self {
        Self {
            id: task.id.to_string(),
            kind: kind(task),
            name: task.name.clone(),
            role: task.role.clone(),
            agent: task.agent.to_string(),
            resources: (&task.resources).into(),
            group: task.group.map(|group| group.id(task.id.framework).to_string()),
            status: (&task.status).into(),
        }
    }
}

/// Whether it is a task that somebody wrote, or the allocation that holds room for such tasks.
pub(crate) fn kind(task: &TaskView) -> &'static str {
    if task.is_allocation { "allocation" } else { "task" }
}

/// An event of `haggle watch`. One of `agent`, `framework` and `task` is there.
#[derive(Serialize)]
pub(crate) struct EventRecord {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    status: Option<StatusRecord>,
}

impl EventRecord {
    /// What happened, and when, as RFC 3339 has it.
    pub(crate) fn new(time: String, announcement: &Announcement) -> Self {
        let bare = |event| Self { time, event, task: None, framework: None, agent: None, status: None };
        match announcement {
            Announcement::AgentUp(id) => Self { agent: Some(id.to_string()), ..bare("agent_up") },
            Announcement::AgentDown(id) => Self { agent: Some(id.to_string()), ..bare("agent_down") },
            Announcement::AgentRemoved(id) => Self { agent: Some(id.to_string()), ..bare("agent_removed") },
            Announcement::AgentWithdrawn(id, withheld) => Self {
                agent: Some(id.to_string()),
                ..bare(match withheld {
                    Withheld::Deactivated => "agent_deactivated",
                    Withheld::Draining => "agent_draining",
                    Withheld::Drained => "agent_drained",
                    Withheld::Leaving => "agent_leaving",
                })
            },
            Announcement::AgentReactivated(id) => Self { agent: Some(id.to_string()), ..bare("agent_reactivated") },
            Announcement::FrameworkUp(id) => Self { framework: Some(id.to_string()), ..bare("framework_up") },
            Announcement::FrameworkUpdated(id) => Self { framework: Some(id.to_string()), ..bare("framework_updated") },
            Announcement::FrameworkDown(id) => Self { framework: Some(id.to_string()), ..bare("framework_down") },
            Announcement::FrameworkRemoved(id) => Self { framework: Some(id.to_string()), ..bare("framework_removed") },
            Announcement::Task(status) => Self {
                task: Some(status.task.to_string()),
                agent: status.agent.map(|agent| agent.to_string()),
                status: Some(status.into()),
                ..bare("task")
            },
        }
    }
}
