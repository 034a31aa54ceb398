//! Between a framework and the master.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, FrameworkCall, FrameworkCommand, FrameworkEvent, FrameworkInfo, Question};
use haggle_core::{AgentId, Epoch, Offer, OfferId, TaskSpec, UpdateId};

use super::queue::{enqueue, enqueued};
use super::reservation::all_reserved;
use super::task::millis;
use super::upkeep::{inverse, inverse_ids};
use super::volume::volumes;
use super::{Malformed, required};
use crate::v1;
use crate::v1::framework_call::Call;
use crate::v1::framework_event::Event;

/// How long a declined offer is kept away from a framework that does not say; Mesos's default.
const DEFAULT_REFUSE: Duration = Duration::from_secs(5);

impl From<FrameworkInfo> for v1::FrameworkInfo {
    fn from(info: FrameworkInfo) -> Self {
        Self { name: info.name, roles: info.roles, failover_timeout_ms: Some(millis(info.failover_timeout)) }
    }
}

impl From<v1::FrameworkInfo> for FrameworkInfo {
    fn from(wire: v1::FrameworkInfo) -> Self {
        let failover_timeout = wire.failover_timeout_ms.map(Duration::from_millis);
        Self {
            name: wire.name,
            roles: if wire.roles.is_empty() { vec![Self::DEFAULT_ROLE.to_owned()] } else { wire.roles },
            failover_timeout: failover_timeout.unwrap_or(Self::DEFAULT_FAILOVER_TIMEOUT),
        }
    }
}

impl From<Offer> for v1::Offer {
    fn from(offer: Offer) -> Self {
        Self {
            id: offer.id.0,
            agent: offer.agent.0,
            agent_name: offer.agent_name,
            attributes: offer.attributes,
            resources: Some(offer.resources.into()),
            role: offer.role,
            reserved: offer.reserved.into_iter().map(Into::into).collect(),
            volumes: offer.volumes.into_iter().map(Into::into).collect(),
            unavailability: offer.unavailability.map(Into::into),
        }
    }
}

impl TryFrom<v1::Offer> for Offer {
    type Error = Malformed;

    fn try_from(wire: v1::Offer) -> Result<Self, Malformed> {
        Ok(Self {
            id: OfferId(wire.id),
            agent: AgentId(wire.agent),
            agent_name: wire.agent_name,
            attributes: wire.attributes,
            role: wire.role,
            reserved: all_reserved(wire.reserved)?,
            volumes: volumes(wire.volumes)?,
            resources: required(wire.resources, "resources of an offer")?.try_into()?,
            unavailability: wire.unavailability.map(Into::into),
        })
    }
}

impl From<Acknowledgement> for v1::UpdateAck {
    fn from(ack: Acknowledgement) -> Self {
        Self { task: Some(ack.task.into()), update: ack.update.0, agent: ack.agent.map(|agent| agent.0) }
    }
}

impl TryFrom<v1::UpdateAck> for Acknowledgement {
    type Error = Malformed;

    fn try_from(wire: v1::UpdateAck) -> Result<Self, Malformed> {
        Ok(Self {
            task: required(wire.task, "task of an acknowledgement")?.into(),
            update: UpdateId(wire.update),
            agent: wire.agent.map(AgentId),
        })
    }
}

impl From<Question> for v1::Question {
    fn from(question: Question) -> Self {
        Self { task: Some(question.task.into()), agent: question.agent.map(|agent| agent.0) }
    }
}

impl TryFrom<v1::Question> for Question {
    type Error = Malformed;

    fn try_from(wire: v1::Question) -> Result<Self, Malformed> {
        Ok(Self { task: required(wire.task, "task of a question")?.into(), agent: wire.agent.map(AgentId) })
    }
}

impl From<FrameworkCall> for v1::FrameworkCall {
    fn from(call: FrameworkCall) -> Self {
        Self { number: call.number, call: Some(call.command.into()) }
    }
}

impl TryFrom<v1::FrameworkCall> for FrameworkCall {
    type Error = Malformed;

    fn try_from(wire: v1::FrameworkCall) -> Result<Self, Malformed> {
        Ok(Self { number: wire.number, command: required(wire.call, "call")?.try_into()? })
    }
}

