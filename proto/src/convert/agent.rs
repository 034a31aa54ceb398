//! Between an agent and the master.

use std::sync::Arc;

use haggle_core::cluster::{AgentCommand, AgentIdentity, AgentOrder, HeldTask, Rejection};
use haggle_core::{
    AgentInfo, AgentKey, AllocationSpec, Bytes, Epoch, FrameworkId, HeldQueue, MilliCpu, QueueUpdate, TaskSpec,
    TaskStatus, TaskTrace, UpdateId,
};

use super::queue::{enqueue, enqueued};
use super::reservation::{kept, read_kept};
use super::resources::amount;
use super::status::{reason, task_state};
use super::volume::{ids, read_ids};
use super::{Malformed, digest_bytes, optional_digest, random, required};
use crate::v1;
use crate::v1::agent_order::Order;
use crate::v1::agent_refused::Then;
use crate::v1::agent_report::Report;

impl From<AgentInfo> for v1::AgentInfo {
    fn from(info: AgentInfo) -> Self {
        Self {
            name: info.name,
            resources: Some(info.resources.into()),
            attributes: info.attributes,
            reserved: kept(info.reserved),
        }
    }
}

impl TryFrom<v1::AgentInfo> for AgentInfo {
    type Error = Malformed;

    fn try_from(wire: v1::AgentInfo) -> Result<Self, Malformed> {
        Ok(Self {
            name: wire.name,
            resources: required(wire.resources, "resources of an agent")?.try_into()?,
            attributes: wire.attributes,
            reserved: read_kept(wire.reserved)?,
        })
    }
}

impl From<HeldTask> for v1::HeldTask {
    fn from(task: HeldTask) -> Self {
        Self {
            id: Some(task.id.into()),
            name: task.name,
            role: task.role,
            volumes: ids(task.volumes),
            module: digest_bytes(task.module),
            resources: Some(task.resources.into()),
            state: v1::TaskState::from(task.state).into(),
            update: task.update.0,
            group: task.group.map(Into::into),
            trace: task.trace.map(|trace| (*trace).into()),
            life: task.life.map(Into::into),
        }
    }
}

impl TryFrom<v1::HeldTask> for HeldTask {
    type Error = Malformed;

    fn try_from(wire: v1::HeldTask) -> Result<Self, Malformed> {
        Ok(Self {
            id: required(wire.id, "id of a held task")?.into(),
            name: wire.name,
            role: wire.role,
            volumes: read_ids(wire.volumes),
            module: optional_digest(&wire.module)?,
            resources: required(wire.resources, "resources of a held task")?.try_into()?,
            state: task_state(wire.state)?,
            update: UpdateId(wire.update),
            group: wire.group.map(Into::into),
            trace: wire.trace.map(TaskTrace::try_from).transpose()?.map(TaskTrace::boxed),
            life: wire.life.map(Into::into),
        })
    }
}

impl From<AgentCommand> for v1::AgentReport {
    fn from(command: AgentCommand) -> Self {
        let report = match command {
            AgentCommand::Register { identity, info, tasks, complete } => Report::Register(v1::RegisterAgent {
                member: identity.member.map(Into::into),
                info: Some(info.into()),
                tasks: tasks.into_iter().map(Into::into).collect(),
                more: !complete,
                key: identity.key.0.to_be_bytes().to_vec(),
                run: identity.run,
            }),
            AgentCommand::Holds { tasks, complete } => {
                Report::Holds(v1::HeldTasks { tasks: tasks.into_iter().map(Into::into).collect(), more: !complete })
            }
            AgentCommand::HoldsQueues { queues, complete } => Report::HoldsQueues(v1::HeldQueues {
                queues: queues.into_iter().map(Into::into).collect(),
                more: !complete,
            }),
            AgentCommand::QueueUpdates(updates) => {
                let updates = updates.into_iter().map(|update| Arc::unwrap_or_clone(update).into()).collect();
                Report::QueueUpdates(v1::QueueUpdates { updates })
            }
            AgentCommand::Heartbeat => Report::Heartbeat(v1::Heartbeat::default()),
            AgentCommand::Updates(updates) => {
                Report::Updates(v1::TaskStatuses { statuses: updates.into_iter().map(Into::into).collect() })
            }
            AgentCommand::Volumes(volumes) => Report::Volumes(v1::HeldVolumes { volumes: ids(volumes) }),
            AgentCommand::Unused(cpus) => Report::UnusedMilliCpus(cpus.get()),
            AgentCommand::Drain => Report::Drain(v1::Drain {}),
            AgentCommand::Leave => Report::Leave(v1::Leave {}),
        };
        Self { report: Some(report) }
    }
}

