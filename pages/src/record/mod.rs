//! What is said of each thing in JSON, by pages and on the command line; tables show the same.

mod upkeep;
mod why;

use std::collections::BTreeMap;

use haggle_core::allocator::Withheld;
use haggle_core::cluster::{
    AgentView, Announcement, FrameworkView, OfferView, ReservationView, RoleView, TaskView, VolumeView,
};
use haggle_core::{
    Bytes, Ceiling, Exceeded, MilliCpu, Quota, Reason, Reserved, Resources, TaskState, TaskStatus, Usage,
};
use serde::Serialize;

use crate::text;

pub use upkeep::{MaintenanceRecord, UnavailabilityRecord, WithdrawalRecord};
pub use why::{JobRecord, JobWhyRecord, TaskWhyRecord, WhyRecord};

/// Amounts.
#[derive(Serialize)]
pub struct ResourcesRecord {
    cpus: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocable_cpus: Option<f64>,
    mem_bytes: u64,
    disk_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<(u16, u16)>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    scalars: BTreeMap<String, f64>,
}

impl From<&Resources> for ResourcesRecord {
    fn from(resources: &Resources) -> Self {
        Self {
            cpus: resources.cpus.as_cores(),
            revocable_cpus: (!resources.revocable.is_zero()).then(|| resources.revocable.as_cores()),
            mem_bytes: resources.mem.get(),
            disk_bytes: resources.disk.get(),
            ports: resources.ports.ranges().iter().map(|range| (range.first, range.last)).collect(),
            scalars: resources.scalars().map(|(name, amount)| (name.to_string(), amount as f64 / 1000.0)).collect(),
        }
    }
}

/// An agent.
#[derive(Serialize)]
pub struct AgentRecord<'a> {
    id: String,
    name: &'a str,
    connected: bool,
    draining: bool,
    /// `null`: nobody keeps it from taking tasks.
    withdrawn: Option<WithdrawalRecord>,
    /// When it will not be there, or is not now.
    unavailable: Option<UnavailabilityRecord>,
    resources: ResourcesRecord,
    used: ResourcesRecord,
    offered: ResourcesRecord,
    /// What of it is reserved.
    reserved: Vec<ReservedPartRecord>,
    /// How many volumes it holds, or is to hold, and their room, which is neither used nor offered.
    volumes: usize,
    volume_bytes: u64,
    tasks: usize,
    attributes: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a AgentView> for AgentRecord<'a> {
    fn from(agent: &'a AgentView) -> Self {
        Self {
            id: agent.id.to_string(),
            name: &agent.info.name,
            connected: agent.connected,
            draining: agent.draining,
            withdrawn: agent.withdrawal.as_ref().map(Into::into),
            unavailable: agent.unavailability.map(Into::into),
            resources: (&agent.info.resources.clone().with_revocable(agent.revocable)).into(),
            used: (&agent.used).into(),
            offered: (&agent.offered).into(),
            reserved: agent.reserved.iter().map(Into::into).collect(),
            volumes: agent.volumes,
            volume_bytes: agent.kept.get(),
            tasks: agent.tasks,
            attributes: &agent.info.attributes,
        }
    }
}

/// Something that is reserved.
#[derive(Serialize)]
pub struct ReservedRecord {
    /// For whom.
    role: String,
    /// From whose it was refined, from the outermost on.
    within: Vec<String>,
    /// Whether the outermost is of the agent's own flags.
    fixed: bool,
    resources: ResourcesRecord,
}

impl From<&Reserved> for ReservedRecord {
    fn from(Reserved { reservation, resources }: &Reserved) -> Self {
        let roles = reservation.roles();
        Self {
            role: reservation.role().to_owned(),
            within: roles[..roles.len() - 1].to_vec(),
            fixed: reservation.is_fixed(),
            resources: resources.into(),
        }
    }
}

/// A part of an agent that is reserved.
#[derive(Serialize)]
pub struct ReservedPartRecord {
    #[serde(flatten)]
    reserved: ReservedRecord,
    used: ResourcesRecord,
    offered: ResourcesRecord,
    /// The room of volumes.
    volumes: ResourcesRecord,
}

impl From<&ReservationView> for ReservedPartRecord {
    fn from(part: &ReservationView) -> Self {
        Self {
            reserved: (&part.reserved).into(),
            used: (&part.used).into(),
            offered: (&part.offered).into(),
            volumes: (&part.kept).into(),
        }
    }
}

/// A framework.
#[derive(Serialize)]
pub struct FrameworkRecord {
    id: String,
    name: String,
    roles: Vec<String>,
    connected: bool,
    suppressed: bool,
    used: ResourcesRecord,
    offered: ResourcesRecord,
    tasks: usize,
    failover_timeout_seconds: f64,
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
            failover_timeout_seconds: framework.info.failover_timeout.as_secs_f64(),
        }
    }
}

/// A role.
#[derive(Serialize)]
pub struct RoleRecord {
    pub name: String,
    pub weight: u32,
    pub frameworks: u64,
    pub waiting: u64,
    pub used: ResourcesRecord,
    pub offered: ResourcesRecord,
    pub reserved: ResourcesRecord,
    /// The dominant share, from 0 to 1, not divided by the weight.
    pub share: f64,
    /// What it would be if every role beside it took all that it may.
    pub fair_share: f64,
    /// `null`: none.
    pub quota: Option<QuotaRecord>,
    /// How agents are chosen for its offers.
    pub placement: &'static str,
    /// The least that makes an offer to it; `null`: that of the cluster.
    pub min_allocatable: Option<ResourcesRecord>,
}

