//! For people and their tools.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{AgentView, Announcement, FrameworkView, OfferView, RoleView, TaskView};
use haggle_core::{AgentId, Bytes, FrameworkId, MilliCpu, OfferId, QueueNews};

use super::reservation::all_reserved;
use super::resources::amount;
use super::task::millis;
use super::upkeep::{withheld, withheld_of};
use super::volume::volumes;
use super::{Malformed, digest_bytes, optional_digest, required};
use crate::v1;
use crate::v1::watch_event::Event;

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(super) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl From<AgentView> for v1::Agent {
    fn from(agent: AgentView) -> Self {
        Self {
            id: agent.id.0,
            info: Some(agent.info.into()),
            connected: agent.connected,
            draining: agent.draining,
            used: Some(agent.used.into()),
            offered: Some(agent.offered.into()),
            reserved: agent.reserved.into_iter().map(Into::into).collect(),
            volumes: count(agent.volumes),
            kept_bytes: agent.kept.get(),
            tasks: count(agent.tasks),
            withdrawal: agent.withdrawal.map(Into::into),
            unavailability: agent.unavailability.map(Into::into),
            revocable_milli_cpus: agent.revocable.get(),
        }
    }
}

impl TryFrom<v1::Agent> for AgentView {
    type Error = Malformed;

    fn try_from(wire: v1::Agent) -> Result<Self, Malformed> {
        Ok(Self {
            id: AgentId(wire.id),
            info: required(wire.info, "info of an agent")?.try_into()?,
            connected: wire.connected,
            draining: wire.draining,
            used: required(wire.used, "used resources of an agent")?.try_into()?,
            offered: required(wire.offered, "offered resources of an agent")?.try_into()?,
            reserved: wire.reserved.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            volumes: size(wire.volumes),
            kept: Bytes::new(wire.kept_bytes),
            tasks: size(wire.tasks),
            withdrawal: wire.withdrawal.map(TryInto::try_into).transpose()?,
            unavailability: wire.unavailability.map(Into::into),
            revocable: MilliCpu::new(amount("revocable_milli_cpus", wire.revocable_milli_cpus)?),
        })
    }
}

impl From<FrameworkView> for v1::Framework {
    fn from(framework: FrameworkView) -> Self {
        Self {
            id: framework.id.0,
            info: Some(framework.info.into()),
            connected: framework.connected,
            suppressed: framework.suppressed,
            used: Some(framework.used.into()),
            offered: Some(framework.offered.into()),
            tasks: count(framework.tasks),
        }
    }
}

impl TryFrom<v1::Framework> for FrameworkView {
    type Error = Malformed;

    fn try_from(wire: v1::Framework) -> Result<Self, Malformed> {
        Ok(Self {
            id: FrameworkId(wire.id),
            info: required(wire.info, "info of a framework")?.into(),
            connected: wire.connected,
            suppressed: wire.suppressed,
            used: required(wire.used, "used resources of a framework")?.try_into()?,
            offered: required(wire.offered, "offered resources of a framework")?.try_into()?,
            tasks: size(wire.tasks),
        })
    }
}

impl From<RoleView> for v1::Role {
    fn from(role: RoleView) -> Self {
        Self {
            name: role.name,
            weight: role.weight,
            frameworks: count(role.frameworks),
            share: role.share.as_f64(),
            used: Some(role.used.into()),
            offered: Some(role.offered.into()),
            reserved: Some(role.reserved.into()),
            waiting: count(role.waiting),
            fair_share: role.fair_share.as_f64(),
            quota: role.quota.map(Into::into),
            placement: v1::Placement::from(role.placement).into(),
            min_allocatable: role.min_allocatable.map(Into::into),
        }
    }
}

impl From<OfferView> for v1::OpenOffer {
    fn from(offer: OfferView) -> Self {
        Self {
            id: offer.id.0,
            framework: offer.framework.0,
            role: offer.role,
            agent: offer.agent.0,
            resources: Some(offer.resources.into()),
            reserved: offer.reserved.into_iter().map(Into::into).collect(),
            volumes: offer.volumes.into_iter().map(Into::into).collect(),
            age_ms: millis(offer.age),
        }
    }
}

impl TryFrom<v1::OpenOffer> for OfferView {
    type Error = Malformed;

    fn try_from(wire: v1::OpenOffer) -> Result<Self, Malformed> {
        Ok(Self {
            id: OfferId(wire.id),
            framework: FrameworkId(wire.framework),
            role: wire.role,
            agent: AgentId(wire.agent),
            resources: required(wire.resources, "resources of an offer")?.try_into()?,
            reserved: all_reserved(wire.reserved)?,
            volumes: volumes(wire.volumes)?,
            age: Duration::from_millis(wire.age_ms),
        })
    }
}

