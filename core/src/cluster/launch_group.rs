//! Launching a group of tasks on offers of one or of several agents: all of them or none.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::accept::{
    Launched, Taken, check_limits, counts_towards, decline_rest, fit, launch, own_offer, refuse_one, report, rest,
    tasks_of_principal,
};
use super::effect::{AgentOrder, Effect};
use super::moments::Moments;
use super::not_launched::{BadOffers, NotLaunched};
use super::offers;
use super::refusal::Refusal;
use super::state::State;
use super::tally::OfferEnd;
use crate::access::Verb;
use crate::group::{Group, Placed};
use crate::id::{AgentId, FrameworkId, OfferId, SessionId, TaskId, VolumeId};
use crate::reservation::Portion;
use crate::resources::Resources;
use crate::time::Now;

/// What offers promise for one role, by agent.
#[derive(Clone)]
struct Promised {
    role: Arc<str>,
    /// When the last of them was made.
    offered: Now,
    agents: BTreeMap<AgentId, OnAgent>,
}

#[derive(Clone, Default)]
struct OnAgent {
    offers: Vec<OfferId>,
    left: Portion,
}

pub(super) fn launch_group(
    state: &mut State,
    now: Now,
    session: SessionId,
    offers: &[OfferId],
    tasks: Vec<Placed>,
    refuse: Duration,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Launch)?;
    let promised = match promised(state, now, framework, offers) {
        Ok(promised) => promised,
        Err(bad) => {
            let own = |id: &OfferId| state.allocator.offer(*id).is_some_and(|offer| offer.framework == framework);
            let own: BTreeSet<OfferId> = offers.iter().copied().filter(own).collect();
            offers::give_back(state, own, OfferEnd::Accepted);
            for Placed { task, .. } in tasks {
                report(state, session, task.id, &NotLaunched::Offers(bad.clone()), out);
            }
            return Ok(());
        }
    };
    let placed = place(state, framework, &tasks, promised.clone());
    for &id in offers {
        offers::close(state, id, OfferEnd::Accepted);
    }
    let (left, at_limit) = match placed {
        Ok((portions, left)) => {
            carry_out(state, (now, promised.offered), framework, &promised.role, tasks.into_iter().zip(portions), out);
            (left, None)
        }
        Err((cause, why)) => {
            for Placed { task, .. } in tasks {
                match task.id == cause {
                    true => refuse_one(state, session, task.id, &why, out),
                    false => report(state, session, task.id, &NotLaunched::Group(task.id, why.to_string()), out),
                }
            }
            (promised, why.limits())
        }
    };
    for (agent, OnAgent { left: rest_of_it, .. }) in left.agents {
        let taken = Taken { agent, role: Arc::clone(&left.role), offered: left.offered, left: rest_of_it };
        decline_rest(state, now, framework, taken, refuse);
        if let Some(limited) = at_limit {
            rest(state, now, framework, agent, limited);
        }
    }
    Ok(())
}

/// What these offers promise, all of which are open, the framework's, and for one role. Nothing is changed yet.
fn promised(state: &State, now: Now, framework: FrameworkId, offers: &[OfferId]) -> Result<Promised, BadOffers> {
    let mut seen = BTreeSet::new();
    let mut agents: BTreeMap<AgentId, OnAgent> = BTreeMap::new();
    let mut offered = Now::ZERO;
    let mut first: Option<(OfferId, &Arc<str>)> = None;
    for &id in offers {
        let offer = own_offer(state, now, framework, id, &mut seen)?;
        offered = offered.max(offer.since);
        let (other, role) = *first.get_or_insert((id, &offer.role));
        if *role != offer.role {
            return Err(BadOffers::MixedRoles(other, Arc::clone(role), id, Arc::clone(&offer.role)));
        }
        let on_agent = agents.entry(offer.agent).or_default();
        on_agent.offers.push(id);
        on_agent.left.give(&offer.portion);
    }
    let (_, role) = first.ok_or(BadOffers::None)?;
    Ok(Promised { role: Arc::clone(role), offered, agents })
}

/// What each task is given, and what is left then; or the first that cannot be launched, and why.
fn place(
    state: &State,
    framework: FrameworkId,
    tasks: &[Placed],
    mut left: Promised,
) -> Result<(Vec<Portion>, Promised), (TaskId, NotLaunched)> {
    let has = tasks_of_principal(state, framework);
    if let Some(Placed { task, .. }) = tasks.first() {
        if tasks.len() > Group::SIZE_MAX {
            return Err((task.id, NotLaunched::GroupTooLarge(task.id, tasks.len())));
        }
        check_limits(state, framework, task.id, tasks.len(), has).map_err(|why| (task.id, why))?;
    }
    let mut seen = BTreeSet::new();
    let mut portions = Vec::with_capacity(tasks.len());
    for Placed { agent, task } in tasks {
        let id = task.id;
        let mut place_one = || {
            if !seen.insert(id) {
                return Err(NotLaunched::Twice(id));
            }
            task.check().map_err(|invalid| NotLaunched::Invalid(id, invalid))?;
            let on_agent = left.agents.get_mut(agent).ok_or(NotLaunched::NoOffer(id, *agent))?;
            let wants = (&task.resources, &task.grants);
            fit(state, framework, id, wants, &on_agent.offers, has, &mut on_agent.left)
        };
        portions.push(place_one().map_err(|why| (id, why))?);
    }
    Ok((portions, left))
}

fn carry_out(
    state: &mut State,
    (now, offered): (Now, Now),
    framework: FrameworkId,
    role: &Arc<str>,
    tasks: impl ExactSizeIterator<Item = (Placed, Portion)>,
    out: &mut Vec<Effect>,
) {
    let size = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let mut group = None;
    let mut launched: BTreeMap<AgentId, Vec<(Resources, Vec<VolumeId>)>> = BTreeMap::new();
    for (Placed { agent, task }, portion) in tasks {
        let group = *group.get_or_insert(Group { first: task.id.number, size });
        launched.entry(agent).or_default().push((task.resources.clone(), task.volumes()));
        let task = counts_towards(task, role, Some(group));
        let order = AgentOrder::Launch(Arc::clone(&task));
        let life = Moments::sent(now, offered, task.waited);
        let launched = Launched { id: task.id, name: &task.name, role: &task.role, group: Some(group), life };
        launch(state, agent, launched, portion, order, out);
    }
    for (agent, tasks) in launched {
        let tasks = tasks.iter().map(|(resources, volumes)| (resources, volumes.clone()));
        state.allocator.launched(framework, role, agent, tasks, true);
    }
}