impl From<&RoleView> for RoleRecord {
    fn from(role: &RoleView) -> Self {
        Self {
            name: role.name.clone(),
            weight: role.weight,
            frameworks: role.frameworks as u64,
            waiting: role.waiting as u64,
            used: (&role.used).into(),
            offered: (&role.offered).into(),
            reserved: (&role.reserved).into(),
            share: role.share.as_f64(),
            fair_share: role.fair_share.as_f64(),
            quota: role.quota.as_ref().map(Into::into),
            placement: role.placement.name(),
            min_allocatable: role.min_allocatable.as_ref().map(Into::into),
        }
    }
}

/// What a role is promised, and may have at most.
#[derive(Serialize)]
pub struct QuotaRecord {
    guarantee: ResourcesRecord,
    limit: CeilingRecord,
}

impl From<&Quota> for QuotaRecord {
    fn from(quota: &Quota) -> Self {
        Self { guarantee: (&quota.guarantee).into(), limit: (&quota.limit).into() }
    }
}

/// The most of each resource. What is not there has no bound.
#[derive(Serialize)]
pub struct CeilingRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    scalars: BTreeMap<String, f64>,
}

impl From<&Ceiling> for CeilingRecord {
    fn from(ceiling: &Ceiling) -> Self {
        Self {
            cpus: ceiling.cpus.map(MilliCpu::as_cores),
            mem_bytes: ceiling.mem.map(Bytes::get),
            disk_bytes: ceiling.disk.map(Bytes::get),
            scalars: ceiling.scalars.iter().map(|(name, &amount)| (name.clone(), amount as f64 / 1000.0)).collect(),
        }
    }
}

/// An open offer.
#[derive(Serialize)]
pub struct OfferRecord {
    id: String,
    framework: String,
    role: String,
    agent: String,
    resources: ResourcesRecord,
    /// What of that is reserved.
    reserved: Vec<ReservedRecord>,
    /// Their ids.
    volumes: Vec<String>,
    age_seconds: f64,
}

impl From<&OfferView> for OfferRecord {
    fn from(offer: &OfferView) -> Self {
        Self {
            id: offer.id.to_string(),
            framework: offer.framework.to_string(),
            role: offer.role.clone(),
            agent: offer.agent.to_string(),
            resources: (&offer.resources).into(),
            reserved: offer.reserved.iter().map(Into::into).collect(),
            volumes: offer.volumes.iter().map(|volume| volume.id.to_string()).collect(),
            age_seconds: offer.age.as_secs_f64(),
        }
    }
}

/// A volume of `haggle volume ls`.
#[derive(Serialize)]
pub struct VolumeRecord {
    id: String,
    agent: String,
    state: &'static str,
    /// `null` here and below: nothing is known of it.
    name: Option<String>,
    role: Option<String>,
    size_bytes: Option<u64>,
    shared: Option<bool>,
    creator: Option<String>,
    /// A task that uses it, the first of them.
    user: Option<String>,
    users: usize,
    offers: usize,
}

impl From<&VolumeView> for VolumeRecord {
    fn from(volume: &VolumeView) -> Self {
        let known = volume.known.as_ref();
        Self {
            id: volume.id.to_string(),
            agent: volume.agent.to_string(),
            state: text::volume_state(volume.standing),
            name: known.map(|known| known.name.clone()),
            role: known.map(|known| known.role().to_owned()),
            size_bytes: known.map(|known| known.size.get()),
            shared: known.map(|known| known.shared),
            creator: known.map(|known| known.creator.to_string()),
            user: volume.user.map(|user| user.to_string()),
            users: volume.users,
            offers: volume.offers,
        }
    }
}

/// What a task used.
#[derive(Serialize)]
pub struct UsageRecord {
    cpu_seconds: f64,
    wall_seconds: f64,
    fuel: u64,
    peak_mem_bytes: u64,
    peak_disk_bytes: u64,
    output_bytes: u64,
    net_bytes: u64,
    throttled_seconds: f64,
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
            throttled_seconds: usage.throttled.as_secs_f64(),
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
pub struct StatusRecord {
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
    pub fn bare(state: TaskState, reason: Option<Reason>) -> Self {
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

/// A task of `haggle ps`.
#[derive(Serialize)]
pub struct TaskRecord {
    id: String,
    kind: &'static str,
    name: String,
    role: String,
    agent: String,
    /// The digest of what it runs; `null`: an allocation, or not known.
    module: Option<String>,
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
            module: task.module.map(|module| module.to_string()),
            resources: (&task.resources).into(),
            group: task.group.map(|group| group.id(task.id.framework).to_string()),
            status: (&task.status).into(),
        }
    }
}

/// Whether it is a task that somebody wrote, or the allocation that holds room for such tasks.
pub fn kind(task: &TaskView) -> &'static str {
    if task.is_allocation { "allocation" } else { "task" }
}

/// An event of `haggle watch`. One of `agent`, `framework`, `task` and `left_out` is there.
#[derive(Serialize)]
pub struct EventRecord {
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
    /// Changes of tasks in queues that were not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

impl EventRecord {
    /// What happened, and when, as RFC 3339 has it.
    pub fn new(time: String, announcement: &Announcement) -> Self {
        let bare = |event| Self { time, event, task: None, framework: None, agent: None, status: None, left_out: None };
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
            Announcement::LeftOut(tasks) => Self { left_out: Some(*tasks), ..bare("left_out") },
        }
    }
}

impl EventRecord {
    /// About whom an event that is of no task is, what it says, and whether something is lost by it.
    pub(crate) fn about(&self) -> (String, String, bool) {
        let about = self.agent.clone().or_else(|| self.framework.clone()).unwrap_or_default();
        (about, self.event.replace('_', " "), matches!(self.event, "agent_down" | "agent_removed" | "framework_down"))
    }
}
