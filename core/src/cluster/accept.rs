//! What is done with offers: reserving, launching tasks and opening allocations.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{AgentOrder, Announcement, Effect, FrameworkEvent};
use super::moments::Moments;
use super::not_launched::{BadOffers, Limited, NotLaunched};
use super::offers;
use super::operations::{Plan, drop_operation, for_others};
use super::refusal::Refusal;
use super::state::{State, Task};
use super::tally::OfferEnd;
use crate::access::Verb;
use crate::allocator::Promise;
use crate::group::Group;
use crate::id::{AgentId, Digest, FrameworkId, OfferId, SessionId, TaskId, UpdateId, VolumeId};
use crate::offer::OfferOperation;
use crate::planted::{self, Bug};
use crate::queue::AllocationSpec;
use crate::reservation::Portion;
use crate::resources::Resources;
use crate::task::{Source, TaskSpec, TaskState, TaskStatus};
use crate::time::Now;

/// For how long whoever has as many tasks as it may is offered nothing more of the agent, unless it asks for offers again:
/// everybody else could use it. As long as it would hold an offer at most.
const AT_LIMIT: Duration = Duration::from_secs(5);

/// What is to be done with offers.
pub(super) struct Accepted {
    /// First these.
    pub(super) operations: Vec<OfferOperation>,
    pub(super) tasks: Vec<Arc<TaskSpec>>,
    /// For how long the rest need not be offered again.
    pub(super) refuse: Duration,
}

pub(super) fn accept(
    state: &mut State,
    now: Now,
    session: SessionId,
    offers: &[OfferId],
    accepted: Accepted,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let Accepted { operations, tasks, refuse } = accepted;
    let framework = state.framework_of(session, Verb::Launch)?;
    if operations.len() > OfferOperation::MAX {
        return Err(Refusal::TooManyOperations(operations.len()));
    }
    let mut taken = match take(state, now, framework, offers) {
        Ok(taken) => taken,
        Err(bad) => {
            for operation in operations {
                drop_operation(session, operation, &bad.to_string(), out);
            }
            for task in tasks {
                report(state, session, task.id, &NotLaunched::Offers(bad.clone()), out);
            }
            return Ok(());
        }
    };
    if !operations.is_empty() {
        let Taken { agent, role, left, .. } = &mut taken;
        let mut plan = Plan::new(state, session, framework, role)?;
        for operation in operations {
            if let Err(why) = plan.add(state, *agent, &operation, left) {
                drop_operation(session, operation, &why.to_string(), out);
            }
        }
        plan.carry_out(state, out);
        let others = for_others(role, left);
        state.allocator.free(framework, role, *agent, &others);
    }
    let mut has = tasks_of_principal(state, framework);
    let (mut launched, mut at_limit) = (Vec::new(), None);
    for task in tasks {
        let checked = task.check().map_err(|invalid| NotLaunched::Invalid(task.id, invalid));
        let wants = (&task.resources, task.grants.volumes());
        let fits = checked.and_then(|()| fit(state, framework, task.id, wants, offers, has, &mut taken.left));
        match fits {
            Ok(portion) => {
                has += 1;
                let task = counts_towards(task, &taken.role, None);
                launched.push(Arc::clone(&task));
                let order = AgentOrder::Launch(Arc::clone(&task));
                let life = Moments::sent(now, taken.offered, task.waited);
                let launched = Launched::task(&task, life);
                launch(state, taken.agent, launched, portion, order, out);
            }
            Err(why) => {
                at_limit = at_limit.max(why.limits());
                refuse_one(state, session, task.id, &why, out);
            }
        }
    }
    let agent = taken.agent;
    state.allocator.launched(
        framework,
        &taken.role,
        agent,
        launched.iter().map(|task| (&task.resources, task.volumes())),
        false,
    );
    decline_rest(state, now, framework, taken, refuse);
    if let Some(limited) = at_limit {
        rest(state, now, framework, agent, limited);
    }
    Ok(())
}

