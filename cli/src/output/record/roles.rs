//! Roles and what they are promised, in JSON.

use std::collections::BTreeMap;

use haggle_core::{Bytes, Ceiling, MilliCpu, Quota};
use haggle_sdk::RoleInfo;
use serde::Serialize;

use super::ResourcesRecord;

#[derive(Serialize)]
pub(crate) struct RoleRecord {
    name: String,
    weight: u32,
    frameworks: u64,
    waiting: u64,
    used: ResourcesRecord,
    offered: ResourcesRecord,
    reserved: ResourcesRecord,
    /// The dominant share, from 0 to 1, not divided by the weight.
    share: f64,
    /// What it would be if every role beside it took all that it may.
    fair_share: f64,
    /// `null`: none.
    quota: Option<QuotaRecord>,
    /// How agents are chosen for its offers.
    placement: &'static str,
    /// The least that makes an offer to it; `null`: that of the cluster.
    min_allocatable: Option<ResourcesRecord>,
}

/// What a role is promised, and may have at most.
#[derive(Serialize)]
pub(crate) struct QuotaRecord {
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
pub(crate) struct CeilingRecord {
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

impl From<&RoleInfo> for RoleRecord {
    fn from(role: &RoleInfo) -> Self {
        Self {
            name: role.name.clone(),
            weight: role.weight,
            frameworks: role.frameworks,
            waiting: role.waiting,
            used: (&role.used).into(),
            offered: (&role.offered).into(),
            reserved: (&role.reserved).into(),
            share: role.share,
            fair_share: role.fair_share,
            quota: role.quota.as_ref().map(Into::into),
            placement: role.placement.name(),
            min_allocatable: role.min_allocatable.as_ref().map(Into::into),
        }
    }
}
