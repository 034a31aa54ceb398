//! What is asked for outside of sessions: carried out once, however often it is asked.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::command::OperatorCommand;
use super::effect::Effect;
use super::refusal::Refusal;
use super::state::State;
use super::{agents, enrol, kill, maintenance, reserve, roles, tokens, volumes, withdrawal};
use crate::access::{Principal, Verb};
use crate::id::RequestId;
use crate::reservation::Operation;
use crate::time::Now;

/// Requests that are remembered. A client that repeats one does so within seconds.
const REQUESTS_MAX: usize = 1024;

/// Who asked, and by which name of the request: nobody hears of another one's.
type Request = (Principal, RequestId);

/// The last requests that were carried out, and what they were answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    done: BTreeMap<Request, Option<Effect>>,
    order: VecDeque<Request>,
}

impl Requests {
    fn remember(&mut self, request: Request, answer: Option<Effect>) {
        self.done.insert(request.clone(), answer);
        self.order.push_back(request);
        if self.order.len() > REQUESTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.done.remove(&oldest);
        }
    }
}

impl OperatorCommand {
    /// What it is in the table of rights.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::KillTask(_) => Verb::KillTask,
            Self::AgentGone(_) => Verb::MarkAgentGone,
            Self::RemoveAgent(_) => Verb::RemoveAgent,
            Self::Deactivate(_) => Verb::DeactivateAgent,
            Self::Drain { .. } => Verb::DrainAgent,
            Self::Reactivate(_) => Verb::ReactivateAgent,
            Self::Schedule { .. } => Verb::Schedule,
            Self::CancelMaintenance(_) => Verb::CancelMaintenance,
            Self::CreateToken(..) => Verb::CreateToken,
            Self::RevokeToken(_) => Verb::RevokeToken,
            Self::SetWeight { .. } => Verb::SetWeight,
            Self::SetQuota { .. } => Verb::SetQuota,
            Self::Reserve(_, Operation::Reserve { .. }) => Verb::Reserve,
            Self::Reserve(_, Operation::Unreserve { .. }) => Verb::Unreserve,
            Self::CreateVolume { .. } => Verb::CreateVolume,
            Self::DestroyVolume(_) => Verb::DestroyVolume,
            Self::ShareVolume { .. } => Verb::ShareVolume,
            Self::SetPlacement { .. } => Verb::SetPlacement,
            Self::SetMinAllocatable { .. } => Verb::SetMinAllocatable,
            Self::FollowAuthority(_) => Verb::FollowAuthority,
            Self::Enrol { .. } => Verb::Enroll,
        }
    }

    /// Whether made again it does again what it did, so that its answer is whole.
    const fn answers(&self) -> bool {
        matches!(self, Self::CreateToken(..) | Self::Enrol { .. })
    }
}

pub(super) fn decide(
    state: &mut State,
    now: Now,
    who: &Principal,
    request: Option<RequestId>,
    command: OperatorCommand,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    who.check(command.verb())?;
    if let Some(token) = who.token {
        state.tokens.valid(token)?;
    }
    let request = request.filter(|_| !command.answers());
    // By whichever of its tokens it comes.
    let request = request.map(|request| (Principal { token: None, ..who.clone() }, request));
    if let Some(answer) = request.as_ref().and_then(|request| state.requests.done.get(request)) {
        out.extend(answer.clone());
        return Ok(());
    }
    let mut answer = None;
    let verdict = match command {
        OperatorCommand::KillTask(task) => kill::by_principal(state, who, task, out),
        OperatorCommand::AgentGone(agent) => agents::declare_gone(state, now, agent, out),
        OperatorCommand::RemoveAgent(agent) => agents::remove(state, now, agent, out),
        OperatorCommand::Deactivate(agent) => withdrawal::deactivate(state, now, agent, out),
        OperatorCommand::Drain { agent, grace, mark_gone } => {
            withdrawal::drain(state, now, agent, grace, mark_gone, out)
        }
        OperatorCommand::Reactivate(agent) => withdrawal::reactivate(state, agent, out),
        OperatorCommand::Schedule { maintenance, wall_ms } => {
            maintenance::schedule(state, now, maintenance, wall_ms, out).map(|id| answer = Some(Effect::Scheduled(id)))
        }
        OperatorCommand::CancelMaintenance(id) => maintenance::cancel(state, now, id, out),
        OperatorCommand::CreateToken(id, record) => tokens::create(state, who, id, record, out),
        OperatorCommand::RevokeToken(id) => tokens::revoke(state, now, id, out),
        OperatorCommand::SetWeight { role, weight } => roles::set_weight(state, role, weight, out),
        OperatorCommand::SetQuota { role, quota, force } => roles::set_quota(state, role, quota, force, out),
        OperatorCommand::Reserve(agent, operation) => reserve::by_operator(state, agent, &operation, out),
        OperatorCommand::CreateVolume { agent, role, name, size } => {
            volumes::create(state, who, agent, (&role, name, size), out)
                .map(|volume| answer = Some(Effect::VolumeCreated(volume)))
        }
        OperatorCommand::DestroyVolume(volume) => volumes::destroy(state, volume, out),
        OperatorCommand::ShareVolume { volume, shared } => volumes::share(state, volume, shared, out),
        OperatorCommand::SetPlacement { role, placement } => roles::set_placement(state, role, placement, out),
        OperatorCommand::SetMinAllocatable { role, least } => roles::set_min_allocatable(state, role, least, out),
        OperatorCommand::FollowAuthority(authority) => tokens::follow(state, who, authority, out),
        OperatorCommand::Enrol { key } => enrol::enrol(state, now, who, key, out),
    };
    if let Some(request) = request.filter(|_| verdict.is_ok()) {
        state.requests.remember(request, answer);
    }
    verdict
}
