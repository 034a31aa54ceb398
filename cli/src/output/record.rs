//! What is said of each thing in JSON; the tables show the same. What pages show as well is told by [`haggle_pages`].

use haggle_sdk::{LimitUse, RoleInfo, TokenInfo};
use serde::Serialize;

use crate::contexts::Context;
use crate::output;

pub(crate) use haggle_pages::record::{
    AgentRecord, EventRecord, FrameworkRecord, JobRecord, JobWhyRecord, MaintenanceRecord, OfferRecord, QuotaRecord,
    ResourcesRecord, RoleRecord, StatusRecord, TaskRecord, TaskWhyRecord, VolumeRecord, WhyRecord, kind,
};

/// A role as the master told it.
pub(crate) fn role(role: &RoleInfo) -> RoleRecord {
    RoleRecord {
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

#[derive(Serialize)]
pub(crate) struct LimitRecord {
    /// `null`: of everybody together.
    principal: Option<String>,
    kind: Option<String>,
    limit: String,
    has: u64,
    /// `null`: none.
    most: Option<u64>,
    refused: u64,
    bytes: bool,
}

impl From<&LimitUse> for LimitRecord {
    fn from(one: &LimitUse) -> Self {
        Self {
            principal: one.principal.as_ref().map(|who| who.name.clone()),
            kind: one.principal.as_ref().map(|who| who.kind.to_string()),
            limit: one.limit.clone(),
            has: one.has,
            most: one.most,
            refused: one.refused,
            bytes: one.in_bytes,
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

/// A token of `haggle token`.
#[derive(Serialize)]
pub(crate) struct TokenRecord<'a> {
    id: String,
    kind: String,
    name: &'a str,
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    uses_left: Option<u32>,
    made: String,
    expires: String,
    made_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
    /// The secret, of one that was made just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> TokenRecord<'a> {
    /// One that was made just now, whose text is this.
    pub(crate) fn made(info: &'a TokenInfo, text: &'a str) -> Self {
        Self { token: Some(text), ..info.into() }
    }
}

impl<'a> From<&'a TokenInfo> for TokenRecord<'a> {
    fn from(info: &'a TokenInfo) -> Self {
        Self {
            id: info.id.to_string(),
            kind: info.principal.kind.to_string(),
            name: &info.principal.name,
            roles: &info.principal.roles,
            uses_left: info.uses_left,
            made: output::time(info.made),
            expires: output::time(info.expires),
            made_by: &info.made_by,
            authority: info.authority.map(|authority| authority.to_string()),
            token: None,
        }
    }
}

/// A context of `haggle context`: all but its secret.
#[derive(Serialize)]
pub(crate) struct ContextRecord<'a> {
    name: &'a str,
    current: bool,
    kind: String,
    cluster: String,
    masters: Vec<&'a str>,
    expires: String,
}

impl<'a> ContextRecord<'a> {
    /// Of this name; `current` is the name of the one that is used.
    pub(crate) fn new(name: &'a str, context: &'a Context, current: Option<&str>) -> Self {
        let named = context.master.iter().flat_map(|master| master.split(','));
        let mut masters: Vec<&str> = named.collect();
        if masters.is_empty() {
            masters = context.token.addresses.iter().map(String::as_str).collect();
        }
        Self {
            name,
            current: current == Some(name),
            kind: context.token.kind.to_string(),
            cluster: context.token.cluster.to_string(),
            masters,
            expires: output::time(context.token.expires),
        }
    }
}
