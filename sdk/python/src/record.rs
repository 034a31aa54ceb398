//! What the SDK tells, as dictionaries. Times are seconds, memory is bytes, processor time is cores.

use std::collections::BTreeMap;

use haggle_sdk::{AgentView, FrameworkView, Offer, OfferView, Resources, TaskStatus, TaskView, Usage};
use pyo3::IntoPyObject;

#[derive(IntoPyObject)]
pub(crate) struct ResourcesRecord {
    cpus: f64,
    mem: u64,
    disk: u64,
    revocable: f64,
    scalars: BTreeMap<String, f64>,
}

impl From<&Resources> for ResourcesRecord {
    fn from(resources: &Resources) -> Self {
        Self {
            cpus: resources.cpus.as_cores(),
            mem: resources.mem.get(),
            disk: resources.disk.get(),
            revocable: resources.revocable.as_cores(),
            scalars: resources.scalars().map(|(name, amount)| (name.to_owned(), amount as f64 / 1000.0)).collect(),
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct UsageRecord {
    cpu_seconds: f64,
    wall_seconds: f64,
    fuel: u64,
    peak_mem: u64,
    peak_disk: u64,
    output: u64,
    net: u64,
}

impl From<&Usage> for UsageRecord {
    fn from(usage: &Usage) -> Self {
        Self {
            cpu_seconds: usage.cpu.as_secs_f64(),
            wall_seconds: usage.wall.as_secs_f64(),
            fuel: usage.fuel.get(),
            peak_mem: usage.peak_mem.get(),
            peak_disk: usage.peak_disk.get(),
            output: usage.output.get(),
            net: usage.net.get(),
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct StatusRecord {
    task: String,
    /// Which of the task's updates; what an acknowledgement names.
    update: u64,
    state: &'static str,
    reason: Option<&'static str>,
    message: String,
    agent: Option<String>,
    exit_code: Option<i32>,
    /// What was granted, and what was used or asked for.
    exceeded: Option<(u64, u64)>,
    usage: Option<UsageRecord>,
    is_terminal: bool,
}

impl From<&TaskStatus> for StatusRecord {
    fn from(status: &TaskStatus) -> Self {
        Self {
            task: status.task.to_string(),
            update: status.update.0,
            state: status.state.name(),
            reason: status.reason.map(haggle_sdk::Reason::name),
            message: status.message.clone(),
            agent: status.agent.map(|agent| agent.to_string()),
            exit_code: status.exit_code,
            exceeded: status.exceeded.map(|exceeded| (exceeded.limit, exceeded.used)),
            usage: status.usage.as_ref().map(Into::into),
            is_terminal: status.state.is_terminal(),
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct OfferRecord {
    id: String,
    agent: String,
    agent_name: String,
    attributes: BTreeMap<String, String>,
    role: String,
    resources: ResourcesRecord,
}

impl From<&Offer> for OfferRecord {
    fn from(offer: &Offer) -> Self {
        Self {
            id: offer.id.to_string(),
            agent: offer.agent.to_string(),
            agent_name: offer.agent_name.clone(),
            attributes: offer.attributes.clone(),
            role: offer.role.clone(),
            resources: (&offer.resources).into(),
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct OpenOfferRecord {
    id: String,
    framework: String,
    agent: String,
    role: String,
    resources: ResourcesRecord,
    age_seconds: f64,
}

impl From<&OfferView> for OpenOfferRecord {
    fn from(offer: &OfferView) -> Self {
        Self {
            id: offer.id.to_string(),
            framework: offer.framework.to_string(),
            agent: offer.agent.to_string(),
            role: offer.role.clone(),
            resources: (&offer.resources).into(),
            age_seconds: offer.age.as_secs_f64(),
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct AgentRecord {
    id: String,
    name: String,
    attributes: BTreeMap<String, String>,
    connected: bool,
    draining: bool,
    resources: ResourcesRecord,
    used: ResourcesRecord,
    offered: ResourcesRecord,
    tasks: usize,
}

impl From<&AgentView> for AgentRecord {
    fn from(agent: &AgentView) -> Self {
        Self {
            id: agent.id.to_string(),
            name: agent.info.name.clone(),
            attributes: agent.info.attributes.clone(),
            connected: agent.connected,
            draining: agent.draining,
            resources: (&agent.info.resources).into(),
            used: (&agent.used).into(),
            offered: (&agent.offered).into(),
            tasks: agent.tasks,
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct FrameworkRecord {
    id: String,
    name: String,
    roles: Vec<String>,
    connected: bool,
    suppressed: bool,
    used: ResourcesRecord,
    offered: ResourcesRecord,
    tasks: usize,
}

impl From<&FrameworkView> for FrameworkRecord {
    fn from(framework: &FrameworkView) -> Self {
        Self {
            id: framework.id.to_string(),
            name: framework.info.name.clone(),
            roles: framework.info.roles.clone(),
            connected: framework.connected,
            suppressed: framework.suppressed,
            used: (&framework.used).into(),
            offered: (&framework.offered).into(),
            tasks: framework.tasks,
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct TaskRecord {
    id: String,
    name: String,
    role: String,
    agent: String,
    resources: ResourcesRecord,
    status: StatusRecord,
}

impl From<&TaskView> for TaskRecord {
    fn from(task: &TaskView) -> Self {
        Self {
            id: task.id.to_string(),
            name: task.name.clone(),
            role: task.role.clone(),
            agent: task.agent.to_string(),
            resources: (&task.resources).into(),
            status: (&task.status).into(),
        }
    }
}
