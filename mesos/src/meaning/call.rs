//! What a scheduler's call means.

mod operations;

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, FrameworkCommand, Question};
use haggle_core::{
    AgentId, Placed, PlacedOperation, Reason, Source, TaskId, TaskSpec, TaskState, TaskStatus, UpdateId,
};

use super::framework::{BadFramework, introduction};
use super::{Dialect, role_in, seconds, status, task};
use crate::ids;
use crate::wire::offer::Filters;
use crate::wire::scheduler::{Accept, Call, CallType, InverseOffers, Reconcile, Roles};
use crate::wire::task::TaskInfo;

/// For how long what was refused is not offered again when nothing is said, as in Mesos.
const REFUSE: Duration = Duration::from_secs(5);

/// The longest time, as in Mesos.
const REFUSE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Tasks of one ACCEPT, tasks of one RECONCILE, and offers of one call.
const ITEMS_MAX: usize = 10_000;

/// What a call comes to.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    /// What the core is told, in this order.
    pub commands: Vec<FrameworkCommand>,
    /// Tasks of which nothing can be made: what their framework is told, behind nothing that it has heard.
    pub refused: Vec<TaskStatus>,
    /// Tasks that the call speaks of.
    pub mentioned: Vec<Mentioned>,
}

/// A task that a framework spoke of, and so will hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mentioned {
    /// The number that it has here.
    pub task: TaskId,
    /// What the framework calls it.
    pub name: String,
    /// Where the framework says that it is, or is to be.
    pub agent: Option<AgentId>,
}

/// Why a call means nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadCall {
    /// The part that its type announces is not there.
    #[error("a call of type {0} has a field {1}, and this one has not")]
    Lacks(&'static str, &'static str),
    /// It is not served.
    #[error("{0} is not served here: {1}")]
    NotServed(&'static str, &'static str),
    /// An amount that is none.
    #[error("{0}")]
    Amount(String),
    /// It names too much.
    #[error("the call names {0} things, and may name {ITEMS_MAX}: make several calls")]
    TooMany(usize),
    /// It introduces nobody.
    #[error(transparent)]
    Framework(#[from] BadFramework),
}

impl Dialect {
    /// What a call of a framework that has subscribed means.
    ///
    /// # Errors
    /// When it means nothing; then nothing is to be done.
    pub fn understand(&self, call: Call) -> Result<Said, BadCall> {
        let kind = call.r#type();
        let one = |command| Ok(Said { commands: vec![command], ..Said::default() });
        match kind {
            CallType::Teardown => one(FrameworkCommand::Teardown),
            CallType::Accept => self.accept(required(call.accept, kind, "accept")?),
            CallType::Decline => {
                let decline = required(call.decline, kind, "decline")?;
                let offers = bounded(decline.offer_ids)?.into_iter();
                // What is none of ours is gone anyway.
                let offers = offers.filter_map(|offer| self.ids.read_offer(&offer.value).ok()).collect();
                one(FrameworkCommand::Decline { offers, refuse: refuse(decline.filters) })
            }
            CallType::AcceptInverseOffers => {
                let (offers, _) = self.inverse(required(call.accept_inverse_offers, kind, "accept_inverse_offers")?)?;
                one(FrameworkCommand::AcceptInverse(offers))
            }
            CallType::DeclineInverseOffers => {
                let (offers, refuse) =
                    self.inverse(required(call.decline_inverse_offers, kind, "decline_inverse_offers")?)?;
                one(FrameworkCommand::DeclineInverse { offers, refuse })
            }
            CallType::Revive => Ok(each_role(call.revive, |role| FrameworkCommand::Revive { role })),
            CallType::Suppress => Ok(each_role(call.suppress, |role| FrameworkCommand::Suppress { role })),
            CallType::Kill => {
                let kill = required(call.kill, kind, "kill")?;
                Ok(self.kill(kill.task_id.value, kill.agent_id.map(|agent| agent.value)))
            }
            CallType::Shutdown => {
                // A task's executor has the name of the task.
                let shutdown = required(call.shutdown, kind, "shutdown")?;
                Ok(self.kill(shutdown.executor_id.value, Some(shutdown.agent_id.value)))
            }
            CallType::Acknowledge => {
                let acknowledge = required(call.acknowledge, kind, "acknowledge")?;
                let task = self.task(&acknowledge.task_id.value);
                // In Mesos, too, one that was not expected is passed over.
                let Some(update) = status::update_of(task, &acknowledge.uuid) else { return Ok(Said::default()) };
                let agent = self.ids.read_agent(&acknowledge.agent_id.value).ok();
                one(FrameworkCommand::Acknowledge(vec![Acknowledgement { task, update, agent }]))
            }
            CallType::Reconcile => self.reconcile(call.reconcile.unwrap_or_default()),
            // For executors of a framework's own, which there are not, and for allocators that listen.
            CallType::Message | CallType::Request | CallType::AcknowledgeOperationStatus => Ok(Said::default()),
            CallType::UpdateFramework => {
                let update = introduction(required(call.update_framework, kind, "update_framework")?)?;
                let mut said = Said { commands: vec![FrameworkCommand::Update(update.info)], ..Said::default() };
                said.commands.extend(suppress(update.suppressed));
                Ok(said)
            }
            CallType::ReconcileOperations => {
                Err(BadCall::NotServed("RECONCILE_OPERATIONS", "operations have no status of their own"))
            }
            CallType::Subscribe | CallType::Unknown => {
                Err(BadCall::NotServed(kind.word(), "it is no call of a session"))
            }
        }
    }

