//! What operators ask for: carried out once, however often it is asked.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::command::OperatorCommand;
use super::effect::Effect;
use super::refusal::Refusal;
use super::state::State;
use super::{agents, kill};
use crate::id::RequestId;
use crate::time::Now;

/// Requests whose verdicts are remembered. A client that repeats one does so within seconds.
const REQUESTS_MAX: usize = 1024;

/// The verdicts on the last requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    verdicts: BTreeMap<RequestId, Result<(), Refusal>>,
    order: VecDeque<RequestId>,
}

impl Requests {
    fn remember(&mut self, request: RequestId, verdict: Result<(), Refusal>) {
        self.verdicts.insert(request, verdict);
        self.order.push_back(request);
        if self.order.len() > REQUESTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

pub(super) fn decide(
    state: &mut State,
    now: Now,
    request: Option<RequestId>,
    command: &OperatorCommand,
    out: &mut Vec<Effect>,
) -> Result<(), Refusal> {
    if let Some(verdict) = request.and_then(|request| state.requests.verdicts.get(&request)) {
        return verdict.clone();
    }
    let verdict = match *command {
        OperatorCommand::KillTask(task) => kill::by_operator(state, task, out),
        OperatorCommand::AgentGone(agent) => agents::declare_gone(state, now, agent, out),
    };
    if let Some(request) = request.filter(|_| verdict.is_ok()) {
        state.requests.remember(request, verdict.clone());
    }
    verdict
}
