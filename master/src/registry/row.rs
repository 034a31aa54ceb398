//! How a row of the registry is written down.
//!
//! Rows are protobuf messages, so that a later version can add to them. What a peer said of itself is kept in
//! the words of the wire, which are bound to stay readable.

use std::num::NonZeroU32;
use std::time::Duration;

use haggle_core::access::{Enrolment, PlainKind, Principal, PrincipalId, Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{AgentRecord, FrameworkRecord};
use haggle_core::{AgentId, AgentKey, Cause, Drain, Maintenance, MaintenanceId, Now, Phase, RoleRecord, Withdrawal};
use haggle_proto::convert::{Malformed, all_reserved, digest, placement, volumes, weight};
use haggle_proto::v1;
use haggle_proto::v1::{PrincipalKind, Withheld};
use prost::Message;

/// A row that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// It is no such message.
    #[error(transparent)]
    Undecodable(#[from] prost::DecodeError),
    /// It lacks something, or has it wrong.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AgentRow {
    #[prost(message, optional, tag = "1")]
    info: Option<v1::AgentInfo>,
    /// 16 bytes. Absent in rows of version 1: then the agent has shown no key yet, and the first that claims its id is
    /// taken for it.
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    /// The cluster's time, in nanoseconds.
    #[prost(uint64, optional, tag = "3")]
    unreachable_since: Option<u64>,
    #[prost(bool, tag = "4")]
    certified: bool,
    /// Beside what the agent keeps by its own configuration. None in rows of version 5.
    #[prost(message, repeated, tag = "10")]
    reserved: Vec<v1::Reserved>,
    #[prost(message, repeated, tag = "40")]
    volumes: Vec<v1::Volume>,
    /// The highest number ever given to a volume there.
    #[prost(uint64, tag = "41")]
    last_volume: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FrameworkRow {
    #[prost(message, optional, tag = "1")]
    info: Option<v1::FrameworkInfo>,
    /// Empty in rows of version 2, when everybody on the machine was the owner.
    #[prost(string, tag = "2")]
    principal: String,
    /// Unspecified in rows of version 3, when a name was one principal of whichever kind: then it is a framework's.
    #[prost(enumeration = "v1::PrincipalKind", tag = "3")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnrolmentRow {
    /// The cluster's time, in nanoseconds.
    #[prost(uint64, tag = "1")]
    until: u64,
    #[prost(fixed64, optional, tag = "2")]
    token: Option<u64>,
    /// 32 bytes, with a token.
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
}

/// The kinds are those of the wire.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TokenRow {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(enumeration = "v1::PrincipalKind", tag = "2")]
    kind: i32,
    #[prost(string, repeated, tag = "3")]
    roles: Vec<String>,
    #[prost(uint32, tag = "4")]
    uses_left: u32,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "5")]
    hash: Vec<u8>,
    #[prost(uint64, tag = "6")]
    made_ms: u64,
    #[prost(uint64, tag = "7")]
    expires_ms: u64,
    #[prost(string, tag = "8")]
    made_by: String,
    #[prost(bool, tag = "9")]
    revoked: bool,
    /// 32 bytes, or none.
    #[prost(bytes = "vec", tag = "10")]
    authority: Vec<u8>,
}

/// What an operator has decided of a role.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RoleRow {
    #[prost(uint32, optional, tag = "1")]
    weight: Option<u32>,
    #[prost(message, optional, tag = "2")]
    quota: Option<v1::Quota>,
    /// Unspecified, and absent, in rows of version 4.
    #[prost(enumeration = "v1::Placement", tag = "3")]
    placement: i32,
    #[prost(message, optional, tag = "4")]
    min_allocatable: Option<v1::Resources>,
}

/// An agent that takes no tasks.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WithdrawalRow {
    #[prost(enumeration = "v1::Withheld", tag = "1")]
    phase: i32,
    /// The cluster's time, in nanoseconds.
    #[prost(uint64, tag = "2")]
    since: u64,
    /// The cluster's time, in nanoseconds. Of one that drains.
    #[prost(uint64, tag = "3")]
    kill_at: u64,
    #[prost(bool, tag = "4")]
    mark_gone: bool,
    /// The number of the maintenance window that wants it so; absent when an operator does.
    #[prost(uint64, optional, tag = "5")]
    maintenance: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MaintenanceRow {
    #[prost(uint64, repeated, tag = "1")]
    agents: Vec<u64>,
    #[prost(message, optional, tag = "2")]
    when: Option<v1::Unavailability>,
    #[prost(uint64, tag = "3")]
    grace_ms: u64,
}

