//! Offers: made, declined, taken back.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{Effect, FrameworkEvent};
use super::refusal::Refusal;
use super::state::{OpenOffer, State};
use super::timers::Timer;
use crate::access::Verb;
use crate::allocator::Grant;
use crate::id::{FrameworkId, OfferId, SessionId};
use crate::offer::Offer;
use crate::time::Now;

/// For how long a framework that let an offer expire is not asked for the same. Just long enough that everybody
/// else is asked first: whoever wants it takes it in the same allocation.
const AFTER_EXPIRY: Duration = Duration::from_millis(100);

/// Turns what the allocator grants into offers, one event for each framework.
pub(super) fn make(state: &mut State, now: Now, out: &mut Vec<Effect>) {
    let mut offers: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
    for Grant { framework, agent, resources } in state.allocator.allocate(now) {
        state.last_offer += 1;
        let id = OfferId(state.last_offer);
        let expires = now + state.config.offer_timeout;
        let of_agent = state.agents.get_mut(&agent).expect("only known agents are active");
        of_agent.offers.insert(id);
        offers.entry(framework).or_default().push(Offer {
            id,
            agent,
            agent_name: of_agent.info.name.clone(),
            attributes: of_agent.info.attributes.clone(),
            resources: resources.clone(),
        });
        let of_framework = state.frameworks.get_mut(&framework).expect("only known frameworks are active");
        of_framework.offers.insert(id);
        state.offers.insert(id, OpenOffer { framework, agent, resources, expires });
        state.timers.set(expires, Timer::Offer(id));
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
        if state.offers.get(&id).is_some_and(|offer| offer.framework == framework) {
            let offer = close(state, id);
            state.allocator.free(framework, offer.agent, &offer.resources);
            if !refuse.is_zero() {
                state.allocator.refuse(framework, offer.agent, offer.resources, now + refuse);
            }
        }
    }
    Ok(())
}

pub(super) fn revive(state: &mut State, session: SessionId) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Revive)?;
    state.allocator.revive(framework);
    Ok(())
}

pub(super) fn suppress(state: &mut State, session: SessionId) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Suppress)?;
    state.allocator.suppress(framework);
    Ok(())
}

/// Takes back what nobody answered in time.
pub(super) fn expire(state: &mut State, now: Now, offers: &[OfferId], out: &mut Vec<Effect>) {
    for OpenOffer { framework, agent, resources, .. } in rescind(state, offers.iter().copied(), out) {
        state.allocator.refuse(framework, agent, resources, now + AFTER_EXPIRY);
    }
}

/// Takes offers back and tells their frameworks.
pub(super) fn rescind(
    state: &mut State,
    offers: impl IntoIterator<Item = OfferId>,
    out: &mut Vec<Effect>,
) -> Vec<OpenOffer> {
    let mut rescinded = Vec::new();
    let mut told: BTreeMap<FrameworkId, Vec<OfferId>> = BTreeMap::new();
    for id in offers {
        if state.offers.contains_key(&id) {
            let offer = close(state, id);
            state.allocator.free(offer.framework, offer.agent, &offer.resources);
            told.entry(offer.framework).or_default().push(id);
            rescinded.push(offer);
        }
    }
    for (framework, offers) in told {
        if let Some(session) = state.framework_session(framework) {
            out.push(Effect::ToFramework(session, FrameworkEvent::Rescinded(offers)));
        }
    }
    rescinded
}

/// Takes offers back from a framework that does not listen, or named them itself.
pub(super) fn give_back(state: &mut State, offers: impl IntoIterator<Item = OfferId>) {
    for id in offers {
        let offer = close(state, id);
        state.allocator.free(offer.framework, offer.agent, &offer.resources);
    }
}

/// Ends an open offer. What it promised stays allocated: the caller frees it, or launches tasks on it.
pub(super) fn close(state: &mut State, id: OfferId) -> OpenOffer {
    let offer = state.offers.remove(&id).expect("the caller has seen the offer");
    state.timers.cancel(offer.expires, Timer::Offer(id));
    if let Some(agent) = state.agents.get_mut(&offer.agent) {
        agent.offers.remove(&id);
    }
    if let Some(framework) = state.frameworks.get_mut(&offer.framework) {
        framework.offers.remove(&id);
    }
    offer
}
