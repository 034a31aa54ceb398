//! A command as one short line of a log: who and what, never a task's whole input.

use std::fmt;

use haggle_core::cluster::{AgentCommand, Command, FrameworkCall, FrameworkCommand};

use super::object_of;

/// Prints a command.
pub(super) struct LogLine<'a>(pub(super) &'a Command);

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Command::Agent(session, command) => {
                write!(f, "{session} ")?;
                agent(command, f)
            }
            Command::Framework(session, FrameworkCall { number, command }) => {
                write!(f, "{session} ")?;
                if *number != 0 {
                    write!(f, "call {number} ")?;
                }
                framework(command, f)
            }
            Command::Operator(who, request, command) => {
                write!(f, "{who} ")?;
                if let Some(request) = request {
                    write!(f, "{request} ")?;
                }
                write!(f, "{} {}", command.verb(), object_of(command))
            }
            Command::Connected(session, who) => write!(f, "{session} connected as {who}"),
            Command::WallClock(wall_ms) => write!(f, "wall clock {wall_ms} ms"),
            Command::Disconnected(session) => write!(f, "{session} disconnected"),
            Command::Tick => f.write_str("tick"),
        }
    }
}

fn agent(command: &AgentCommand, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match command {
        AgentCommand::Register { identity, info, tasks, complete } => {
            write!(f, "register agent {:?}", info.name)?;
            if let Some(member) = identity.member {
                write!(f, " as {} of {}", member.id, member.cluster)?;
            }
            write!(f, " with {} and {} tasks{}", info.resources, tasks.len(), rest(*complete))
        }
        AgentCommand::Holds { tasks, complete } => write!(f, "holds {} tasks{}", tasks.len(), rest(*complete)),
        AgentCommand::HoldsQueues { queues, complete } => {
            let tasks: u64 = queues.iter().flat_map(|queue| &queue.runs).map(|run| run.count).sum();
            write!(f, "holds {tasks} tasks in {} queues{}", queues.len(), rest(*complete))
        }
        AgentCommand::QueueUpdates(updates) => {
            let ended: u64 = updates.iter().flat_map(|update| &update.ended).map(|end| end.count).sum();
            write!(f, "{} updates of queues, {ended} tasks ended", updates.len())
        }
        AgentCommand::Heartbeat => f.write_str("heartbeat"),
        AgentCommand::Updates(updates) => match updates.as_slice() {
            [update] => write!(f, "update {} {}", update.task, update.state),
            _ => write!(f, "{} updates", updates.len()),
        },
        AgentCommand::Volumes(volumes) => write!(f, "holds {} volumes", volumes.len()),
        AgentCommand::Unused(cpus) => write!(f, "{cpus} of what its tasks hold is unused"),
        AgentCommand::Drain => f.write_str("drain"),
        AgentCommand::Leave => f.write_str("leave"),
    }
}

fn rest(complete: bool) -> &'static str {
    if complete { "" } else { ", and more to come" }
}

fn one_or_all(role: &Option<String>) -> &str {
    role.as_deref().unwrap_or("all of its roles")
}

fn framework(command: &FrameworkCommand, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match command {
        FrameworkCommand::Subscribe { member, info } => {
            write!(f, "subscribe framework {:?} in {:?}", info.name, info.roles)?;
            member.map_or(Ok(()), |member| write!(f, " as {} of {}", member.id, member.cluster))
        }
        FrameworkCommand::Accept { offers, operations, tasks, .. } => {
            let (offers, operations, tasks) = (offers.len(), operations.len(), tasks.len());
            write!(f, "accept {offers} offers for {operations} operations and {tasks} tasks")
        }
        FrameworkCommand::LaunchGroup { offers, operations, tasks, .. } => {
            let (offers, operations, tasks) = (offers.len(), operations.len(), tasks.len());
            write!(f, "launch a group of {tasks} tasks on {offers} offers, with {operations} operations")
        }
        FrameworkCommand::Open { offers, allocation, .. } => {
            write!(f, "open {} with {} on {} offers", allocation.id, allocation.resources, offers.len())
        }
        FrameworkCommand::Enqueue { allocation, tasks, last } => {
            let count: u64 = tasks.iter().map(|tasks| u64::from(tasks.count)).sum();
            write!(f, "enqueue {count} tasks in {allocation}{}", if *last { ", the last" } else { "" })
        }
        FrameworkCommand::Decline { offers, refuse } => write!(f, "decline {} offers for {refuse:?}", offers.len()),
        FrameworkCommand::AcceptInverse(offers) => write!(f, "accept {} inverse offers", offers.len()),
        FrameworkCommand::DeclineInverse { offers, refuse } => {
            write!(f, "decline {} inverse offers for {refuse:?}", offers.len())
        }
        FrameworkCommand::Revive { role } => write!(f, "revive {}", one_or_all(role)),
        FrameworkCommand::Suppress { role } => write!(f, "suppress {}", one_or_all(role)),
        FrameworkCommand::Demand { role, wants } => {
            let tasks: u64 = wants.iter().map(|want| u64::from(want.waiting)).sum();
            write!(f, "demand room for {tasks} tasks of {} kinds in {}", wants.len(), one_or_all(role))
        }
        FrameworkCommand::Update(info) => write!(f, "be framework {:?} in {:?}", info.name, info.roles),
        FrameworkCommand::Kill(task) => write!(f, "kill {task}"),
        FrameworkCommand::Acknowledge(updates) => write!(f, "acknowledge {} updates", updates.len()),
        FrameworkCommand::Reconcile(tasks) => write!(f, "reconcile {} tasks", tasks.len()),
        FrameworkCommand::Teardown => f.write_str("teardown"),
    }
}
