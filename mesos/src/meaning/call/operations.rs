//! What an ACCEPT has reserved, and freed again, of what it was offered.

use haggle_core::{OfferOperation, Operation, Resources};

use super::BadCall;
use crate::meaning::{resources, role_in};
use crate::wire::common::{ReservationInfo, ReservationType, Resource};
use crate::wire::offer::{Operation as Wanted, OperationType};

/// What the operations come to that change agents, in this order.
///
/// # Errors
/// With one that is not served, and with one that comes after a launch: tasks are launched when all that is done.
pub(super) fn understand(operations: &[Wanted]) -> Result<Vec<OfferOperation>, BadCall> {
    let mut understood = Vec::new();
    let launches = operations.iter().filter(|operation| is_launch(operation)).count();
    for (at, operation) in operations.iter().enumerate() {
        let kind = operation.r#type();
        let lacks = |part: &'static str| BadCall::Lacks(kind.word(), part);
        match kind {
            OperationType::Launch if operation.launch.is_none() => return Err(lacks("launch")),
            OperationType::LaunchGroup if operation.launch_group.is_none() => return Err(lacks("launch_group")),
            OperationType::LaunchGroup if launches > 1 => {
                return Err(BadCall::NotServed("LAUNCH_GROUP beside another launch", "launch its tasks alone"));
            }
            OperationType::Launch | OperationType::LaunchGroup => {}
            OperationType::Reserve | OperationType::Unreserve => {
                let part = match kind {
                    OperationType::Reserve => operation.reserve.as_ref().ok_or_else(|| lacks("reserve"))?,
                    _ => operation.unreserve.as_ref().ok_or_else(|| lacks("unreserve"))?,
                };
                if operations[..at].iter().any(is_launch) {
                    return Err(BadCall::NotServed(
                        kind.word(),
                        "behind a launch it would come too late: put it before",
                    ));
                }
                if operation.id.is_some() {
                    return Err(BadCall::NotServed(kind.word(), "with an id: operations have no status of their own"));
                }
                understood.extend(together(kind, &part.resources)?.into_iter().map(OfferOperation::from));
            }
            other => {
                let instead = "volumes are made with `haggle volume`, and tasks of this API mount none";
                return Err(BadCall::NotServed(other.word(), instead));
            }
        }
    }
    Ok(understood)
}

fn is_launch(operation: &Wanted) -> bool {
    matches!(operation.r#type(), OperationType::Launch | OperationType::LaunchGroup)
}

/// One for each role: several amounts may be for different ones.
fn together(kind: OperationType, parts: &[Resource]) -> Result<Vec<Operation>, BadCall> {
    let mut sums: Vec<(Reservations, Resources)> = Vec::new();
    for part in parts {
        let roles = reservations(kind, part)?;
        let amount = resources::read(std::slice::from_ref(part)).map_err(|why| BadCall::Amount(why.to_string()))?;
        match sums.iter_mut().find(|(known, _)| *known == roles) {
            Some((_, sum)) => sum.give(&amount),
            None => sums.push((roles, amount)),
        }
    }
    let operation = |(Reservations { role, within }, resources)| match kind {
        OperationType::Reserve => Operation::Reserve { role, within, resources },
        _ => Operation::Unreserve { role, resources },
    };
    Ok(sums.into_iter().map(operation).collect())
}

/// For whom something is reserved, and for whom it was before.
#[derive(PartialEq)]
struct Reservations {
    role: String,
    within: Option<String>,
}

fn reservations(kind: OperationType, resource: &Resource) -> Result<Reservations, BadCall> {
    let no = |why: &'static str| BadCall::NotServed(kind.word(), why);
    // The last of them counts. Before reservations could be refined there was one, and its role was the resource's.
    let (own, above): (&ReservationInfo, Option<&ReservationInfo>) = match resource.reservations.as_slice() {
        [.., above, own] => (own, Some(above)),
        [own] => (own, None),
        [] => (resource.reservation.as_ref().ok_or_else(|| no("of a resource that names no reservation"))?, None),
    };
    if own.r#type.is_some() && own.r#type() == ReservationType::Static {
        return Err(no("of a static reservation: that is made with the flags of an agent"));
    }
    let role = own.role.as_deref().or(resource.role.as_deref());
    let role = role_in(role.ok_or_else(|| no("of a reservation that names no role"))?);
    Ok(Reservations { role, within: above.and_then(|above| above.role.as_deref()).map(role_in) })
}