impl TryFrom<v1::AgentReport> for AgentCommand {
    type Error = Malformed;

    /// What answers a question of the master's shell, or is for those who watch, is no command, and is taken out before.
    fn try_from(wire: v1::AgentReport) -> Result<Self, Malformed> {
        Ok(match required(wire.report, "report")? {
            Report::Register(register) => Self::Register {
                identity: AgentIdentity {
                    member: register.member.map(TryInto::try_into).transpose()?,
                    key: AgentKey(random(&register.key, "key of an agent")?),
                    run: register.run,
                },
                info: required(register.info, "info of an agent")?.try_into()?,
                tasks: register.tasks.into_iter().map(HeldTask::try_from).collect::<Result<_, _>>()?,
                complete: !register.more,
            },
            Report::Holds(held) => Self::Holds {
                tasks: held.tasks.into_iter().map(HeldTask::try_from).collect::<Result<_, _>>()?,
                complete: !held.more,
            },
            Report::HoldsQueues(held) => Self::HoldsQueues {
                queues: held.queues.into_iter().map(HeldQueue::try_from).collect::<Result<_, _>>()?,
                complete: !held.more,
            },
            Report::QueueUpdates(updates) => {
                let update = |wire| QueueUpdate::try_from(wire).map(Arc::new);
                Self::QueueUpdates(updates.updates.into_iter().map(update).collect::<Result<_, _>>()?)
            }
            Report::Heartbeat(_) => Self::Heartbeat,
            Report::Updates(updates) => {
                Self::Updates(updates.statuses.into_iter().map(TaskStatus::try_from).collect::<Result<_, _>>()?)
            }
            Report::Volumes(held) => Self::Volumes(read_ids(held.volumes)),
            Report::UnusedMilliCpus(cpus) => Self::Unused(MilliCpu::new(amount("unused_milli_cpus", cpus)?)),
            Report::Drain(_) => Self::Drain,
            Report::Leave(_) => Self::Leave,
            Report::Log(_) | Report::Counters(_) | Report::Usage(_) => {
                return Err(Malformed::Invalid {
                    field: "report",
                    got: "a word to the shell".to_owned(),
                    wanted: "something to decide",
                });
            }
        })
    }
}

impl From<AgentOrder> for v1::AgentOrder {
    fn from(order: AgentOrder) -> Self {
        let order = match order {
            AgentOrder::Registered { member, epoch } => {
                Order::Registered(v1::AgentRegistered { member: Some(member.into()), epoch: epoch.0 })
            }
            AgentOrder::Refused(rejection) => Order::Refused(rejection.into()),
            AgentOrder::Launch(spec) => Order::Launch(Arc::unwrap_or_clone(spec).into()),
            AgentOrder::Open(spec) => Order::Open(Arc::unwrap_or_clone(spec).into()),
            AgentOrder::Enqueue { allocation, tasks, last } => Order::Enqueue(enqueue(allocation, tasks, last)),
            AgentOrder::Kill(task) => Order::Kill(task.into()),
            AgentOrder::End { task, reason, why } => {
                Order::End(v1::EndTask { task: Some(task.into()), reason: v1::Reason::from(reason).into(), why })
            }
            AgentOrder::StopAll => Order::StopAll(v1::StopAll {}),
            AgentOrder::Acknowledge(task, update) => {
                Order::Acknowledge(v1::UpdateAck { task: Some(task.into()), update: update.0, agent: None })
            }
            AgentOrder::Resend(framework) => Order::Resend(framework.0),
            AgentOrder::RemoveFramework(framework) => Order::RemoveFramework(framework.0),
            AgentOrder::CreateVolume { volume, role, size } => {
                Order::CreateVolume(v1::MakeVolume { volume: Some(volume.into()), role, size_bytes: size.get() })
            }
            AgentOrder::DestroyVolume(volume) => Order::DestroyVolume(volume.into()),
        };
        Self { order: Some(order) }
    }
}

