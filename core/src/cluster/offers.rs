//! Offers: made, declined, taken back.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{Effect, FrameworkEvent};
use super::refusal::Refusal;
use super::state::State;
use super::tally::OfferEnd;
use super::timers::Timer;
use crate::access::Verb;
use crate::allocator::{Allocation, Promise};
use crate::demand::Want;
use crate::id::{FrameworkId, OfferId, SessionId};
use crate::offer::Offer;
use crate::time::Now;

/// For how long a framework that let an offer expire is not asked for the same. Just long enough that everybody
/// else is asked first: whoever wants it takes it in the same allocation.
const AFTER_EXPIRY: Duration = Duration::from_millis(100);

/// Turns what the allocator decides into offers and rescinds, one event of each kind for each framework.
pub(super) fn make(state: &mut State, now: Now, out: &mut Vec<Effect>) {
    let most = state.config.agents_at_once;
    let Allocation { rescinded, offers: made, examined } = state.allocator.allocate_slice(now, most);
    state.tally.examined(examined);
    state.tally.offered(made.len());
    state.tally.offer_ends(OfferEnd::Rescinded, rescinded.len());
    let mut gone: BTreeMap<FrameworkId, Vec<OfferId>> = BTreeMap::new();
    for (id, promise) in rescinded {
        state.timers.cancel(promise.since + state.config.offer_timeout, Timer::Offer(id));
        gone.entry(promise.framework).or_default().push(id);
        state.note_holder(promise.agent, promise.framework);
    }
    tell_rescinded(state, gone, out);
    let mut offers: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
    for id in made {
        let Promise { framework, agent, ref role, ref portion, since, .. } =
            *state.allocator.offer(id).expect("it was just made");
        let info = &state.agents.get(&agent).expect("only known agents are active").info;
        state.timers.set(since + state.config.offer_timeout, Timer::Offer(id));
        let unavailability = state.maintenance.next_of(agent);
        offers.entry(framework).or_default().push(Offer {
            id,
            agent,
            agent_name: info.name.clone(),
            attributes: info.attributes.clone(),
            role: role.to_string(),
            resources: portion.resources.clone(),
            reserved: portion.reserved.clone(),
            volumes: state.volumes_of(agent, &portion.volumes),
            unavailability,
        });
        if unavailability.is_some() {
            state.note_holder(agent, framework);
        }
    }
    for (framework, offers) in offers {
        let session = state.framework_session(framework).expect("only connected frameworks are active");
        out.push(Effect::ToFramework(session, FrameworkEvent::Offers(offers)));
    }
}

/// Offers that are gone, or somebody else's, are passed over: they cannot be had either way.
pub(super) fn decline(
    state: &mut State,
    now: Now,
    session: SessionId,
    offers: &[OfferId],
    refuse: Duration,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Decline)?;
    for &id in offers {
        if state.allocator.offer(id).is_some_and(|offer| offer.framework == framework) {
            let offer = close(state, id, OfferEnd::Declined);
            state.allocator.free(framework, &offer.role, offer.agent, &offer.portion);
            if !refuse.is_zero() {
                state.allocator.refuse(framework, &offer.role, offer.agent, offer.portion.resources, now + refuse);
            }
        }
    }
    Ok(())
}

pub(super) fn demand(
    state: &mut State,
    session: SessionId,
    role: Option<String>,
    wants: &[Want],
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Demand)?;
    let role = its_role(state, framework, role)?;
    Want::check_all(wants)?;
    state.allocator.demand(framework, role.as_deref(), wants);
    Ok(())
}

pub(super) fn revive(state: &mut State, session: SessionId, role: Option<String>) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Revive)?;
    let role = its_role(state, framework, role)?;
    state.allocator.revive(framework, role.as_deref());
    Ok(())
}

pub(super) fn suppress(state: &mut State, session: SessionId, role: Option<String>) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Suppress)?;
    let role = its_role(state, framework, role)?;
    state.allocator.suppress(framework, role.as_deref());
    Ok(())
}

/// Makes sure that a framework is in the role of which it speaks, if it names one.
fn its_role(state: &State, framework: FrameworkId, role: Option<String>) -> Result<Option<String>, Refusal> {
    let roles = &state.frameworks[&framework].info.roles;
    match role {
        Some(role) if !roles.contains(&role) => Err(Refusal::NotInRole(framework, role, roles.join(", "))),
        role => Ok(role),
    }
}

/// Takes back what nobody answered in time.
pub(super) fn expire(state: &mut State, now: Now, offers: &[OfferId], out: &mut Vec<Effect>) {
    for Promise { framework, role, agent, portion, .. } in
        rescind(state, offers.iter().copied(), OfferEnd::Expired, out)
    {
        state.allocator.refuse(framework, &role, agent, portion.resources, now + AFTER_EXPIRY);
    }
}

/// Takes offers back and tells their frameworks.
pub(super) fn rescind(
    state: &mut State,
    offers: impl IntoIterator<Item = OfferId>,
    end: OfferEnd,
    out: &mut Vec<Effect>,
) -> Vec<Promise> {
    let mut rescinded = Vec::new();
    let mut told: BTreeMap<FrameworkId, Vec<OfferId>> = BTreeMap::new();
    for id in offers {
        if state.allocator.offer(id).is_some() {
            let offer = close(state, id, end);
            state.allocator.free(offer.framework, &offer.role, offer.agent, &offer.portion);
            told.entry(offer.framework).or_default().push(id);
            rescinded.push(offer);
        }
    }
    tell_rescinded(state, told, out);
    rescinded
}

fn tell_rescinded(state: &State, offers: BTreeMap<FrameworkId, Vec<OfferId>>, out: &mut Vec<Effect>) {
    for (framework, offers) in offers {
        if let Some(session) = state.framework_session(framework) {
            out.push(Effect::ToFramework(session, FrameworkEvent::Rescinded(offers)));
        }
    }
}

/// Takes offers back from a framework that does not listen, or named them itself.
pub(super) fn give_back(state: &mut State, offers: impl IntoIterator<Item = OfferId>, end: OfferEnd) {
    for id in offers {
        let offer = close(state, id, end);
        state.allocator.free(offer.framework, &offer.role, offer.agent, &offer.portion);
    }
}

/// Ends an open offer. What it promised stays allocated: the caller frees it, or launches tasks on it.
pub(super) fn close(state: &mut State, id: OfferId, end: OfferEnd) -> Promise {
    let offer = state.allocator.close(id).expect("the caller has seen the offer");
    state.timers.cancel(offer.since + state.config.offer_timeout, Timer::Offer(id));
    state.tally.offer_ends(end, 1);
    state.note_holder(offer.agent, offer.framework);
    offer
}