/// Opens an allocation on offers. It is launched as a task is, and its resources are its own until it ends.
pub(super) fn open(
    state: &mut State,
    now: Now,
    session: SessionId,
    offers: &[OfferId],
    mut spec: Arc<AllocationSpec>,
    refuse: Duration,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    let framework = state.framework_of(session, Verb::Launch)?;
    let id = spec.id;
    let mut taken = match take(state, now, framework, offers) {
        Ok(taken) => taken,
        Err(bad) => {
            report(state, session, id, &NotLaunched::Offers(bad), out);
            return Ok(());
        }
    };
    let has = tasks_of_principal(state, framework);
    let checked = spec.check().map_err(|invalid| NotLaunched::InvalidAllocation(id, invalid));
    // Whether its tasks may write one, the volume says.
    let volumes = spec.volumes.iter().map(|volume| (volume.id, false));
    let fits =
        checked.and_then(|()| fit(state, framework, id, (&spec.resources, volumes), offers, has, &mut taken.left));
    let agent = taken.agent;
    let mut at_limit = None;
    match fits {
        Ok(portion) => {
            // Nobody else holds it, so nothing is copied.
            let told = Arc::make_mut(&mut spec);
            told.role = taken.role.to_string();
            told.volumes.iter_mut().for_each(|volume| volume.writable = !is_shared(state, volume.id));
            let volumes = spec.volumes.iter().map(|volume| volume.id).collect();
            state.allocator.launched(framework, &taken.role, agent, [(&spec.resources, volumes)], false);
            let order = AgentOrder::Open(Arc::clone(&spec));
            let life = Moments::sent(now, taken.offered, None);
            let (name, role) = (&*spec.name, &*spec.role);
            let launched = Launched { id, name, role, module: None, group: None, life };
            launch(state, agent, launched, portion, order, out);
        }
        Err(why) => {
            at_limit = why.limits();
            refuse_one(state, session, id, &why, out);
        }
    }
    decline_rest(state, now, framework, taken, refuse);
    if let Some(limited) = at_limit {
        rest(state, now, framework, agent, limited);
    }
    Ok(())
}

/// How many tasks its principal has, which counts only where that is bounded: the owner is not, and on loopback every
/// framework is its own.
pub(super) fn tasks_of_principal(state: &State, framework: FrameworkId) -> usize {
    let principal = &state.frameworks[&framework].tenant.principal;
    if principal.is_owner() { 0 } else { state.tasks_of_principal(principal) }
}

/// What offers promised that were taken in hand.
pub(super) struct Taken {
    pub(super) agent: AgentId,
    pub(super) role: Arc<str>,
    /// When the last of them was made.
    pub(super) offered: Now,
    pub(super) left: Portion,
}

/// Closes offers of one agent and one role that are the framework's: what they promised is in hand. Of others it gets nothing,
/// and loses what it named.
fn take(state: &mut State, now: Now, framework: FrameworkId, offers: &[OfferId]) -> Result<Taken, BadOffers> {
    let (agent, role, offered) = place_of(state, now, framework, offers).inspect_err(|_| {
        let own = |id: &OfferId| state.allocator.offer(*id).is_some_and(|offer| offer.framework == framework);
        let own: BTreeSet<_> = offers.iter().copied().filter(own).collect();
        offers::give_back(state, own, OfferEnd::Accepted);
    })?;
    let mut left = Portion::default();
    for &id in offers {
        let portion = match planted::is(Bug::OfferNotRemoved) {
            true => state.allocator.offer(id).map(|offer| offer.portion.clone()).unwrap_or_default(),
            false => offers::close(state, id, OfferEnd::Accepted).portion,
        };
        left.give(&portion);
    }
    Ok(Taken { agent, role, offered, left })
}

pub(super) fn decline_rest(state: &mut State, now: Now, framework: FrameworkId, taken: Taken, refuse: Duration) {
    let Taken { agent, role, left, .. } = taken;
    if !left.is_empty() {
        state.allocator.free(framework, &role, agent, &left);
        if !refuse.is_zero() {
            state.allocator.refuse(framework, &role, agent, left.resources, now + refuse);
        }
    }
}

