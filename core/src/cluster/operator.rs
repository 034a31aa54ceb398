//! What is asked for outside of sessions: carried out once, however often it is asked.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::command::OperatorCommand;
use super::effect::Effect;
use super::refusal::Refusal;
use super::state::State;
use super::{agents, enrol, kill, reserve, roles, tokens};
use crate::access::{Principal, Verb};
use crate::id::RequestId;
use crate::reservation::Operation;
use crate::time::Now;

/// Requests whose verdicts are remembered. A client that repeats one does so within seconds.
const REQUESTS_MAX: usize = 1024;

/// Who asked, and by which name of the request: nobody hears of another one's.
type Request = (Principal, RequestId);

/// The verdicts on the last requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    verdicts: BTreeMap<Request, Result<(), Refusal>>,
    order: VecDeque<Request>,
}

impl Requests {
    fn remember(&mut self, request: Request, verdict: Result<(), Refusal>) {
        self.verdicts.insert(request.clone(), verdict);
        self.order.push_back(request);
        if self.order.len() > REQUESTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
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
            Self::CreateToken(..) => Verb::CreateToken,
            Self::RevokeToken(_) => Verb::RevokeToken,
            Self::SetWeight { .. } => Verb::SetWeight,
            Self::SetQuota { .. } => Verb::SetQuota,
            Self::Reserve(_, Operation::Reserve { .. }) => Verb::Reserve,
            Self::Reserve(_, Operation::Unreserve { .. }) => Verb::Unreserve,
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
    if let Some(verdict) = request.as_ref().and_then(|request| state.requests.verdicts.get(request)) {
        return verdict.clone();
    }
    let verdict = match command {
        OperatorCommand::KillTask(task) => kill::by_principal(state, who, task, out),
        OperatorCommand::AgentGone(agent) => agents::declare_gone(state, now, agent, out),
        OperatorCommand::RemoveAgent(agent) => agents::remove(state, now, agent, out),
        OperatorCommand::CreateToken(id, record) => tokens::create(state, who, id, record, out),
        OperatorCommand::RevokeToken(id) => tokens::revoke(state, now, id, out),
        OperatorCommand::SetWeight { role, weight } => roles::set_weight(state, role, weight, out),
        OperatorCommand::SetQuota { role, quota, force } => roles::set_quota(state, role, quota, force, out),
        OperatorCommand::Reserve(agent, operation) => reserve::by_operator(state, agent, &operation, out),
        OperatorCommand::FollowAuthority(authority) => tokens::follow(state, who, authority, out),
        OperatorCommand::Enrol { key } => enrol::enrol(state, now, who, key, out),
    };
    if let Some(request) = request.filter(|_| verdict.is_ok()) {
        state.requests.remember(request, verdict.clone());
    }
    verdict
}