impl TryFrom<v1::AgentOrder> for AgentOrder {
    type Error = Malformed;

    /// [`Order::ReadLog`], [`Order::ReadUsage`] and [`Order::Heartbeat`] speak to the agent's shell, and are taken out before.
    fn try_from(wire: v1::AgentOrder) -> Result<Self, Malformed> {
        Ok(match required(wire.order, "order")? {
            Order::Registered(registered) => Self::Registered {
                member: required(registered.member, "member of a registration")?.try_into()?,
                epoch: Epoch(registered.epoch),
            },
            Order::Refused(refused) => Self::Refused(refused.into()),
            Order::Launch(spec) => Self::Launch(Arc::new(TaskSpec::try_from(spec)?)),
            Order::Open(spec) => Self::Open(Arc::new(AllocationSpec::try_from(spec)?)),
            Order::Enqueue(wire) => {
                let (allocation, tasks, last) = enqueued(wire)?;
                Self::Enqueue { allocation, tasks, last }
            }
            Order::Kill(task) => Self::Kill(task.into()),
            Order::End(end) => Self::End {
                task: required(end.task, "task to end")?.into(),
                reason: reason(end.reason).ok_or(Malformed::Missing("reason to end a task"))?,
                why: end.why,
            },
            Order::StopAll(_) => Self::StopAll,
            Order::Acknowledge(ack) => {
                let task = required(ack.task, "task of an acknowledgement")?.into();
                Self::Acknowledge(task, UpdateId(ack.update))
            }
            Order::Resend(framework) => Self::Resend(FrameworkId(framework)),
            Order::RemoveFramework(framework) => Self::RemoveFramework(FrameworkId(framework)),
            Order::CreateVolume(v1::MakeVolume { volume, role, size_bytes }) => Self::CreateVolume {
                volume: required(volume, "volume to make")?.into(),
                role,
                size: Bytes::new(size_bytes),
            },
            Order::DestroyVolume(volume) => Self::DestroyVolume(volume.into()),
            Order::ReadLog(_) | Order::ReadUsage(_) | Order::Heartbeat(_) => {
                return Err(Malformed::Invalid {
                    field: "order",
                    got: "a word to the shell".to_owned(),
                    wanted: "something to decide",
                });
            }
        })
    }
}

impl From<Rejection> for v1::AgentRefused {
    fn from(rejection: Rejection) -> Self {
        let then = match &rejection {
            Rejection::Later(_) => Then::Later,
            Rejection::Gone(_) => Then::Gone,
            Rejection::OtherCluster(_) => Then::OtherCluster,
            Rejection::Final(_) => Then::Unspecified,
        };
        Self { why: rejection.why().to_owned(), then: then.into() }
    }
}

impl From<v1::AgentRefused> for Rejection {
    fn from(wire: v1::AgentRefused) -> Self {
        match wire.then() {
            Then::Later => Self::Later(wire.why),
            Then::Gone => Self::Gone(wire.why),
            Then::OtherCluster => Self::OtherCluster(wire.why),
            Then::Unspecified => Self::Final(wire.why),
        }
    }
}
