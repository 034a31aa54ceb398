//! Between an agent and the master.

use std::sync::Arc;

use haggle_core::cluster::{AgentCommand, AgentOrder, HeldTask};
use haggle_core::{AgentId, AgentInfo, FrameworkId, TaskSpec, TaskStatus};

use super::status::task_state;
use super::{Malformed, required};
use crate::v1;
use crate::v1::agent_order::Order;
use crate::v1::agent_report::Report;

impl From<AgentInfo> for v1::AgentInfo {
    fn from(info: AgentInfo) -> Self {
        Self {
            name: info.name,
            resources: Some(info.resources.into()),
            attributes: info.attributes.into_iter().collect(),
        }
    }
}

impl TryFrom<v1::AgentInfo> for AgentInfo {
    type Error = Malformed;

    fn try_from(wire: v1::AgentInfo) -> Result<Self, Malformed> {
        Ok(Self {
            name: wire.name,
            resources: required(wire.resources, "resources of an agent")?.try_into()?,
            attributes: wire.attributes.into_iter().collect(),
        })
    }
}

impl From<HeldTask> for v1::HeldTask {
    fn from(task: HeldTask) -> Self {
        Self {
            id: Some(task.id.into()),
            name: task.name,
            resources: Some(task.resources.into()),
            state: v1::TaskState::from(task.state).into(),
        }
    }
}

impl TryFrom<v1::HeldTask> for HeldTask {
    type Error = Malformed;

    fn try_from(wire: v1::HeldTask) -> Result<Self, Malformed> {
        Ok(Self {
            id: required(wire.id, "id of a held task")?.into(),
            name: wire.name,
            resources: required(wire.resources, "resources of a held task")?.try_into()?,
            state: task_state(wire.state)?,
        })
    }
}

impl From<AgentCommand> for v1::AgentReport {
    fn from(command: AgentCommand) -> Self {
        let report = match command {
            AgentCommand::Register { id, info, tasks } => Report::Register(v1::RegisterAgent {
                id: id.map(|id| id.0),
                info: Some(info.into()),
                tasks: tasks.into_iter().map(Into::into).collect(),
            }),
            AgentCommand::Heartbeat => Report::Heartbeat(v1::Heartbeat {}),
            AgentCommand::Updates(updates) => {
                Report::Updates(v1::TaskStatuses { statuses: updates.into_iter().map(Into::into).collect() })
            }
            AgentCommand::Drain => Report::Drain(v1::Drain {}),
            AgentCommand::Leave => Report::Leave(v1::Leave {}),
        };
        Self { report: Some(report) }
    }
}

impl TryFrom<v1::AgentReport> for AgentCommand {
    type Error = Malformed;

    /// A [`v1::LogChunk`] is no command: it answers a question of the master's shell, and is taken out before.
    fn try_from(wire: v1::AgentReport) -> Result<Self, Malformed> {
        Ok(match required(wire.report, "report")? {
            Report::Register(register) => Self::Register {
                id: register.id.map(AgentId),
                info: required(register.info, "info of an agent")?.try_into()?,
                tasks: register.tasks.into_iter().map(HeldTask::try_from).collect::<Result<_, _>>()?,
            },
            Report::Heartbeat(_) => Self::Heartbeat,
            Report::Updates(updates) => {
                Self::Updates(updates.statuses.into_iter().map(TaskStatus::try_from).collect::<Result<_, _>>()?)
            }
            Report::Drain(_) => Self::Drain,
            Report::Leave(_) => Self::Leave,
            Report::Log(_) => {
                return Err(Malformed::Invalid {
                    field: "report",
                    got: "a log chunk".to_owned(),
                    wanted: "something to decide",
                });
            }
        })
    }
}

impl From<AgentOrder> for v1::AgentOrder {
    fn from(order: AgentOrder) -> Self {
        let order = match order {
            AgentOrder::Registered(id) => Order::Registered(v1::AgentRegistered { agent: id.0 }),
            AgentOrder::Refused(why) => Order::Refused(why),
            AgentOrder::Launch(spec) => Order::Launch(Arc::unwrap_or_clone(spec).into()),
            AgentOrder::Kill(task) => Order::Kill(task.into()),
            AgentOrder::Acknowledge(task, update) => Order::Acknowledge((task, update).into()),
            AgentOrder::Resend(framework) => Order::Resend(framework.0),
            AgentOrder::RemoveFramework(framework) => Order::RemoveFramework(framework.0),
        };
        Self { order: Some(order) }
    }
}

impl TryFrom<v1::AgentOrder> for AgentOrder {
    type Error = Malformed;

    /// [`Order::ReadLog`] and [`Order::Heartbeat`] speak to the agent's shell, and are taken out before.
    fn try_from(wire: v1::AgentOrder) -> Result<Self, Malformed> {
        Ok(match required(wire.order, "order")? {
            Order::Registered(registered) => Self::Registered(AgentId(registered.agent)),
            Order::Refused(why) => Self::Refused(why),
            Order::Launch(spec) => Self::Launch(Arc::new(TaskSpec::try_from(spec)?)),
            Order::Kill(task) => Self::Kill(task.into()),
            Order::Acknowledge(ack) => {
                let (task, update) = ack.try_into()?;
                Self::Acknowledge(task, update)
            }
            Order::Resend(framework) => Self::Resend(FrameworkId(framework)),
            Order::RemoveFramework(framework) => Self::RemoveFramework(FrameworkId(framework)),
            Order::ReadLog(_) | Order::Heartbeat(_) => {
                return Err(Malformed::Invalid {
                    field: "order",
                    got: "a word to the shell".to_owned(),
                    wanted: "something to decide",
                });
            }
        })
    }
}
