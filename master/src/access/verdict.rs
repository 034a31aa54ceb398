//! How a refusal of the cluster's is told on the wire.

use haggle_core::cluster::Refusal;
use tonic::{Code, Status};

/// What may not be seen is not found; what may be seen and not done is denied.
pub(crate) fn status_of(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Denied(_) | Refusal::RoleDenied(..) => Code::PermissionDenied,
        Refusal::TaskUnknown(_) | Refusal::AgentUnknown(_) | Refusal::TokenUnknown(_) => Code::NotFound,
        Refusal::TokenOver(..) => Code::Unauthenticated,
        Refusal::TokenInvalid(_) => Code::InvalidArgument,
        Refusal::TokenExists(_) => Code::AlreadyExists,
        Refusal::TooManyTokens(_)
        | Refusal::TooManyAgents(_)
        | Refusal::TooManyFrameworks { .. }
        | Refusal::TooManyHeld(..) => Code::ResourceExhausted,
        Refusal::NotConnected(_)
        | Refusal::NotAnAgent(_)
        | Refusal::NotAFramework(_)
        | Refusal::IntroducedTwice(_)
        | Refusal::RegisteredAlready(_)
        | Refusal::StillRegistering(_)
        | Refusal::TaskEnded(..)
        | Refusal::AgentConnected(_) => Code::FailedPrecondition,
    };
    Status::new(code, refusal.to_string())
}