pub(super) fn write_agent(agent: &AgentRecord) -> Vec<u8> {
    let AgentRecord { info, key, unreachable_since, certified, reserved, volumes, last_volume } = agent.clone();
    let reserved = reserved.into_iter().map(Into::into).collect();
    let volumes = volumes.into_iter().map(Into::into).collect();
    let key = if key == AgentKey::default() { Vec::new() } else { key.0.to_be_bytes().to_vec() };
    let unreachable_since = unreachable_since.map(Now::as_nanos);
    let row = AgentRow { info: Some(info.into()), key, unreachable_since, certified, reserved, volumes, last_volume };
    row.encode_to_vec()
}

pub(super) fn read_agent(row: &[u8]) -> Result<AgentRecord, BadRow> {
    let AgentRow { info, key, unreachable_since, certified, reserved, volumes: held, last_volume } =
        AgentRow::decode(row)?;
    let (reserved, volumes) = (all_reserved(reserved)?, volumes(held)?);
    let info = info.ok_or(Malformed::Missing("info of an agent"))?.try_into()?;
    let key = match key.as_slice() {
        [] => AgentKey::default(),
        bytes => bytes.try_into().map(|bytes| AgentKey(u128::from_be_bytes(bytes))).map_err(|_| {
            Malformed::Invalid { field: "key of an agent", got: format!("{} bytes", bytes.len()), wanted: "16 bytes" }
        })?,
    };
    let unreachable_since = unreachable_since.map(Now::from_nanos);
    Ok(AgentRecord { info, key, unreachable_since, certified, reserved, volumes, last_volume })
}

pub(super) fn write_framework(framework: &FrameworkRecord) -> Vec<u8> {
    let FrameworkRecord { info, principal } = framework.clone();
    let kind = match principal.kind {
        PlainKind::Owner => PrincipalKind::Owner,
        PlainKind::Operator => PrincipalKind::Operator,
        PlainKind::Framework | PlainKind::Viewer | PlainKind::Agent | PlainKind::Joiner | PlainKind::Master => {
            PrincipalKind::Framework
        }
    };
    FrameworkRow { info: Some(info.into()), principal: principal.name.to_string(), kind: kind.into() }.encode_to_vec()
}

pub(super) fn read_framework(row: &[u8]) -> Result<FrameworkRecord, BadRow> {
    let row = FrameworkRow::decode(row)?;
    let kind = match row.kind() {
        PrincipalKind::Owner => PlainKind::Owner,
        PrincipalKind::Operator => PlainKind::Operator,
        PrincipalKind::Framework | PrincipalKind::Viewer | PrincipalKind::Agent | PrincipalKind::Unspecified => {
            PlainKind::Framework
        }
    };
    let info = row.info.ok_or(Malformed::Missing("info of a framework"))?.into();
    // No token has the owner's name.
    let is_owners = row.principal.is_empty() || row.principal == Principal::OWNER;
    let named = || PrincipalId { name: row.principal.as_str().into(), kind };
    Ok(FrameworkRecord { info, principal: if is_owners { PrincipalId::owner() } else { named() } })
}

pub(super) fn write_enrolment(enrolment: &Enrolment) -> Vec<u8> {
    let key = enrolment.by.map_or_else(Vec::new, |(_, key)| key.0.to_vec());
    let token = enrolment.by.map(|(token, _)| token.0);
    EnrolmentRow { until: enrolment.until.as_nanos(), token, key }.encode_to_vec()
}

pub(super) fn read_enrolment(row: &[u8]) -> Result<Enrolment, BadRow> {
    let EnrolmentRow { until, token, key } = EnrolmentRow::decode(row)?;
    let by = token.map(|token| Ok::<_, BadRow>((TokenId(token), digest(&key)?))).transpose()?;
    Ok(Enrolment { until: Now::from_nanos(until), by })
}

pub(super) fn write_role(role: &RoleRecord) -> Vec<u8> {
    let RoleRecord { weight, quota, placement, min_allocatable } = role.clone();
    let row = RoleRow {
        weight: weight.map(NonZeroU32::get),
        quota: quota.map(Into::into),
        placement: placement.map_or(v1::Placement::Unspecified, Into::into).into(),
        min_allocatable: min_allocatable.map(Into::into),
    };
    row.encode_to_vec()
}

pub(super) fn read_role(row: &[u8]) -> Result<RoleRecord, BadRow> {
    let row = RoleRow::decode(row)?;
    Ok(RoleRecord {
        weight: weight(row.weight)?,
        quota: row.quota.map(TryInto::try_into).transpose()?,
        placement: placement(row.placement)?,
        min_allocatable: row.min_allocatable.map(TryInto::try_into).transpose()?,
    })
}

