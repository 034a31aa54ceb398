//! What operators decide of roles.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::effect::{Change, Effect};
use super::offers;
use super::refusal::Refusal;
use super::state::State;
use super::tally::OfferEnd;
use crate::access::is_role;
use crate::placement::Placement;
use crate::quota::{InvalidQuota, Quota, RoleRecord};
use crate::resources::Resources;

/// Roles of which something is remembered. Each takes a few hundred bytes.
pub(super) const RECORDS_MAX: usize = 10_000;

pub(super) fn set_weight(
    state: &mut State,
    role: String,
    weight: Option<NonZeroU32>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let known = record(state, &role)?;
    remember(state, role, RoleRecord { weight, ..known }, out);
    Ok(())
}

pub(super) fn set_quota(
    state: &mut State,
    role: String,
    quota: Option<Quota>,
    force: bool,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let known = record(state, &role)?;
    if let Some(quota) = &quota {
        quota.check()?;
        if !force {
            state.allocator.check_quota(&role, quota)?;
        }
    }
    remember(state, role, RoleRecord { quota, ..known }, out);
    // What was offered while more was allowed is taken back, the newest first.
    let above = state.allocator.above_limits();
    offers::rescind(state, above, OfferEnd::Rescinded, out);
    Ok(())
}

pub(super) fn set_placement(
    state: &mut State,
    role: String,
    placement: Option<Placement>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let known = record(state, &role)?;
    remember(state, role, RoleRecord { placement, ..known }, out);
    Ok(())
}

pub(super) fn set_min_allocatable(
    state: &mut State,
    role: String,
    least: Option<Resources>,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let known = record(state, &role)?;
    if least.as_ref().is_some_and(|least| !least.ports.is_empty()) {
        return Err(InvalidQuota::LeastPorts.into());
    }
    if least.as_ref().is_some_and(|least| !least.revocable.is_zero()) {
        return Err(InvalidQuota::LeastRevocable.into());
    }
    remember(state, role, RoleRecord { min_allocatable: least, ..known }, out);
    Ok(())
}

fn record(state: &State, role: &str) -> Result<RoleRecord, Refusal> {
    if !is_role(role) {
        return Err(InvalidQuota::Role(role.to_string()).into());
    }
    match state.roles.get(role) {
        Some(known) => Ok(known.clone()),
        None if state.roles.len() < RECORDS_MAX => Ok(RoleRecord::default()),
        None => Err(Refusal::TooManyRoleRecords(RECORDS_MAX)),
    }
}

fn remember(state: &mut State, role: String, record: RoleRecord, out: &mut Vec<Effect>) {
    state.configure_role(&role, &record);
    out.push(Effect::Remember(Change::RoleRecorded(role.clone(), record.clone())));
    if record.is_default() {
        state.roles.remove(&role);
    } else {
        state.roles.insert(role, record);
    }
}