impl From<FrameworkCommand> for Call {
    fn from(command: FrameworkCommand) -> Self {
        let ids = |offers: Vec<OfferId>| offers.into_iter().map(|offer| offer.0).collect();
        match command {
            FrameworkCommand::Subscribe { member, info } => {
                Call::Subscribe(v1::Subscribe { member: member.map(Into::into), info: Some(info.into()) })
            }
            FrameworkCommand::Accept { offers, operations, tasks, refuse } => Call::Accept(v1::Accept {
                offers: ids(offers),
                tasks: tasks.into_iter().map(|task| Arc::unwrap_or_clone(task).into()).collect(),
                refuse_ms: millis(refuse),
                operations: operations.into_iter().map(Into::into).collect(),
            }),
            FrameworkCommand::LaunchGroup { offers, operations, tasks, refuse } => Call::LaunchGroup(v1::LaunchGroup {
                offers: ids(offers),
                tasks: tasks.into_iter().map(Into::into).collect(),
                refuse_ms: millis(refuse),
                operations: operations.into_iter().map(Into::into).collect(),
            }),
            FrameworkCommand::Decline { offers, refuse } => {
                Call::Decline(v1::Decline { offers: ids(offers), refuse_ms: Some(millis(refuse)) })
            }
            FrameworkCommand::Revive { role } => Call::Revive(v1::Revive { role: role.unwrap_or_default() }),
            FrameworkCommand::Demand { role, wants } => Call::Demand(v1::Demand {
                wants: wants.into_iter().map(Into::into).collect(),
                role: role.unwrap_or_default(),
            }),
            FrameworkCommand::Suppress { role } => Call::Suppress(v1::Suppress { role: role.unwrap_or_default() }),
            FrameworkCommand::Update(info) => Call::Update(info.into()),
            FrameworkCommand::AcceptInverse(offers) => {
                Call::AcceptInverse(v1::AcceptInverse { offers: inverse(offers) })
            }
            FrameworkCommand::DeclineInverse { offers, refuse } => {
                Call::DeclineInverse(v1::DeclineInverse { offers: inverse(offers), refuse_ms: Some(millis(refuse)) })
            }
            FrameworkCommand::Kill(task) => Call::Kill(task.into()),
            FrameworkCommand::Acknowledge(updates) => {
                Call::Acknowledge(v1::Acknowledge { updates: updates.into_iter().map(Into::into).collect() })
            }
            FrameworkCommand::Reconcile(tasks) => {
                Call::Reconcile(v1::Reconcile { tasks: tasks.into_iter().map(Into::into).collect() })
            }
            FrameworkCommand::Open { offers, allocation, refuse } => Call::Open(v1::Open {
                offers: offers.into_iter().map(|offer| offer.0).collect(),
                allocation: Some(Arc::unwrap_or_clone(allocation).into()),
                refuse_ms: millis(refuse),
            }),
            FrameworkCommand::Enqueue { allocation, tasks, last } => Call::Enqueue(enqueue(allocation, tasks, last)),
            FrameworkCommand::Teardown => Call::Teardown(v1::Teardown {}),
        }
    }
}

impl TryFrom<Call> for FrameworkCommand {
    type Error = Malformed;

