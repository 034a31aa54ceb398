//! What of the sessions is written down: who began to speak for whom, and what was refused.

use std::time::Duration;

use haggle_core::access::Verb;
use haggle_core::cluster::{
    AgentCommand, AgentOrder, Announcement, Command, Effect, FrameworkCommand, FrameworkEvent, OperatorCommand, Refusal,
};
use haggle_core::{Maintenance, Operation, Quota, SessionId};
use tonic::Code;

use crate::access::{Caller, status_of};
use crate::audit::{Audit, Entry};

/// Agents that are named one by one; the rest is counted.
const NAMED_MAX: usize = 8;

/// A decision that is to be written down, should it be one.
pub(super) struct Decision {
    verb: Verb,
    /// Whether it is written down also when it was granted.
    introduces: bool,
}

impl Decision {
    pub(super) fn of(command: &Command) -> Self {
        let verb = match command {
            Command::Agent(_, AgentCommand::Register { .. }) => Verb::Register,
            Command::Agent(_, AgentCommand::Drain) => Verb::Drain,
            Command::Agent(_, AgentCommand::Leave) => Verb::Leave,
            Command::Framework(_, call) => match &call.command {
                FrameworkCommand::Subscribe { .. } => Verb::Subscribe,
                FrameworkCommand::Accept { .. }
                | FrameworkCommand::LaunchGroup { .. }
                | FrameworkCommand::Open { .. }
                | FrameworkCommand::Enqueue { .. } => Verb::Launch,
                FrameworkCommand::Decline { .. } => Verb::Decline,
                FrameworkCommand::Revive { .. } => Verb::Revive,
                FrameworkCommand::Suppress { .. } => Verb::Suppress,
                FrameworkCommand::Demand { .. } => Verb::Demand,
                FrameworkCommand::Update(_) => Verb::UpdateFramework,
                FrameworkCommand::AcceptInverse(_) | FrameworkCommand::DeclineInverse { .. } => Verb::AnswerInverse,
                FrameworkCommand::Kill(_) => Verb::Kill,
                FrameworkCommand::Acknowledge(_) => Verb::Acknowledge,
                FrameworkCommand::Reconcile(_) => Verb::Reconcile,
                FrameworkCommand::Teardown => Verb::Teardown,
            },
            _ => Verb::Report,
        };
        let introduces = matches!(verb, Verb::Register | Verb::Subscribe | Verb::Teardown | Verb::Leave);
        Self { verb, introduces }
    }

    /// Whether it is written down. Most that is said on a session is not: of what a framework launches, there is a record
    /// elsewhere.
    pub(super) fn is_written(&self, verdict: &Result<(), Refusal>) -> bool {
        verdict.is_err() || self.introduces
    }

    /// Writes down what became of it.
    pub(super) fn write(
        &self,
        audit: &Audit,
        caller: &Caller,
        session: SessionId,
        verdict: &Result<(), Refusal>,
        effects: &[Effect],
    ) {
        let (object, refused) = match verdict {
            Err(refusal) => (String::new(), Some(refusal.to_string())),
            Ok(()) => told(session, effects),
        };
        let code = match verdict {
            Err(refusal) => status_of(refusal).code(),
            Ok(()) if refused.is_some() => Code::FailedPrecondition,
            Ok(()) => Code::Ok,
        };
        let why = refused.unwrap_or_default();
        audit.write(&Entry { caller, verb: self.verb, object: &object, code, why: &why });
    }
}

/// Whom a session speaks for from now on, or until now; or why for nobody.
fn told(session: SessionId, effects: &[Effect]) -> (String, Option<String>) {
    for effect in effects {
        match effect {
            Effect::ToAgent(to, AgentOrder::Registered { member, .. }) if *to == session => {
                return (member.id.to_string(), None);
            }
            Effect::ToAgent(to, AgentOrder::Refused(why)) if *to == session => {
                return (String::new(), Some(why.why().to_owned()));
            }
            Effect::ToFramework(to, FrameworkEvent::Subscribed { member, .. }) if *to == session => {
                return (member.id.to_string(), None);
            }
            Effect::ToFramework(to, FrameworkEvent::Error(why)) if *to == session => {
                return (String::new(), Some(why.clone()));
            }
            Effect::Announce(Announcement::FrameworkRemoved(id)) => return (id.to_string(), None),
            Effect::Announce(Announcement::AgentRemoved(id)) => return (id.to_string(), None),
            _ => {}
        }
    }
    (String::new(), None)
}

