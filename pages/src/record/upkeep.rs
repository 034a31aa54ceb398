//! Agents that are out of use, and maintenance, in JSON.

use haggle_core::cluster::{MaintenanceView, PhaseView, WithdrawalView};
use haggle_core::{Cause, Unavailability};
use serde::Serialize;

use crate::text;

/// An agent that takes no tasks.
#[derive(Serialize)]
pub struct WithdrawalRecord {
    /// `DEACTIVATED`, `DRAINING` or `DRAINED`.
    state: &'static str,
    for_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    killed_in_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark_gone: Option<bool>,
    /// The window that wants it so; absent: an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance: Option<String>,
}

impl From<&WithdrawalView> for WithdrawalRecord {
    fn from(withdrawal: &WithdrawalView) -> Self {
        let (state, drain) = match withdrawal.phase {
            PhaseView::Deactivated => ("DEACTIVATED", None),
            PhaseView::Draining { kill_in, mark_gone } => ("DRAINING", Some((kill_in.as_secs_f64(), mark_gone))),
            PhaseView::Drained => ("DRAINED", None),
        };
        let maintenance = match withdrawal.cause {
            Cause::Operator => None,
            Cause::Maintenance(id) => Some(id.to_string()),
        };
        Self {
            state,
            for_seconds: withdrawal.age.as_secs_f64(),
            killed_in_seconds: drain.map(|(kill_in, _)| kill_in),
            mark_gone: drain.map(|(_, mark_gone)| mark_gone),
            maintenance,
        }
    }
}

/// When an agent will not be there.
#[derive(Serialize)]
pub struct UnavailabilityRecord {
    start: String,
    end: String,
}

impl From<Unavailability> for UnavailabilityRecord {
    fn from(when: Unavailability) -> Self {
        let (start, end) = text::window(when);
        Self { start, end }
    }
}

/// A window of `haggle maintenance`.
#[derive(Serialize)]
pub struct MaintenanceRecord {
    id: String,
    under_way: bool,
    start: String,
    end: String,
    grace_seconds: f64,
    agents: Vec<String>,
    accepted: usize,
    declined: usize,
    unanswered: usize,
}

impl From<&MaintenanceView> for MaintenanceRecord {
    fn from(window: &MaintenanceView) -> Self {
        let (start, end) = text::window(window.maintenance.when);
        Self {
            id: window.id.to_string(),
            under_way: window.has_begun,
            start,
            end,
            grace_seconds: window.maintenance.grace.as_secs_f64(),
            agents: window.maintenance.agents.iter().map(ToString::to_string).collect(),
            accepted: window.accepted,
            declined: window.declined,
            unanswered: window.unanswered,
        }
    }
}
