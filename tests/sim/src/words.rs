//! What goes through a master, in as few words as can be read.

use std::fmt::{self, Display, Formatter};

use haggle_core::cluster::{
    AgentCommand, AgentOrder, Change, Command, Effect, FrameworkCommand, FrameworkEvent, HeldTask,
};
use haggle_core::{TaskStatus, UpdateId};

/// A command, in a line.
pub(crate) struct Said<'a>(pub(crate) &'a Command);

/// Effects, in a line.
pub(crate) struct Done<'a>(pub(crate) &'a [Effect]);

struct Update(UpdateId);

struct Status<'a>(&'a TaskStatus);

struct Held<'a>(&'a [HeldTask], bool);

impl Display for Update {
    /// Agents' updates by their number and incarnation, masters' by their epoch and number.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let id = self.0.0;
        match (id, self.0.is_by_master()) {
            (0, _) => f.write_str("no update"),
            (_, true) => write!(f, "master's update {}.{}", (id & !(1 << 63)) >> 40, id & ((1 << 40) - 1)),
            (_, false) => write!(f, "update {}.{}", id >> 32, id & 0xffff_ffff),
        }
    }
}

impl Display for Status<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let status = self.0;
        write!(f, "{} {} ({})", status.task, status.state, Update(status.update))?;
        if let Some(reason) = status.reason {
            write!(f, " {reason}")?;
        }
        Ok(())
    }
}

impl Display for Held<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("with")?;
        for held in self.0 {
            write!(f, " {} {} ({}),", held.id, held.state, Update(held.update))?;
        }
        f.write_str(if self.1 { " all" } else { " more to come" })
    }
}

impl Display for Said<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Command::Agent(session, command) => {
                write!(f, "{session} ")?;
                match command {
                    AgentCommand::Register { identity, info, tasks, complete } => {
                        let id = identity.member.map_or("new".to_string(), |member| member.id.to_string());
                        write!(f, "{} registers as {id} {}", info.name, Held(tasks, *complete))
                    }
                    AgentCommand::Holds { tasks, complete } => write!(f, "holds {}", Held(tasks, *complete)),
                    AgentCommand::Updates(statuses) => {
                        f.write_str("tells")?;
                        statuses.iter().try_for_each(|status| write!(f, " {},", Status(status)))
                    }
                    other => write!(f, "{other:?}"),
                }
            }
            Command::Framework(session, call) => {
                write!(f, "{session} call {} ", call.number)?;
                match &call.command {
                    FrameworkCommand::Accept { offers, operations, tasks, .. } => {
                        f.write_str("accepts")?;
                        offers.iter().try_for_each(|offer| write!(f, " {offer}"))?;
                        operations.iter().try_for_each(|operation| write!(f, " to {operation:?},"))?;
                        tasks.iter().try_for_each(|task| write!(f, " for {} {},", task.id, task.resources))
                    }
                    FrameworkCommand::Acknowledge(acks) => {
                        f.write_str("acknowledges")?;
                        acks.iter().try_for_each(|ack| write!(f, " {} ({}),", ack.task, Update(ack.update)))
                    }
                    FrameworkCommand::Reconcile(questions) => {
                        f.write_str("asks about")?;
                        questions
                            .iter()
                            .try_for_each(|question| write!(f, " {} on {:?},", question.task, question.agent))
                    }
                    FrameworkCommand::Kill(task) => write!(f, "kills {task}"),
                    other => write!(f, "{other:?}"),
                }
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl Display for Done<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for effect in self.0 {
            match effect {
                Effect::Announce(_)
                | Effect::AnnounceQueued(_)
                | Effect::Enrolled(_)
                | Effect::Scheduled(_)
                | Effect::VolumeCreated(_) => {}
                Effect::Remember(change) => write!(f, "\n{:>17} remember {}", "", Written(change))?,
                Effect::Close(session) => write!(f, "\n{:>17} close {session}", "")?,
                Effect::ToAgent(session, order) => {
                    write!(f, "\n{:>17} to agent on {session}: ", "")?;
                    match order {
                        AgentOrder::Launch(spec) => write!(f, "launch {}", spec.id)?,
                        AgentOrder::Acknowledge(task, update) => write!(f, "acknowledge {task} ({})", Update(*update))?,
                        other => write!(f, "{other:?}")?,
                    }
                }
                Effect::ToFramework(session, event) => {
                    write!(f, "\n{:>17} to framework on {session}: ", "")?;
                    match event {
                        FrameworkEvent::Offers(offers) => {
                            f.write_str("offers")?;
                            for offer in offers {
                                write!(f, " {} of {}: {},", offer.id, offer.agent, offer.resources)?;
                            }
                        }
                        FrameworkEvent::Update(status) => write!(f, "{}", Status(status))?,
                        other => write!(f, "{other:?}")?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// A change of the registry, in a line.
pub(crate) struct Written<'a>(pub(crate) &'a Change);

impl Display for Written<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::AgentRecorded(id, record) => {
                write!(f, "{id} as {}, unreachable since {:?}", record.info.name, record.unreachable_since)
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// What is told of a task, in a line.
pub(crate) fn told(status: &TaskStatus) -> String {
    Status(status).to_string()
}