/// What a command that is not said on a session is about.
pub(crate) fn object_of(command: &OperatorCommand) -> String {
    match command {
        OperatorCommand::KillTask(task) => task.to_string(),
        OperatorCommand::AgentGone(agent)
        | OperatorCommand::RemoveAgent(agent)
        | OperatorCommand::Deactivate(agent)
        | OperatorCommand::Reactivate(agent) => agent.to_string(),
        OperatorCommand::Drain { agent, grace, mark_gone } => {
            let gone = if *mark_gone { ", then gone" } else { "" };
            format!("{agent}: grace {grace:?}{gone}")
        }
        OperatorCommand::Schedule { maintenance: Maintenance { agents, when, grace }, .. } => {
            let (start, lasts) = (when.start_ms, Duration::from_millis(when.duration_ms));
            let named: Vec<_> = agents.iter().take(NAMED_MAX).map(ToString::to_string).collect();
            let more = if agents.len() > NAMED_MAX {
                format!(" and {} more", agents.len() - NAMED_MAX)
            } else {
                String::new()
            };
            format!("{}{more}: from {start} ms for {lasts:?}, grace {grace:?}", named.join(", "))
        }
        OperatorCommand::CancelMaintenance(id) => id.to_string(),
        OperatorCommand::CreateToken(id, record) => {
            format!("{id} for {}", record.principal(*id))
        }
        OperatorCommand::RevokeToken(id) => id.to_string(),
        OperatorCommand::SetWeight { role, weight: Some(weight) } => format!("role {role:?}: weight {weight}"),
        OperatorCommand::SetWeight { role, weight: None } => format!("role {role:?}: weight as configured"),
        OperatorCommand::SetQuota { role, quota: Some(Quota { guarantee, limit }), force } => {
            let force = if *force { ", forced" } else { "" };
            format!("role {role:?}: guarantee {guarantee}; limit {limit}{force}")
        }
        OperatorCommand::SetQuota { role, quota: None, .. } => format!("role {role:?}: no quota"),
        OperatorCommand::Reserve(agent, operation) => match operation {
            Operation::Reserve { role, within: None, resources } => {
                format!("{agent}: {resources} for role {role:?}")
            }
            Operation::Reserve { role, within: Some(within), resources } => {
                format!("{agent}: {resources} of role {within:?} for role {role:?}")
            }
            Operation::Unreserve { role, resources } => format!("{agent}: {resources} of role {role:?}"),
        },
        OperatorCommand::CreateVolume { agent, role, name, size } => {
            format!("{agent}: {size} for role {role:?}, called {name:?}")
        }
        OperatorCommand::DestroyVolume(volume) => volume.to_string(),
        OperatorCommand::ShareVolume { volume, shared } => {
            format!("{volume}: {}", if *shared { "shared" } else { "not shared" })
        }
        OperatorCommand::SetPlacement { role, placement: Some(placement) } => format!("role {role:?}: {placement}"),
        OperatorCommand::SetPlacement { role, placement: None } => format!("role {role:?}: placement as above"),
        OperatorCommand::SetMinAllocatable { role, least: Some(least) } => {
            format!("role {role:?}: at least {least} in an offer")
        }
        OperatorCommand::SetMinAllocatable { role, least: None } => format!("role {role:?}: least offer as above"),
        OperatorCommand::FollowAuthority(authority) => format!("authority {}", &authority.hex()[..8]),
        OperatorCommand::Enrol { .. } => String::new(),
    }
}