impl From<TaskView> for v1::Task {
    fn from(task: TaskView) -> Self {
        Self {
            id: Some(task.id.into()),
            name: task.name,
            role: task.role,
            agent: task.agent.0,
            module: digest_bytes(task.module),
            resources: Some(task.resources.into()),
            group: task.group.map(Into::into),
            is_allocation: task.is_allocation,
            status: Some(task.status.into()),
        }
    }
}

impl TryFrom<v1::Task> for TaskView {
    type Error = Malformed;

    fn try_from(wire: v1::Task) -> Result<Self, Malformed> {
        Ok(Self {
            id: required(wire.id, "id of a task")?.into(),
            name: wire.name,
            role: wire.role,
            agent: AgentId(wire.agent),
            module: optional_digest(&wire.module)?,
            resources: required(wire.resources, "resources of a task")?.try_into()?,
            group: wire.group.map(Into::into),
            is_allocation: wire.is_allocation,
            status: required(wire.status, "status of a task")?.try_into()?,
        })
    }
}

impl From<Announcement> for Event {
    fn from(announcement: Announcement) -> Self {
        match announcement {
            Announcement::AgentUp(id) => Self::AgentUp(id.0),
            Announcement::AgentDown(id) => Self::AgentDown(id.0),
            Announcement::AgentRemoved(id) => Self::AgentRemoved(id.0),
            Announcement::AgentWithdrawn(id, phase) => {
                Self::AgentWithdrawn(v1::AgentWithdrawn { agent: id.0, phase: withheld_of(phase).into() })
            }
            Announcement::AgentReactivated(id) => Self::AgentReactivated(id.0),
            Announcement::FrameworkUp(id) => Self::FrameworkUp(id.0),
            Announcement::FrameworkUpdated(id) => Self::FrameworkUpdated(id.0),
            Announcement::FrameworkDown(id) => Self::FrameworkDown(id.0),
            Announcement::FrameworkRemoved(id) => Self::FrameworkRemoved(id.0),
            Announcement::Task(status) => Self::Task(status.into()),
            Announcement::LeftOut(tasks) => Self::LeftOut(tasks),
        }
    }
}

impl From<QueueNews> for Event {
    fn from(news: QueueNews) -> Self {
        match news {
            QueueNews::Run(run) => Self::QueueRun(run.into()),
            QueueNews::Told(update) => Self::Queue(Arc::unwrap_or_clone(update).into()),
        }
    }
}

/// What an event of a watch tells: of many tasks in a queue, an announcement for each.
///
/// # Errors
/// When it is not as such an event has to be.
pub fn announcements(wire: Event) -> Result<Box<dyn Iterator<Item = Announcement> + Send>, Malformed> {
    let news = match wire {
        Event::QueueRun(run) => QueueNews::Run(run.try_into()?),
        Event::Queue(update) => QueueNews::Told(Arc::new(update.try_into()?)),
        one => return Ok(Box::new(iter::once(one.try_into()?))),
    };
    Ok(Box::new(news.statuses().map(Announcement::Task)))
}

impl TryFrom<Event> for Announcement {
    type Error = Malformed;

    fn try_from(wire: Event) -> Result<Self, Malformed> {
        Ok(match wire {
            Event::AgentUp(id) => Self::AgentUp(AgentId(id)),
            Event::AgentDown(id) => Self::AgentDown(AgentId(id)),
            Event::AgentRemoved(id) => Self::AgentRemoved(AgentId(id)),
            Event::AgentWithdrawn(wire) => Self::AgentWithdrawn(AgentId(wire.agent), withheld(wire.phase)?),
            Event::AgentReactivated(id) => Self::AgentReactivated(AgentId(id)),
            Event::FrameworkUp(id) => Self::FrameworkUp(FrameworkId(id)),
            Event::FrameworkUpdated(id) => Self::FrameworkUpdated(FrameworkId(id)),
            Event::FrameworkDown(id) => Self::FrameworkDown(FrameworkId(id)),
            Event::FrameworkRemoved(id) => Self::FrameworkRemoved(FrameworkId(id)),
            Event::Task(status) => Self::Task(status.try_into()?),
            Event::LeftOut(tasks) => Self::LeftOut(tasks),
            Event::QueueRun(_) | Event::Queue(_) => {
                return Err(Malformed::Invalid {
                    field: "event",
                    got: "many".into(),
                    wanted: "one thing that happened",
                });
            }
        })
    }
}
