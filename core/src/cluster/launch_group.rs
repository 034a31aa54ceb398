//! Launching a group of tasks on offers of one or of several agents, with what is to be done there before: all of it or nothing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
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
use super::operations::{Plan, drop_operation, for_others};
use super::refusal::Refusal;
use super::state::State;
use super::tally::OfferEnd;
use crate::access::Verb;
use crate::group::Group;
use crate::id::{AgentId, FrameworkId, OfferId, SessionId, TaskId, VolumeId};
use crate::offer::OfferOperation;
use crate::placed::{Placed, PlacedOperation};
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

/// What is to be done with offers, as a whole or not at all.
pub(super) struct Accepted {
    /// First these, on the agents that are named with them.
    pub(super) operations: Vec<PlacedOperation>,
    pub(super) tasks: Vec<Placed>,
    /// For how long the rest need not be offered again.
    pub(super) refuse: Duration,
}

/// Why nothing of it is done.
enum Cause {
    Offers(BadOffers),
    /// The operation in this place cannot be done.
    Operation(usize, Refusal),
    Task(TaskId, NotLaunched),
}

pub(super) fn launch_group(
    state: &mut State,
    now: Now,
    session: SessionId,
    offers: &[OfferId],
    Accepted { operations, tasks, refuse }: Accepted,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Launch)?;
    if operations.len() > OfferOperation::MAX {
        return Err(Refusal::TooManyOperations(operations.len()));
    }
    let promised = match promised(state, now, framework, offers) {
        Ok(promised) => promised,
        Err(bad) => {
            let own = |id: &OfferId| state.allocator.offer(*id).is_some_and(|offer| offer.framework == framework);
            let own: BTreeSet<OfferId> = offers.iter().copied().filter(own).collect();
            offers::give_back(state, own, OfferEnd::Accepted);
            tell(state, session, operations, tasks, &Cause::Offers(bad), out);
            return Ok(());
        }
    };
    let mut plan = Plan::new(state, session, framework, &promised.role)?;
    for &id in offers {
        offers::close(state, id, OfferEnd::Accepted);
    }
    let mut left = promised.clone();
    let placed = plan_all(state, &mut plan, &operations, &mut left)
        .and_then(|others| Ok((others, place(state, framework, &tasks, &mut left)?)));
    let (left, at_limit) = match placed {
        Ok((others, portions)) => {
            plan.carry_out(state, out);
            for (agent, others) in others {
                state.allocator.free(framework, &left.role, agent, &others);
            }
            carry_out(state, (now, left.offered), framework, &left.role, tasks.into_iter().zip(portions), out);
            (left, None)
        }
        Err(cause) => {
            tell(state, session, operations, tasks, &cause, out);
            let at_limit = match cause {
                Cause::Task(_, why) => why.limits(),
                Cause::Offers(_) | Cause::Operation(..) => None,
            };
            (promised, at_limit)
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

/// Tells the framework that nothing of it is done: of what was the cause why, and of the rest that it was that.
fn tell(
    state: &mut State,
    session: SessionId,
    operations: Vec<PlacedOperation>,
    tasks: Vec<Placed>,
    cause: &Cause,
    out: &mut Vec<Effect>,
) {
    let why = match cause {
        Cause::Offers(bad) => bad.to_string(),
        Cause::Operation(_, why) => why.to_string(),
        Cause::Task(_, why) => why.to_string(),
    };
    for (at, PlacedOperation { operation, .. }) in operations.into_iter().enumerate() {
        match cause {
            Cause::Operation(cause, _) if *cause == at => drop_operation(session, operation, &why, out),
            Cause::Offers(_) => drop_operation(session, operation, &why, out),
            _ => drop_operation(session, operation, &format!("it is not done, as all of it is or none: {why}"), out),
        }
    }
    for Placed { task, .. } in tasks {
        match cause {
            Cause::Offers(bad) => report(state, session, task.id, &NotLaunched::Offers(bad.clone()), out),
            Cause::Task(cause, not_launched) if *cause == task.id => {
                refuse_one(state, session, task.id, not_launched, out);
            }
            _ => report(state, session, task.id, &NotLaunched::Group(task.id, why.clone()), out),
        }
    }
}

/// Plans all operations, and takes out of what is left what is for others then: of which agents how much that is.
fn plan_all(
    state: &State,
    plan: &mut Plan,
    operations: &[PlacedOperation],
    left: &mut Promised,
) -> Result<BTreeMap<AgentId, Portion>, Cause> {
    let mut others = BTreeMap::new();
    for (at, PlacedOperation { agent, operation }) in operations.iter().enumerate() {
        let on_agent = left.agents.get_mut(agent).ok_or(Cause::Operation(at, Refusal::NoOfferOf(*agent)))?;
        plan.add(state, *agent, operation, &mut on_agent.left).map_err(|why| Cause::Operation(at, why))?;
        others.insert(*agent, Portion::default());
    }
    for (agent, others) in &mut others {
        if let Some(on_agent) = left.agents.get_mut(agent) {
            *others = for_others(&left.role, &mut on_agent.left);
        }
    }
    Ok(others)
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

/// What each task is given, which is left no more; or the first that cannot be launched, and why.
fn place(state: &State, framework: FrameworkId, tasks: &[Placed], left: &mut Promised) -> Result<Vec<Portion>, Cause> {
    let has = tasks_of_principal(state, framework);
    if let Some(Placed { task, .. }) = tasks.first() {
        if tasks.len() > Group::SIZE_MAX {
            return Err(Cause::Task(task.id, NotLaunched::GroupTooLarge(task.id, tasks.len())));
        }
        check_limits(state, framework, task.id, tasks.len(), has).map_err(|why| Cause::Task(task.id, why))?;
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
            let wants = (&task.resources, task.grants.volumes());
            fit(state, framework, id, wants, &on_agent.offers, has, &mut on_agent.left)
        };
        portions.push(place_one().map_err(|why| Cause::Task(id, why))?);
    }
    Ok(portions)
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
        launch(state, agent, Launched::task(&task, life), portion, order, out);
    }
    for (agent, tasks) in launched {
        let tasks = tasks.iter().map(|(resources, volumes)| (resources, volumes.clone()));
        state.allocator.launched(framework, role, agent, tasks, true);
    }
}
