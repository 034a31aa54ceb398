//! How a refusal of the cluster's is told on the wire.

use haggle_core::access::Principal;
use haggle_core::cluster::Refusal;
use tonic::{Code, Status};

use crate::limits::{Limit, at_limit};

/// What may not be seen is not found; what may be seen and not done is denied.
pub(crate) fn status_of(refusal: &Refusal) -> Status {
    if let Some((_, limit)) = limit_of(refusal) {
        return at_limit(limit.name(), refusal.to_string());
    }
    let code = match refusal {
        Refusal::Denied(_) | Refusal::RoleDenied(..) => Code::PermissionDenied,
        Refusal::TaskUnknown(_)
        | Refusal::AgentUnknown(_)
        | Refusal::TokenUnknown(_)
        | Refusal::MaintenanceUnknown(_)
        | Refusal::VolumeUnknown(_) => Code::NotFound,
        Refusal::TokenOver(..) => Code::Unauthenticated,
        Refusal::TokenInvalid(_)
        | Refusal::DemandInvalid(_)
        | Refusal::FrameworkInvalid(_)
        | Refusal::ReservationInvalid(_)
        | Refusal::VolumeInvalid(_)
        | Refusal::TooManyOperations(_)
        | Refusal::QuotaInvalid(_)
        | Refusal::GraceTooLong(_)
        | Refusal::MaintenanceInvalid(_) => Code::InvalidArgument,
        Refusal::TokenExists(_) => Code::AlreadyExists,
        Refusal::TooManyTokens(_)
        | Refusal::TooManyAgents(_)
        | Refusal::TooManyFrameworks { .. }
        | Refusal::TooManyHeld(..)
        | Refusal::TooManyRoles { .. }
        | Refusal::TooManyReservations(..)
        | Refusal::TooManyVolumes(..)
        | Refusal::TooManyReservationsOfRole(..)
        | Refusal::TooManyRoleRecords(_)
        | Refusal::TooManyMaintenances(_)
        | Refusal::TooManyInMaintenance(_) => Code::ResourceExhausted,
        Refusal::NotConnected(_)
        | Refusal::NotAnAgent(_)
        | Refusal::NotAFramework(_)
        | Refusal::NotInRole(..)
        | Refusal::NotItsRole(..)
        | Refusal::AgentAway(_)
        | Refusal::NotToBeHad { .. }
        | Refusal::ReservedAboveLimit(..)
        | Refusal::NoReservedDisk { .. }
        | Refusal::VolumeNamed(..)
        | Refusal::VolumeInUse(..)
        | Refusal::VolumesAway(_)
        | Refusal::NoOfferOf(_)
        | Refusal::VolumeNotOffered(_)
        | Refusal::HeldByVolumes { .. }
        | Refusal::IntroducedTwice(_)
        | Refusal::RegisteredAlready(_)
        | Refusal::StillRegistering(_)
        | Refusal::TaskEnded(..)
        | Refusal::AgentConnected(_)
        | Refusal::Withdrawn(..)
        | Refusal::NotWithdrawn(_)
        | Refusal::StillDraining(_)
        | Refusal::InMaintenance(..)
        | Refusal::MaintenanceOverlaps(..)
        | Refusal::QuotaRefused(_) => Code::FailedPrecondition,
    };
    Status::new(code, refusal.to_string())
}

/// Who wanted more than which of its limits.
pub(crate) fn limit_of(refusal: &Refusal) -> Option<(&Principal, Limit)> {
    match refusal {
        Refusal::TooManyFrameworks { who, .. } => Some((who, Limit::Frameworks)),
        Refusal::TooManyRoles { who, .. } => Some((who, Limit::Roles)),
        _ => None,
    }
}
