//! What is told of each role: as `haggle roles` shows it, with what is reserved for it and the volumes that it has.

use std::fmt;

use haggle_core::cluster::RoleView;
use haggle_core::{Bytes, Ceiling, Resources};
use prometheus_client::registry::Unit;

use super::families::{cpus, disk, float, memory};
use super::page::Page;

/// A role, with all roles below it.
#[derive(Debug)]
pub(super) struct RoleRow {
    pub(super) view: RoleView,
    pub(super) volumes: usize,
    /// The room of these.
    pub(super) room: Bytes,
}

/// The families of roles.
pub(super) fn encode(rows: &[RoleRow], more: bool, page: &mut Page<'_>) -> fmt::Result {
    let of = |value: fn(&RoleView) -> f64| rows.iter().map(move |row| ([("role", &*row.view.name)], value(&row.view)));
    page.gauges("haggle_role_weight", "Weights of roles against their siblings", None, of(|role| role.weight.into()))?;
    page.gauges("haggle_role_share", "Dominant shares of roles", None, of(|role| role.share.as_f64()))?;
    let fair = of(|role| role.fair_share.as_f64());
    page.gauges(
        "haggle_role_fair_share",
        "What share each role would have if every sibling took all it may",
        None,
        fair,
    )?;
    let waiting = of(|role| float(role.waiting));
    page.gauges("haggle_role_frameworks_waiting", "Frameworks of a role that wait for an offer", None, waiting)?;
    let uses = |amount: fn(&Resources) -> f64| {
        rows.iter().flat_map(move |RoleRow { view, .. }| {
            [("used", &view.used), ("offered", &view.offered)]
                .map(|(name, resources)| ([("role", &*view.name), ("use", name)], amount(resources)))
        })
    };
    page.gauges("haggle_role_cpus", "Processors of roles", None, uses(cpus))?;
    page.gauges("haggle_role_memory", "Memory of roles", Some(&Unit::Bytes), uses(memory))?;
    page.gauges("haggle_role_disk", "Disk of roles", Some(&Unit::Bytes), uses(disk))?;
    reserved(rows, page)?;
    quotas(rows, page)?;
    page.gauge("haggle_roles_left_out", "Whether there are more roles than these", u8::from(more))
}

fn reserved(rows: &[RoleRow], page: &mut Page<'_>) -> fmt::Result {
    let of = |value: fn(&RoleRow) -> f64| rows.iter().map(move |row| ([("role", &*row.view.name)], value(row)));
    let processors = of(|row| cpus(&row.view.reserved));
    page.gauges("haggle_role_reserved_cpus", "Processors that agents keep for roles", None, processors)?;
    let bytes = of(|row| memory(&row.view.reserved));
    page.gauges("haggle_role_reserved_memory", "Memory that agents keep for roles", Some(&Unit::Bytes), bytes)?;
    let bytes = of(|row| disk(&row.view.reserved));
    page.gauges("haggle_role_reserved_disk", "Disk that agents keep for roles", Some(&Unit::Bytes), bytes)?;
    page.gauges("haggle_role_volumes", "Volumes of roles", None, of(|row| float(row.volumes)))?;
    let bytes = of(|row| row.room.get() as f64);
    page.gauges("haggle_role_volume", "The room of these volumes", Some(&Unit::Bytes), bytes)
}

fn quotas(rows: &[RoleRow], page: &mut Page<'_>) -> fmt::Result {
    let quotas = || rows.iter().filter_map(|row| Some((&*row.view.name, row.view.quota.as_ref()?)));
    let guarantees = |amount: fn(&Resources) -> f64| {
        quotas().map(move |(role, quota)| ([("role", role), ("bound", "guarantee")], amount(&quota.guarantee)))
    };
    let limits = |amount: fn(&Ceiling) -> Option<f64>| {
        quotas().filter_map(move |(role, quota)| Some(([("role", role), ("bound", "limit")], amount(&quota.limit)?)))
    };
    let processors = guarantees(cpus).chain(limits(|limit| Some(limit.cpus?.as_cores())));
    page.gauges("haggle_role_quota_cpus", "Processors that roles are promised, or may have", None, processors)?;
    let bytes = guarantees(memory).chain(limits(|limit| Some(limit.mem?.get() as f64)));
    page.gauges("haggle_role_quota_memory", "Memory that roles are promised, or may have", Some(&Unit::Bytes), bytes)?;
    let bytes = guarantees(disk).chain(limits(|limit| Some(limit.disk?.get() as f64)));
    page.gauges("haggle_role_quota_disk", "Disk that roles are promised, or may have", Some(&Unit::Bytes), bytes)
}