    fn try_from(wire: Call) -> Result<Self, Malformed> {
        let ids = |offers: Vec<u64>| offers.into_iter().map(OfferId).collect();
        Ok(match wire {
            Call::Subscribe(subscribe) => Self::Subscribe {
                member: subscribe.member.map(TryInto::try_into).transpose()?,
                info: required(subscribe.info, "info of a framework")?.into(),
            },
            Call::Accept(accept) => Self::Accept {
                offers: ids(accept.offers),
                operations: accept.operations.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                tasks: accept
                    .tasks
                    .into_iter()
                    .map(|spec| TaskSpec::try_from(spec).map(Arc::new))
                    .collect::<Result<_, _>>()?,
                refuse: Duration::from_millis(accept.refuse_ms),
            },
            Call::LaunchGroup(launch) => Self::LaunchGroup {
                offers: ids(launch.offers),
                operations: launch.operations.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                tasks: launch.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                refuse: Duration::from_millis(launch.refuse_ms),
            },
            Call::Decline(decline) => Self::Decline {
                offers: ids(decline.offers),
                refuse: decline.refuse_ms.map_or(DEFAULT_REFUSE, Duration::from_millis),
            },
            Call::Revive(revive) => Self::Revive { role: one_or_all(revive.role) },
            Call::Demand(demand) => Self::Demand {
                role: one_or_all(demand.role),
                wants: demand.wants.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            },
            Call::Suppress(suppress) => Self::Suppress { role: one_or_all(suppress.role) },
            Call::Update(info) => Self::Update(info.into()),
            Call::AcceptInverse(accept) => Self::AcceptInverse(inverse_ids(accept.offers)),
            Call::DeclineInverse(decline) => Self::DeclineInverse {
                offers: inverse_ids(decline.offers),
                refuse: decline.refuse_ms.map_or(DEFAULT_REFUSE, Duration::from_millis),
            },
            Call::Kill(task) => Self::Kill(task.into()),
            Call::Acknowledge(acknowledge) => Self::Acknowledge(
                acknowledge.updates.into_iter().map(TryInto::try_into).collect::<Result<_, Malformed>>()?,
            ),
            Call::Reconcile(reconcile) => {
                Self::Reconcile(reconcile.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
            }
            Call::Open(open) => Self::Open {
                offers: ids(open.offers),
                allocation: Arc::new(required(open.allocation, "allocation to open")?.try_into()?),
                refuse: Duration::from_millis(open.refuse_ms),
            },
            Call::Enqueue(wire) => {
                let (allocation, tasks, last) = enqueued(wire)?;
                Self::Enqueue { allocation, tasks, last }
            }
            Call::Teardown(_) => Self::Teardown,
        })
    }
}

/// A role that is not named stands for all.
fn one_or_all(role: String) -> Option<String> {
    Some(role).filter(|role| !role.is_empty())
}

impl From<FrameworkEvent> for v1::FrameworkEvent {
    fn from(event: FrameworkEvent) -> Self {
        let event = match event {
            FrameworkEvent::Subscribed { member, epoch, last_call } => {
                Event::Subscribed(v1::Subscribed { member: Some(member.into()), epoch: epoch.0, last_call })
            }
            FrameworkEvent::Offers(offers) => {
                Event::Offers(v1::Offers { offers: offers.into_iter().map(Into::into).collect() })
            }
            FrameworkEvent::Rescinded(offers) => {
                Event::Rescinded(v1::Rescinded { offers: offers.into_iter().map(|offer| offer.0).collect() })
            }
            FrameworkEvent::InverseOffers(offers) => {
                Event::InverseOffers(v1::InverseOffers { offers: offers.into_iter().map(Into::into).collect() })
            }
            FrameworkEvent::InverseRescinded(offers) => {
                Event::InverseRescinded(v1::InverseRescinded { offers: inverse(offers) })
            }
            FrameworkEvent::Update(status) => Event::Update(status.into()),
            FrameworkEvent::Queue(update) => Event::Queue(Arc::unwrap_or_clone(update).into()),
            FrameworkEvent::OperationDropped { operation, why } => {
                Event::OperationDropped(v1::OperationDropped { operation: Some(operation.into()), why })
            }
            FrameworkEvent::AgentLost(agent) => Event::AgentLost(agent.0),
            FrameworkEvent::Error(why) => Event::Error(why),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::FrameworkEvent> for FrameworkEvent {
    type Error = Malformed;

    fn try_from(wire: v1::FrameworkEvent) -> Result<Self, Malformed> {
        Ok(match required(wire.event, "event")? {
            Event::Subscribed(subscribed) => Self::Subscribed {
                member: required(subscribed.member, "member of a subscription")?.try_into()?,
                epoch: Epoch(subscribed.epoch),
                last_call: subscribed.last_call,
            },
            Event::Offers(offers) => {
                Self::Offers(offers.offers.into_iter().map(Offer::try_from).collect::<Result<_, _>>()?)
            }
            Event::Rescinded(rescinded) => Self::Rescinded(rescinded.offers.into_iter().map(OfferId).collect()),
            Event::InverseOffers(offers) => {
                Self::InverseOffers(offers.offers.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
            }
            Event::InverseRescinded(rescinded) => Self::InverseRescinded(inverse_ids(rescinded.offers)),
            Event::Update(status) => Self::Update(status.try_into()?),
            Event::Queue(update) => Self::Queue(Arc::new(update.try_into()?)),
            Event::OperationDropped(dropped) => Self::OperationDropped {
                operation: required(dropped.operation, "operation that was dropped")?.try_into()?,
                why: dropped.why,
            },
            Event::AgentLost(agent) => Self::AgentLost(AgentId(agent)),
            Event::Error(why) => Self::Error(why),
        })
    }
}
