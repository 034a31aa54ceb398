//! What is said of each thing in JSON; the tables show the same.

mod access;
mod roles;
mod tasks;
mod upkeep;
mod why;

use std::collections::BTreeMap;

use haggle_core::cluster::{AgentView, FrameworkView, OfferView, ReservationView, VolumeView};
use haggle_core::{Reserved, Resources};
use serde::Serialize;

use crate::output;

pub(crate) use access::{ContextRecord, LimitRecord, TokenRecord};
pub(crate) use roles::{CeilingRecord, QuotaRecord, RoleRecord};
pub(crate) use tasks::{EventRecord, RunRecord, StatusRecord, TaskRecord, kind};
pub(crate) use upkeep::{MaintenanceRecord, UnavailabilityRecord, WithdrawalRecord};
pub(crate) use why::{TaskWhyRecord, WhyRecord};

#[derive(Serialize)]
pub(crate) struct ResourcesRecord {
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

#[derive(Serialize)]
pub(crate) struct AgentRecord<'a> {
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
pub(crate) struct ReservedRecord {
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
pub(crate) struct ReservedPartRecord {
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

#[derive(Serialize)]
pub(crate) struct FrameworkRecord {
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

#[derive(Serialize)]
pub(crate) struct OfferRecord {
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
pub(crate) struct VolumeRecord {
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
            state: output::volume_state(volume.standing),
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
