//! What is done with offers: reserving, and launching tasks.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::effect::{AgentOrder, Announcement, Effect, FrameworkEvent};
use super::refusal::Refusal;
use super::state::{State, Task};
use super::{offers, reserve};
use crate::access::{PrincipalId, Verb};
use crate::allocator::Promise;
use crate::id::{AgentId, FrameworkId, OfferId, SessionId, TaskId, UpdateId};
use crate::planted::{self, Bug};
use crate::reservation::{Operation, Portion};
use crate::resources::Shortage;
use crate::spec::InvalidSpec;
use crate::task::{Reason, Source, TaskSpec, TaskState, TaskStatus};
use crate::time::Now;

/// What is wrong with the offers of an accept: nothing can be launched on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum BadOffers {
    #[error("no offer to launch on was named")]
    None,
    #[error("{0} is gone: it was answered, rescinded or expired")]
    Gone(OfferId),
    #[error("{0} was not made to {1}")]
    NotIts(OfferId, FrameworkId),
    #[error("{0} is named twice")]
    Twice(OfferId),
    #[error("{0} is of {1} and {2} of {3}: offers can be combined when they are of one agent")]
    Mixed(OfferId, AgentId, OfferId, AgentId),
    #[error("{0} is for {1:?} and {2} for {3:?}: offers can be combined when they are for one role")]
    MixedRoles(OfferId, Arc<str>, OfferId, Arc<str>),
}

/// Why one task was not launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotLaunched {
    #[error(transparent)]
    Offers(#[from] BadOffers),
    #[error("{0} does not fit {1}: {2}")]
    TooBig(TaskId, String, Shortage),
    #[error("{0} is one too many: {1} has {2} tasks that run or whose end it has not acknowledged")]
    TooMany(TaskId, FrameworkId, usize),
    #[error(
        "{task} is one too many: {name:?} is at its limit tasks={most}: it has {has} that run or whose end it has not acknowledged",
        name = principal.name
    )]
    TooManyOfPrincipal { task: TaskId, principal: Arc<PrincipalId>, most: usize, has: usize },
    #[error("{0} is not launched while {1} has {2} ends to acknowledge")]
    Unacknowledged(TaskId, FrameworkId, usize),
    #[error("{0} is not of {1}")]
    NotIts(TaskId, FrameworkId),
    #[error("{0} was used before, and is {1}: task ids are used once")]
    Reused(TaskId, TaskState),
    #[error("{0} cannot run anywhere: {1}")]
    Invalid(TaskId, InvalidSpec),
}

impl NotLaunched {
    /// A spec that is wrong stays wrong; everything else may work on another offer.
    fn verdict(&self) -> (TaskState, Reason) {
        match self {
            Self::Offers(_) | Self::TooBig(..) => (TaskState::Dropped, Reason::InvalidOffers),
            Self::TooMany(..) | Self::TooManyOfPrincipal { .. } | Self::Unacknowledged(..) => {
                (TaskState::Dropped, Reason::FrameworkLimit)
            }
            Self::NotIts(..) | Self::Reused(..) | Self::Invalid(..) => (TaskState::Error, Reason::TaskInvalid),
        }
    }
}

/// What is to be done with offers.
pub(super) struct Accepted {
    /// First these.
    pub(super) operations: Vec<Operation>,
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
    let (agent, role) = match place_of(state, now, framework, offers) {
        Ok(place) => place,
        Err(bad) => {
            let own = |id: &OfferId| state.allocator.offer(*id).is_some_and(|offer| offer.framework == framework);
            let own: BTreeSet<_> = offers.iter().copied().filter(own).collect();
            offers::give_back(state, own);
            for operation in operations {
                drop_operation(session, operation, bad.to_string(), out);
            }
            for task in tasks {
                report(session, task.id, &NotLaunched::Offers(bad.clone()), out);
            }
            return Ok(());
        }
    };
    // The owner is not bounded, and on loopback every framework is its own.
    let principal = &state.frameworks[&framework].tenant.principal;
    let mut has = if principal.is_owner() { 0 } else { state.tasks_of_principal(principal) };
    let mut left = Portion::default();
    for &id in offers {
        let portion = match planted::is(Bug::OfferNotRemoved) {
            true => state.allocator.offer(id).map(|offer| offer.portion.clone()).unwrap_or_default(),
            false => offers::close(state, id).portion,
        };
        left.give(&portion);
    }
    for operation in operations {
        let who = state.sessions.principal(session)?.clone();
        let verb = match operation {
            Operation::Reserve { .. } => Verb::ReserveOffered,
            Operation::Unreserve { .. } => Verb::UnreserveOffered,
        };
        let done = match who.may_use(verb, operation.role()) {
            true => reserve::by_framework(state, agent, &role, &operation, &mut left, out),
            false => Err(Refusal::RoleDenied(who, operation.role().to_string())),
        };
        if let Err(why) = done {
            drop_operation(session, operation, why.to_string(), out);
        }
    }
    let mut launched = Vec::new();
    for task in tasks {
        match fit(state, framework, &task, offers, has, &mut left) {
            Ok(portion) => {
                has += 1;
                let task = counts_towards(task, &role);
                launched.push(Arc::clone(&task));
                launch(state, framework, agent, task, portion, out);
            }
            Err(why) => {
                if let NotLaunched::TooManyOfPrincipal { principal, .. } = &why {
                    state.principals.note_dropped(principal);
                }
                report(session, task.id, &why, out);
            }
        }
    }
    state.allocator.launched(framework, &role, launched.iter().map(|task| &task.resources));
    if !left.is_empty() {
        state.allocator.free(framework, &role, agent, &left);
        if !refuse.is_zero() {
            state.allocator.refuse(framework, &role, agent, left.resources, now + refuse);
        }
    }
    Ok(())
}

