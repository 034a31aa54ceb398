//! Reserving what agents have, by operators and frameworks.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::effect::{Change, Effect};
use super::refusal::Refusal;
use super::state::{Agent, State};
use super::tally::OfferEnd;
use super::{offers, volumes};
use crate::id::{AgentId, OfferId};
use crate::planted::{self, Bug};
use crate::reservation::{Operation, Portion, Reserved, is_at_or_below};
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
    check_limits(state, operation, None, &[])?;
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

/// What the operations of one framework come to that are planned and not carried out.
#[derive(Default)]
pub(super) struct Draft {
    /// What is reserved on agents then.
    reserved: BTreeMap<AgentId, Vec<Reserved>>,
    /// What counts towards more roles than before.
    more: Vec<More>,
    /// How many parts there are more, and fewer.
    parts: (usize, usize),
}

/// Something counts towards a role, and those above it up to one in which it counts already.
struct More {
    role: String,
    counts_in: Option<String>,
    resources: Resources,
}

impl More {
    fn counts_towards(&self, role: &str) -> bool {
        let is_new = |within: &str| role != within && is_at_or_below(role, within);
        is_at_or_below(&self.role, role) && self.counts_in.as_deref().is_none_or(is_new)
    }
}

/// What becomes of something that was offered.
pub(super) struct Step {
    /// What is reserved on that agent then.
    reserved: Vec<Reserved>,
    before: Portion,
    after: Portion,
}

/// What a framework wants done to what it was offered for a role: to that role, and those below it, alone. Behind what is planned
/// already; changes that and what is left only when it can be done.
pub(super) fn plan(
    state: &State,
    draft: &mut Draft,
    id: AgentId,
    role: &str,
    operation: &Operation,
    left: &mut Portion,
) -> Result<Step, Refusal> {
    operation.check()?;
    if !is_at_or_below(operation.role(), role) {
        return Err(Refusal::NotItsRole(operation.role().to_string(), role.to_string()));
    }
    let more = check_limits(state, operation, Some(role), &draft.more)?;
    let agent = state.agents.get(&id).ok_or(Refusal::AgentUnknown(id))?;
    let (mut has, mut reserved) = (left.clone(), draft.reserved.get(&id).unwrap_or(&agent.reserved).clone());
    let had = reserved.len();
    let carried_out = operation.carry_out(&mut has, &mut reserved);
    let (before, after) = carried_out.map_err(|has| not_to_be_had(id, agent, operation, &has))?;
    let has_now = reserved.len();
    check_parts(id, had, has_now, PARTS_FOR_FRAMEWORKS)?;
    let (parts, most) = (state.allocator.parts_of(role), state.config.reservations_per_role);
    let (made, ended) = draft.parts;
    if more.is_some() && parts + made + has_now > most + ended + had {
        return Err(Refusal::TooManyReservationsOfRole(role.to_string(), most));
    }
    draft.more.extend(more);
    draft.parts = (made + has_now.saturating_sub(had), ended + had.saturating_sub(has_now));
    draft.reserved.insert(id, reserved.clone());
    *left = has;
    Ok(Step { reserved, before, after })
}

/// Does what was planned. It is not [remembered](remember) yet.
pub(super) fn carry_out(state: &mut State, id: AgentId, step: Step, out: &mut Vec<Effect>) {
    let Step { reserved, before, after } = step;
    state.allocator.reserve_allocated(id, &reserved, &before, &after);
    state.agents.get_mut(&id).expect("it was there when this was planned").reserved = reserved;
    rescind_above_limits(state, out);
}

/// What is reserved counts towards the role though nobody uses it. It may count towards one above it already: that of which it
/// is refined, or for which it was `offered`. Says what counts from then on, beside what is `planned`; nothing of what ends.
fn check_limits(
    state: &State,
    operation: &Operation,
    offered: Option<&str>,
    planned: &[More],
) -> Result<Option<More>, Refusal> {
    let Operation::Reserve { role, within, resources } = operation else { return Ok(None) };
    // The deeper of the two, which are on one path.
    let counts_in = within.as_deref().into_iter().chain(offered).max_by_key(|role| role.len());
    let more = |role: &str| {
        let mut sum = resources.clone();
        planned.iter().filter(|more| more.counts_towards(role)).for_each(|more| sum.give(&more.resources));
        sum
    };
    match state.allocator.limit_on_reserving(role, counts_in, more) {
        Some((at, limit)) => Err(Refusal::ReservedAboveLimit(at.to_string(), limit.to_string(), resources.to_string())),
        None => {
            let (role, counts_in) = (role.clone(), counts_in.map(ToString::to_string));
            Ok(Some(More { role, counts_in, resources: resources.clone() }))
        }
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
