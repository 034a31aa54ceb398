//! Agents that are out of use, and maintenance.

use std::time::Duration;

use haggle_core::allocator::Withheld;
use haggle_core::cluster::{MaintenanceView, PhaseView, WithdrawalView};
use haggle_core::{AgentId, Cause, InverseOffer, InverseOfferId, Maintenance, MaintenanceId, Unavailability};

use super::operator::{count, size};
use super::task::millis;
use super::{Malformed, required};
use crate::v1;
use crate::v1::schedule_maintenance_request::Start;

impl From<Unavailability> for v1::Unavailability {
    fn from(when: Unavailability) -> Self {
        Self { start_ms: when.start_ms, duration_ms: when.duration_ms }
    }
}

impl From<v1::Unavailability> for Unavailability {
    fn from(wire: v1::Unavailability) -> Self {
        Self { start_ms: wire.start_ms, duration_ms: wire.duration_ms }
    }
}

impl From<InverseOffer> for v1::InverseOffer {
    fn from(offer: InverseOffer) -> Self {
        Self { id: offer.id.0, agent: offer.agent.0, when: Some(offer.when.into()) }
    }
}

impl TryFrom<v1::InverseOffer> for InverseOffer {
    type Error = Malformed;

    fn try_from(wire: v1::InverseOffer) -> Result<Self, Malformed> {
        Ok(Self {
            id: InverseOfferId(wire.id),
            agent: AgentId(wire.agent),
            when: required(wire.when, "time of an inverse offer")?.into(),
        })
    }
}

pub(super) fn inverse(offers: Vec<InverseOfferId>) -> Vec<u64> {
    offers.into_iter().map(|offer| offer.0).collect()
}

pub(super) fn inverse_ids(offers: Vec<u64>) -> Vec<InverseOfferId> {
    offers.into_iter().map(InverseOfferId).collect()
}

impl From<WithdrawalView> for v1::Withdrawal {
    fn from(withdrawal: WithdrawalView) -> Self {
        let (phase, kill_in, mark_gone) = match withdrawal.phase {
            PhaseView::Deactivated => (Withheld::Deactivated, Duration::ZERO, false),
            PhaseView::Draining { kill_in, mark_gone } => (Withheld::Draining, kill_in, mark_gone),
            PhaseView::Drained => (Withheld::Drained, Duration::ZERO, false),
        };
        let maintenance = match withdrawal.cause {
            Cause::Operator => None,
            Cause::Maintenance(id) => Some(id.0),
        };
        Self {
            phase: withheld_of(phase).into(),
            age_ms: millis(withdrawal.age),
            kill_in_ms: millis(kill_in),
            mark_gone,
            maintenance,
        }
    }
}

impl TryFrom<v1::Withdrawal> for WithdrawalView {
    type Error = Malformed;

    fn try_from(wire: v1::Withdrawal) -> Result<Self, Malformed> {
        let kill_in = Duration::from_millis(wire.kill_in_ms);
        let phase = match withheld(wire.phase)? {
            Withheld::Deactivated => PhaseView::Deactivated,
            Withheld::Draining => PhaseView::Draining { kill_in, mark_gone: wire.mark_gone },
            Withheld::Drained => PhaseView::Drained,
            Withheld::Leaving => {
                return Err(Malformed::Invalid {
                    field: "phase",
                    got: "that an agent leaves by itself".to_owned(),
                    wanted: "what somebody wants of it",
                });
            }
        };
        let cause = wire.maintenance.map_or(Cause::Operator, |id| Cause::Maintenance(MaintenanceId(id)));
        Ok(Self { phase, age: Duration::from_millis(wire.age_ms), cause })
    }
}

impl From<MaintenanceView> for v1::Maintenance {
    fn from(view: MaintenanceView) -> Self {
        let Maintenance { agents, when, grace } = view.maintenance;
        Self {
            id: view.id.0,
            agents: agents.into_iter().map(|agent| agent.0).collect(),
            when: Some(when.into()),
            grace_ms: millis(grace),
            has_begun: view.has_begun,
            unanswered: count(view.unanswered),
            accepted: count(view.accepted),
            declined: count(view.declined),
        }
    }
}

impl TryFrom<v1::Maintenance> for MaintenanceView {
    type Error = Malformed;

    fn try_from(wire: v1::Maintenance) -> Result<Self, Malformed> {
        let maintenance = Maintenance {
            agents: wire.agents.into_iter().map(AgentId).collect(),
            when: required(wire.when, "time of a maintenance window")?.into(),
            grace: Duration::from_millis(wire.grace_ms),
        };
        Ok(Self {
            id: MaintenanceId(wire.id),
            maintenance,
            has_begun: wire.has_begun,
            unanswered: size(wire.unanswered),
            accepted: size(wire.accepted),
            declined: size(wire.declined),
        })
    }
}

/// The window that somebody wants. `wall_ms` is when that is heard, in milliseconds since 1970.
///
/// # Errors
/// When it does not say when the window begins.
pub fn maintenance(wire: &v1::ScheduleMaintenanceRequest, wall_ms: u64) -> Result<Maintenance, Malformed> {
    let start_ms = match wire.start.as_ref().ok_or(Malformed::Missing("start of a maintenance window"))? {
        Start::StartMs(at) => *at,
        Start::StartInMs(after) => wall_ms.saturating_add(*after),
    };
    Ok(Maintenance {
        agents: wire.agents.iter().copied().map(AgentId).collect(),
        when: Unavailability { start_ms, duration_ms: wire.duration_ms },
        grace: Duration::from_millis(wire.grace_ms),
    })
}

pub(super) fn withheld_of(withheld: Withheld) -> v1::Withheld {
    match withheld {
        Withheld::Deactivated => v1::Withheld::Deactivated,
        Withheld::Draining => v1::Withheld::Draining,
        Withheld::Drained => v1::Withheld::Drained,
        Withheld::Leaving => v1::Withheld::Leaving,
    }
}

pub(super) fn withheld(wire: i32) -> Result<Withheld, Malformed> {
    Ok(match v1::Withheld::try_from(wire) {
        Ok(v1::Withheld::Deactivated) => Withheld::Deactivated,
        Ok(v1::Withheld::Draining) => Withheld::Draining,
        Ok(v1::Withheld::Drained) => Withheld::Drained,
        Ok(v1::Withheld::Leaving) => Withheld::Leaving,
        Ok(v1::Withheld::Unspecified) | Err(_) => {
            return Err(Malformed::Invalid {
                field: "withheld",
                got: wire.to_string(),
                wanted: "a reason that this version knows",
            });
        }
    })
}
