//! Reserving what agents have, by operators and frameworks.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::effect::{Change, Effect};
use super::refusal::Refusal;
use super::state::{Agent, State};
use super::tally::OfferEnd;
use super::{offers, volumes};
use crate::id::{AgentId, OfferId};
use crate::planted::{self, Bug};
use crate::reservation::{Operation, Portion, is_at_or_below};
use crate::resources::Resources;

/// Parts of one agent that are reserved beside its own configuration: each is looked at whenever the agent is offered.
const PARTS_MAX: usize = 64;

/// With more than these, frameworks reserve no more there: operators can at any time.
const PARTS_FOR_FRAMEWORKS: usize = PARTS_MAX / 2;

/// Carries out an operator's word on what no task holds. Offers that are in the way are taken back, the newest first.
pub(super) fn by_operator(
    state: &mut State,
    id: AgentId,
    operation: &Operation,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    operation.check()?;
    let agent = state.agents.get(&id).ok_or(Refusal::AgentUnknown(id))?;
    if !state.allocator.has_agent(id) {
        return Err(Refusal::AgentAway(id));
    }
    check_limits(state, operation, None)?;
    let (mut free, mut reserved) = (state.allocator.free_on(id), agent.reserved.clone());
    let mut in_the_way: Vec<OfferId> = Vec::new();
    let mut open = state.allocator.offers_of(id).into_iter().rev();
    while let Err(has) = operation.carry_out(&mut free, &mut reserved) {
        let Some(offer) = open.next() else { return Err(not_to_be_had(id, agent, operation, &has)) };
        in_the_way.push(offer);
        free.give(&state.allocator.offer(offer).expect("it is open").portion);
    }
    check_parts(id, agent.reserved.len(), reserved.len(), PARTS_MAX)?;
    offers::rescind(state, in_the_way, OfferEnd::Rescinded, out);
    state.allocator.reserve(id, &reserved);
    state.agents.get_mut(&id).expect("it was just seen").reserved = reserved;
    remember(state, id, out);
    rescind_above_limits(state, out);
    Ok(())
}

/// Carries out what a framework wants done to what it was offered for a role: to that role, and those below it, alone. What comes
/// of it is not [remembered](remember) yet.
pub(super) fn by_framework(
    state: &mut State,
    id: AgentId,
    role: &str,
    operation: &Operation,
    left: &mut Portion,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    operation.check()?;
    if !is_at_or_below(operation.role(), role) {
        return Err(Refusal::NotItsRole(operation.role().to_string(), role.to_string()));
    }
    check_limits(state, operation, Some(role))?;
    let agent = state.agents.get(&id).ok_or(Refusal::AgentUnknown(id))?;
    let (mut has, mut reserved) = (left.clone(), agent.reserved.clone());
    let carried_out = operation.carry_out(&mut has, &mut reserved);
    let (before, after) = carried_out.map_err(|has| not_to_be_had(id, agent, operation, &has))?;
    let (had, has_now) = (agent.reserved.len(), reserved.len());
    check_parts(id, had, has_now, PARTS_FOR_FRAMEWORKS)?;
    let (parts, most) = (state.allocator.parts_of(role), state.config.reservations_per_role);
    if matches!(operation, Operation::Reserve { .. }) && parts + has_now > most + had {
        return Err(Refusal::TooManyReservationsOfRole(role.to_string(), most));
    }
    *left = has;
    state.allocator.reserve_allocated(id, &reserved, &before, &after);
    state.agents.get_mut(&id).expect("it was just seen").reserved = reserved;
    rescind_above_limits(state, out);
    Ok(())
}

/// What is reserved counts towards the role though nobody uses it. It may count towards one above it already: that of which it
/// is refined, or for which it was `offered`.
fn check_limits(state: &State, operation: &Operation, offered: Option<&str>) -> Result<(), Refusal> {
    let Operation::Reserve { role, within, resources } = operation else { return Ok(()) };
    // The deeper of the two, which are on one path.
    let counts_in = within.as_deref().into_iter().chain(offered).max_by_key(|role| role.len());
    match state.allocator.limit_on_reserving(role, counts_in, resources) {
        Some((at, limit)) => Err(Refusal::ReservedAboveLimit(at.to_string(), limit.to_string(), resources.to_string())),
        None => Ok(()),
    }
}

/// With what is reserved, open offers may be more than a role may have.
fn rescind_above_limits(state: &mut State, out: &mut Vec<Effect>) {
    let above = state.allocator.above_limits();
    offers::rescind(state, above, OfferEnd::Rescinded, out);
}

/// Why there is no more than that.
fn not_to_be_had(id: AgentId, agent: &Agent, operation: &Operation, has: &Resources) -> Refusal {
    let wanted = operation.resources();
    let volumes = match operation {
        Operation::Unreserve { role, .. } if wanted.disk > has.disk => volumes::named(agent, role),
        _ => String::new(),
    };
    let (wanted, has) = (wanted.to_string(), has.to_string());
    match volumes.is_empty() {
        true => Refusal::NotToBeHad { agent: id, wanted, has },
        false => Refusal::HeldByVolumes { agent: id, wanted, has, volumes },
    }
}

/// An agent was in so many parts, and is to be in that many.
fn check_parts(id: AgentId, had: usize, has: usize, most: usize) -> Result<(), Refusal> {
    if has > had && has > most { Err(Refusal::TooManyReservations(id, most)) } else { Ok(()) }
}

/// Remembers what is reserved on an agent.
pub(super) fn remember(state: &State, id: AgentId, out: &mut Vec<Effect>) {
    let agent = state.agents.get(&id).expect("the caller has seen the agent");
    if planted::is(Bug::ReservationForgotten) {
        return;
    }
    out.push(Effect::Remember(Change::AgentRecorded(id, agent.record())));
}