/// Whoever is at a limit is not offered anything of this agent for a while.
pub(super) fn rest(state: &mut State, now: Now, framework: FrameworkId, agent: AgentId, limited: Limited) {
    let Some(all) = state.agents.get(&agent).map(|known| known.info.resources.clone()) else { return };
    // No more of it is revocable than there is.
    let most = all.cpus;
    let all = all.with_revocable(most);
    let principal = &state.frameworks[&framework].tenant.principal;
    let its: Vec<_> = match limited {
        Limited::Framework => Vec::from([framework]),
        Limited::Principal => state.principals.frameworks(principal).iter().copied().collect(),
    };
    for one in its {
        for role in &state.frameworks[&one].info.roles {
            state.allocator.refuse(one, role, agent, all.clone(), now + AT_LIMIT);
        }
    }
}

/// The task as its agent is told of it, which knows its role and its group. Its span is known to who tells it.
pub(super) fn counts_towards(mut task: Arc<TaskSpec>, role: &str, group: Option<Group>) -> Arc<TaskSpec> {
    // Nobody else holds it, so nothing is copied.
    let spec = Arc::make_mut(&mut task);
    spec.role = role.to_string();
    spec.group = group;
    spec.trace = None;
    task
}

/// The one agent that all these offers are of, the one role that they are for, and when the last of them was made.
fn place_of(
    state: &State,
    now: Now,
    framework: FrameworkId,
    offers: &[OfferId],
) -> Result<(AgentId, Arc<str>, Now), BadOffers> {
    let mut offered = Now::ZERO;
    let mut first: Option<(OfferId, AgentId, &Arc<str>)> = None;
    let mut seen = BTreeSet::new();
    for &id in offers {
        let offer = own_offer(state, now, framework, id, &mut seen)?;
        offered = offered.max(offer.since);
        match first {
            Some((other, agent, _)) if agent != offer.agent => {
                return Err(BadOffers::Mixed(other, agent, id, offer.agent));
            }
            Some((other, _, role)) if *role != offer.role => {
                return Err(BadOffers::MixedRoles(other, Arc::clone(role), id, Arc::clone(&offer.role)));
            }
            Some(_) => {}
            None => first = Some((id, offer.agent, &offer.role)),
        }
    }
    first.map(|(_, agent, role)| (agent, Arc::clone(role), offered)).ok_or(BadOffers::None)
}

/// An open offer to a framework that it has not named before.
pub(super) fn own_offer<'a>(
    state: &'a State,
    now: Now,
    framework: FrameworkId,
    id: OfferId,
    seen: &mut BTreeSet<OfferId>,
) -> Result<&'a Promise, BadOffers> {
    let stands = |offer: &&Promise| now < offer.since + state.config.offer_timeout;
    let offer = state.allocator.offer(id).filter(stands).ok_or(BadOffers::Gone(id))?;
    if offer.framework != framework {
        return Err(BadOffers::NotIts(id, framework));
    }
    if !seen.insert(id) {
        return Err(BadOffers::Twice(id));
    }
    Ok(offer)
}

/// Takes what a task wants out of what is left, when nothing speaks against it. The framework's principal `has` so many
/// tasks already.
pub(super) fn fit(
    state: &State,
    framework: FrameworkId,
    id: TaskId,
    (resources, volumes): (&Resources, impl Iterator<Item = (VolumeId, bool)> + Clone),
    offers: &[OfferId],
    has: usize,
    left: &mut Portion,
) -> Result<Portion, NotLaunched> {
    if id.framework != framework {
        return Err(NotLaunched::NotIts(id, framework));
    }
    let known = state.task(id).map(|known| known.status.state).or_else(|| state.queued_state(id));
    if let Some(known) = known.filter(|_| !planted::is(Bug::NumberReused)) {
        return Err(NotLaunched::Reused(id, known));
    }
    check_limits(state, framework, id, 1, has)?;
    let named = || offers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    for (volume, writable) in volumes.clone() {
        if !left.volumes.contains(&volume) {
            return Err(NotLaunched::NoVolume(id, volume, named()));
        }
        if writable && is_shared(state, volume) {
            return Err(NotLaunched::VolumeShared(id, volume));
        }
    }
    let mut portion = left.take(resources).map_err(|shortage| NotLaunched::TooBig(id, named(), shortage))?;
    let mounted = Portion { volumes: volumes.map(|(volume, _)| volume).collect(), ..Portion::default() };
    portion.give(&mounted);
    // What is shared is there for the next task as well.
    left.volumes.retain(|volume| {
        !portion.volumes.contains(volume) || is_shared(state, *volume) || planted::is(Bug::VolumeForTwo)
    });
    Ok(portion)
}

