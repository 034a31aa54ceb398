//! A command as one short line of a log: who and what, never a task's whole input.

use std::fmt;

use haggle_core::cluster::{AgentCommand, Command, FrameworkCommand};

/// Prints a command.
pub(super) struct Spoken<'a>(pub(super) &'a Command);

impl fmt::Display for Spoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Command::Agent(session, command) => {
                write!(f, "{session} ")?;
                agent(command, f)
            }
            Command::Framework(session, command) => {
                write!(f, "{session} ")?;
                framework(command, f)
            }
            Command::KillTask(task) => write!(f, "operator kill {task}"),
            Command::Disconnected(session) => write!(f, "{session} disconnected"),
            Command::Tick => f.write_str("tick"),
        }
    }
}

fn agent(command: &AgentCommand, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match command {
        AgentCommand::Register { id, info, tasks } => {
            write!(f, "register agent {:?}", info.name)?;
            if let Some(id) = id {
                write!(f, " as {id}")?;
            }
            write!(f, " with {} and {} tasks", info.resources, tasks.len())
        }
        AgentCommand::Heartbeat => f.write_str("heartbeat"),
        AgentCommand::Updates(updates) => match updates.as_slice() {
            [update] => write!(f, "update {} {}", update.task, update.state),
            _ => write!(f, "{} updates", updates.len()),
        },
        AgentCommand::Drain => f.write_str("drain"),
        AgentCommand::Leave => f.write_str("leave"),
    }
}

fn framework(command: &FrameworkCommand, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match command {
        FrameworkCommand::Subscribe { id, info } => {
            write!(f, "subscribe framework {:?} in role {:?}", info.name, info.role)?;
            id.map_or(Ok(()), |id| write!(f, " as {id}"))
        }
        FrameworkCommand::Accept { offers, tasks, .. } => {
            write!(f, "accept {} offers for {} tasks", offers.len(), tasks.len())
        }
        FrameworkCommand::Decline { offers, refuse } => write!(f, "decline {} offers for {refuse:?}", offers.len()),
        FrameworkCommand::Revive => f.write_str("revive"),
        FrameworkCommand::Suppress => f.write_str("suppress"),
        FrameworkCommand::Kill(task) => write!(f, "kill {task}"),
        FrameworkCommand::Acknowledge(updates) => write!(f, "acknowledge {} updates", updates.len()),
        FrameworkCommand::Reconcile(tasks) => write!(f, "reconcile {} tasks", tasks.len()),
        FrameworkCommand::Teardown => f.write_str("teardown"),
    }
}