pub(super) fn write_withdrawal(withdrawal: &Withdrawal) -> Vec<u8> {
    let (phase, kill_at, mark_gone) = match withdrawal.phase {
        Phase::Deactivated => (Withheld::Deactivated, 0, false),
        Phase::Draining(Drain { kill_at, mark_gone }) => (Withheld::Draining, kill_at.as_nanos(), mark_gone),
        Phase::Drained => (Withheld::Drained, 0, false),
    };
    let maintenance = match withdrawal.cause {
        Cause::Operator => None,
        Cause::Maintenance(id) => Some(id.0),
    };
    let since = withdrawal.since.as_nanos();
    WithdrawalRow { phase: phase.into(), since, kill_at, mark_gone, maintenance }.encode_to_vec()
}

pub(super) fn read_withdrawal(row: &[u8]) -> Result<Withdrawal, BadRow> {
    let row = WithdrawalRow::decode(row)?;
    let drain = Drain { kill_at: Now::from_nanos(row.kill_at), mark_gone: row.mark_gone };
    let phase = match row.phase() {
        Withheld::Deactivated => Phase::Deactivated,
        Withheld::Draining => Phase::Draining(drain),
        Withheld::Drained => Phase::Drained,
        Withheld::Leaving | Withheld::Unspecified => return Err(Malformed::Missing("phase of a withdrawal").into()),
    };
    let cause = row.maintenance.map_or(Cause::Operator, |id| Cause::Maintenance(MaintenanceId(id)));
    Ok(Withdrawal { phase, since: Now::from_nanos(row.since), cause })
}

pub(super) fn write_maintenance(maintenance: &Maintenance) -> Vec<u8> {
    let Maintenance { agents, when, grace } = maintenance;
    let agents = agents.iter().map(|agent| agent.0).collect();
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    MaintenanceRow { agents, when: Some((*when).into()), grace_ms }.encode_to_vec()
}

pub(super) fn read_maintenance(row: &[u8]) -> Result<Maintenance, BadRow> {
    let MaintenanceRow { agents, when, grace_ms } = MaintenanceRow::decode(row)?;
    Ok(Maintenance {
        agents: agents.into_iter().map(AgentId).collect(),
        when: when.ok_or(Malformed::Missing("time of a maintenance window"))?.into(),
        grace: Duration::from_millis(grace_ms),
    })
}

pub(super) fn write_token(token: &TokenRecord) -> Vec<u8> {
    let (kind, roles, uses_left) = match &token.kind {
        TokenKind::Agent { uses_left } => (PrincipalKind::Agent, Vec::new(), *uses_left),
        TokenKind::Framework(roles) => (PrincipalKind::Framework, roles.to_strings(), 0),
        TokenKind::Operator => (PrincipalKind::Operator, Vec::new(), 0),
        TokenKind::Viewer(roles) => (PrincipalKind::Viewer, roles.to_strings(), 0),
    };
    let row = TokenRow {
        name: token.name.to_string(),
        kind: kind.into(),
        roles,
        uses_left,
        hash: token.hash.0.to_vec(),
        made_ms: token.made_ms,
        expires_ms: token.expires_ms,
        made_by: token.made_by.to_string(),
        revoked: token.revoked,
        authority: token.authority.map_or_else(Vec::new, |authority| authority.0.to_vec()),
    };
    row.encode_to_vec()
}

pub(super) fn read_token(row: &[u8]) -> Result<TokenRecord, BadRow> {
    let row = TokenRow::decode(row)?;
    let kind = match row.kind() {
        PrincipalKind::Agent => TokenKind::Agent { uses_left: row.uses_left },
        PrincipalKind::Framework => TokenKind::Framework(Roles::parse(&row.roles).map_err(Malformed::from)?),
        PrincipalKind::Operator => TokenKind::Operator,
        PrincipalKind::Viewer => TokenKind::Viewer(Roles::parse(&row.roles).map_err(Malformed::from)?),
        // Never guessed: a token of a kind that this master does not know lets nobody in.
        PrincipalKind::Owner | PrincipalKind::Unspecified => return Err(Malformed::Missing("kind of a token").into()),
    };
    Ok(TokenRecord {
        name: row.name.into(),
        kind,
        hash: digest(&row.hash)?,
        made_ms: row.made_ms,
        expires_ms: row.expires_ms,
        made_by: row.made_by.into(),
        revoked: row.revoked,
        authority: if row.authority.is_empty() { None } else { Some(digest(&row.authority)?) },
    })
}