pub(super) fn is_shared(state: &State, volume: VolumeId) -> bool {
    let known = state.agents.get(&volume.agent).and_then(|agent| agent.volumes.known.get(&volume));
    known.is_some_and(|volume| volume.shared)
}

/// Whether a framework may have so many tasks more, whose principal `has` so many.
pub(super) fn check_limits(
    state: &State,
    framework: FrameworkId,
    id: TaskId,
    more: usize,
    has: usize,
) -> Result<(), NotLaunched> {
    let known = &state.frameworks[&framework];
    if known.held_tasks() + more > state.config.tasks_per_framework {
        return Err(NotLaunched::TooMany(id, framework, known.held_tasks()));
    }
    let (most, principal) = (state.config.tasks_per_principal, &known.tenant.principal);
    if has + more > most && !principal.is_owner() {
        return Err(NotLaunched::TooManyOfPrincipal { task: id, principal: Arc::clone(principal), most, has });
    }
    if known.unacknowledged() >= state.config.unacknowledged_per_framework {
        return Err(NotLaunched::Unacknowledged(id, framework, known.unacknowledged()));
    }
    Ok(())
}

/// A task or an allocation that is launched.
pub(super) struct Launched<'a> {
    pub(super) id: TaskId,
    pub(super) name: &'a str,
    /// For which role.
    pub(super) role: &'a str,
    /// `None`: an allocation.
    pub(super) module: Option<Digest>,
    pub(super) group: Option<Group>,
    pub(super) life: Moments,
}

impl<'a> Launched<'a> {
    /// As its spec has it.
    pub(super) fn task(spec: &'a TaskSpec, life: Moments) -> Self {
        let TaskSpec { id, ref name, ref role, module, group, .. } = *spec;
        Self { id, name, role, module: Some(module), group, life }
    }
}

pub(super) fn launch(
    state: &mut State,
    agent: AgentId,
    Launched { id, name, role, module, group, life }: Launched<'_>,
    portion: Portion,
    order: AgentOrder,
    out: &mut Vec<Effect>,
) {
    let status = TaskStatus {
        agent: Some(agent),
        ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, TaskState::Staging, Source::Master)
    };
    let task = Task {
        name: name.into(),
        tenant: state.tenant_in(id.framework, role),
        agent,
        portion,
        // The offer's promise becomes the task's.
        holds: true,
        kill: false,
        preempted: false,
        module: module.map(|module| state.modules.take(module)),
        nth: state.next_task(),
        life,
        latest_update: UpdateId::UNACKNOWLEDGED,
        status: status.clone().into(),
        kept: false,
        group: group.map(Box::new),
        allocation: matches!(order, AgentOrder::Open(_)).then(Box::default),
    };
    state.insert_task(id, task);
    state.tally.launches(1);
    state.note_holder(agent, id.framework);
    let session = state.agent_session(agent).expect("offers of an agent end with its connection");
    out.push(Effect::ToAgent(session, order));
    out.push(Effect::Announce(Announcement::Task(status)));
}

pub(super) fn refuse_one(state: &mut State, session: SessionId, id: TaskId, why: &NotLaunched, out: &mut Vec<Effect>) {
    if let NotLaunched::TooManyOfPrincipal { principal, .. } = why {
        state.principals.note_dropped(principal);
    }
    report(state, session, id, why, out);
}

/// Tells the framework that asked, whosever id it used. The master keeps nothing of a task that never was.
pub(super) fn report(state: &mut State, session: SessionId, task: TaskId, why: &NotLaunched, out: &mut Vec<Effect>) {
    let (verdict, reason) = why.verdict();
    state.tally.refuses_launch((verdict, reason), 1);
    let status = TaskStatus {
        reason: Some(reason),
        message: why.to_string(),
        ..TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, verdict, Source::Master)
    };
    out.push(Effect::ToFramework(session, FrameworkEvent::Update(status)));
}