/// The task as its agent is told of it, which knows its role.
fn counts_towards(mut task: Arc<TaskSpec>, role: &str) -> Arc<TaskSpec> {
    // Nobody else holds it, so nothing is copied.
    Arc::make_mut(&mut task).role = role.to_string();
    task
}

/// The one agent that all these offers are of, and the one role that they are for.
fn place_of(
    state: &State,
    now: Now,
    framework: FrameworkId,
    offers: &[OfferId],
) -> Result<(AgentId, Arc<str>), BadOffers> {
    let mut first: Option<(OfferId, AgentId, &Arc<str>)> = None;
    let mut seen = BTreeSet::new();
    for &id in offers {
        let stands = |offer: &&Promise| now < offer.since + state.config.offer_timeout;
        let offer = state.allocator.offer(id).filter(stands).ok_or(BadOffers::Gone(id))?;
        if offer.framework != framework {
            return Err(BadOffers::NotIts(id, framework));
        }
        if !seen.insert(id) {
            return Err(BadOffers::Twice(id));
        }
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
    first.map(|(_, agent, role)| (agent, Arc::clone(role))).ok_or(BadOffers::None)
}

/// Takes what the task wants out of what is left, when nothing speaks against it. The framework's principal `has` so many
/// tasks already.
fn fit(
    state: &State,
    framework: FrameworkId,
    task: &TaskSpec,
    offers: &[OfferId],
    has: usize,
    left: &mut Portion,
) -> Result<Portion, NotLaunched> {
    if task.id.framework != framework {
        return Err(NotLaunched::NotIts(task.id, framework));
    }
    if let Some(known) = state.task(task.id).filter(|_| !planted::is(Bug::NumberReused)) {
        return Err(NotLaunched::Reused(task.id, known.status.state));
    }
    task.check().map_err(|invalid| NotLaunched::Invalid(task.id, invalid))?;
    let known = &state.frameworks[&framework];
    if known.tasks.len() >= state.config.tasks_per_framework {
        return Err(NotLaunched::TooMany(task.id, framework, known.tasks.len()));
    }
    let (most, principal) = (state.config.tasks_per_principal, &known.tenant.principal);
    if has >= most && !principal.is_owner() {
        return Err(NotLaunched::TooManyOfPrincipal { task: task.id, principal: Arc::clone(principal), most, has });
    }
    if known.ended >= state.config.unacknowledged_per_framework {
        return Err(NotLaunched::Unacknowledged(task.id, framework, known.ended));
    }
    left.take(&task.resources).map_err(|shortage| {
        let offers: Vec<_> = offers.iter().map(ToString::to_string).collect();
        NotLaunched::TooBig(task.id, offers.join(" and "), shortage)
    })
}

fn launch(
    state: &mut State,
    framework: FrameworkId,
    agent: AgentId,
    spec: Arc<TaskSpec>,
    portion: Portion,
    out: &mut Vec<Effect>,
) {
    let id = spec.id;
    let status = TaskStatus {
        agent: Some(agent),
        ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, TaskState::Staging, Source::Master)
    };
    let task = Task {
        name: spec.name.clone(),
        tenant: state.tenant_in(framework, &spec.role),
        agent,
        portion,
        // The offer's promise becomes the task's.
        holds: true,
        kill: false,
        latest_update: UpdateId::UNACKNOWLEDGED,
        status: status.clone(),
        kept: false,
    };
    state.insert_task(id, task);
    let session = state.agent_session(agent).expect("offers of an agent end with its connection");
    out.push(Effect::ToAgent(session, AgentOrder::Launch(spec)));
    out.push(Effect::Announce(Announcement::Task(status)));
}

/// Tells the framework of something that is not done.
fn drop_operation(session: SessionId, operation: Operation, why: String, out: &mut Vec<Effect>) {
    out.push(Effect::ToFramework(session, FrameworkEvent::OperationDropped { operation, why }));
}

/// Tells the framework that asked, whosever id it used. The master keeps nothing of a task that never was.
fn report(session: SessionId, task: TaskId, why: &NotLaunched, out: &mut Vec<Effect>) {
    let (verdict, reason) = why.verdict();
    let status = TaskStatus {
        reason: Some(reason),
        message: why.to_string(),
        ..TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, verdict, Source::Master)
    };
    out.push(Effect::ToFramework(session, FrameworkEvent::Update(status)));
}