    fn accept(&self, accept: Accept) -> Result<Said, BadCall> {
        let mut said = Said::default();
        let named = bounded(accept.offer_ids)?;
        let offers: Vec<_> = named.iter().filter_map(|offer| self.ids.read_offer(&offer.value).ok()).collect();
        // With one that is none of ours, nothing can be launched on any: the core says so of an offer that never was.
        let offers = if offers.len() == named.len() { offers } else { vec![haggle_core::OfferId(0)] };
        let refuse = refuse(accept.filters);
        let mut tasks = Vec::new();
        let (mut group, mut group_fails) = (Vec::new(), false);
        let operations = operations::understand(&accept.operations)?;
        for operation in accept.operations {
            for info in operation.launch.into_iter().flat_map(|launch| launch.task_infos) {
                tasks.extend(self.launch(info, &mut said));
            }
            for info in operation.launch_group.into_iter().flat_map(|launch| launch.task_group.tasks) {
                let agent = self.ids.read_agent(&info.agent_id.value).unwrap_or(AgentId(0));
                match self.launch(info, &mut said) {
                    Some(task) => group.push(Placed { agent, task }),
                    None => group_fails = true,
                }
            }
        }
        if tasks.len() + group.len() + said.refused.len() > ITEMS_MAX {
            return Err(BadCall::TooMany(tasks.len() + group.len() + said.refused.len()));
        }
        if group_fails {
            let whole = "TASK_GROUP: another task of its group cannot run";
            said.refused
                .extend(group.drain(..).map(|placed| refused(placed.task.id, Some(placed.agent), whole.to_owned())));
        }
        // In Mesos, too, the offers of one call are all of one agent.
        said.commands.push(match group.first().map(|placed| placed.agent) {
            None => FrameworkCommand::Accept { offers, operations, tasks, refuse },
            Some(agent) => {
                let placed = |operation| PlacedOperation { agent, operation };
                let operations = operations.into_iter().map(placed).collect();
                FrameworkCommand::LaunchGroup { offers, operations, tasks: group, refuse }
            }
        });
        Ok(said)
    }

    fn launch(&self, info: TaskInfo, said: &mut Said) -> Option<Arc<TaskSpec>> {
        let id = self.task(&info.task_id.value);
        let agent = self.ids.read_agent(&info.agent_id.value).ok();
        said.mentioned.push(Mentioned { task: id, name: info.task_id.value.clone(), agent });
        match task::spec(self.framework, info) {
            Ok(spec) => Some(Arc::new(spec)),
            Err(why) => {
                said.refused.push(refused(id, agent, why.to_string()));
                None
            }
        }
    }

    fn kill(&self, name: String, agent: Option<String>) -> Said {
        let task = self.task(&name);
        let agent = agent.and_then(|agent| self.ids.read_agent(&agent).ok());
        Said {
            commands: vec![FrameworkCommand::Kill(task)],
            mentioned: vec![Mentioned { task, name, agent }],
            ..Said::default()
        }
    }

    fn reconcile(&self, reconcile: Reconcile) -> Result<Said, BadCall> {
        let mut said = Said::default();
        let mut questions = Vec::new();
        for question in bounded(reconcile.tasks)? {
            let (name, task) = (question.task_id.value.clone(), self.task(&question.task_id.value));
            let agent = question.agent_id.and_then(|agent| self.ids.read_agent(&agent.value).ok());
            questions.push(Question { task, agent });
            said.mentioned.push(Mentioned { task, name, agent });
        }
        said.commands.push(FrameworkCommand::Reconcile(questions));
        Ok(said)
    }

    fn inverse(&self, answer: InverseOffers) -> Result<(Vec<haggle_core::InverseOfferId>, Duration), BadCall> {
        let offers = bounded(answer.inverse_offer_ids)?.into_iter();
        let offers = offers.filter_map(|offer| self.ids.read_inverse_offer(&offer.value).ok()).collect();
        Ok((offers, refuse(answer.filters)))
    }

    fn task(&self, name: &str) -> TaskId {
        let own = |id: &TaskId| id.framework == self.framework;
        name.parse().ok().filter(own).unwrap_or_else(|| ids::task(self.framework, name))
    }
}

/// Suppresses these roles.
pub(super) fn suppress(roles: Vec<String>) -> impl Iterator<Item = FrameworkCommand> {
    roles.into_iter().map(|role| FrameworkCommand::Suppress { role: Some(role) })
}

fn required<T>(part: Option<T>, kind: CallType, field: &'static str) -> Result<T, BadCall> {
    part.ok_or(BadCall::Lacks(kind.word(), field))
}

fn bounded<T>(items: Vec<T>) -> Result<Vec<T>, BadCall> {
    if items.len() > ITEMS_MAX { Err(BadCall::TooMany(items.len())) } else { Ok(items) }
}

fn each_role(roles: Option<Roles>, command: impl Fn(Option<String>) -> FrameworkCommand) -> Said {
    let roles = roles.unwrap_or_default().roles;
    let commands = match roles.is_empty() {
        true => vec![command(None)],
        false => roles.iter().map(|role| command(Some(role_in(role)))).collect(),
    };
    Said { commands, ..Said::default() }
}

fn refuse(filters: Option<Filters>) -> Duration {
    filters.and_then(|filters| seconds(filters.refuse_seconds?, REFUSE_MAX)).unwrap_or(REFUSE)
}

fn refused(task: TaskId, agent: Option<AgentId>, message: String) -> TaskStatus {
    TaskStatus {
        reason: Some(Reason::TaskInvalid),
        message,
        agent,
        ..TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, TaskState::Error, Source::Master)
    }
}

#[cfg(test)]
mod tests;
