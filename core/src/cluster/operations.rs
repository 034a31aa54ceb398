//! What a framework wants done to what it was offered, before anything is launched there: planned first, then carried out.
//!
//! A plan changes nothing, and what is in it can be carried out. So operations on several agents can be done as a whole or not at all.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::effect::{Effect, FrameworkEvent};
use super::refusal::Refusal;
use super::state::State;
use super::{reserve, volumes};
use crate::access::{Principal, Verb};
use crate::id::{AgentId, FrameworkId, SessionId};
use crate::offer::OfferOperation;
use crate::reservation::{Operation, Portion};

/// Operations that can be carried out, one after the other.
pub(super) struct Plan {
    who: Principal,
    framework: FrameworkId,
    /// What the offers are for.
    role: Arc<str>,
    reservations: reserve::Draft,
    volumes: volumes::Draft,
    steps: Vec<(AgentId, Step)>,
}

enum Step {
    Reservation(reserve::Step),
    Volume(volumes::Step),
}

impl Plan {
    /// Of nothing yet.
    pub(super) fn new(
        state: &State,
        session: SessionId,
        framework: FrameworkId,
        role: &Arc<str>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            who: state.sessions.principal(session)?.clone(),
            framework,
            role: Arc::clone(role),
            reservations: reserve::Draft::default(),
            volumes: volumes::Draft::default(),
            steps: Vec::new(),
        })
    }

    /// One more operation on what is left of the offers of an agent, behind those that are planned. When it cannot be done, the plan
    /// is as it was.
    pub(super) fn add(
        &mut self,
        state: &State,
        agent: AgentId,
        operation: &OfferOperation,
        left: &mut Portion,
    ) -> Result<(), Refusal> {
        let step = match operation {
            OfferOperation::Reservation(operation) => {
                let verb = match operation {
                    Operation::Reserve { .. } => Verb::ReserveOffered,
                    Operation::Unreserve { .. } => Verb::UnreserveOffered,
                };
                if !self.who.may_use(verb, operation.role()) {
                    return Err(Refusal::RoleDenied(self.who.clone(), operation.role().to_string()));
                }
                Step::Reservation(reserve::plan(state, &mut self.reservations, agent, &self.role, operation, left)?)
            }
            OfferOperation::Volume(operation) => {
                let in_hand = volumes::InHand { who: &self.who, role: &self.role, agent, left };
                Step::Volume(volumes::plan(state, &mut self.volumes, in_hand, operation)?)
            }
        };
        self.steps.push((agent, step));
        Ok(())
    }

    /// Does all of it, and has it remembered.
    pub(super) fn carry_out(self, state: &mut State, out: &mut Vec<Effect>) {
        let Self { framework, role, steps, .. } = self;
        let mut changed: Vec<AgentId> = Vec::new();
        for (agent, step) in steps {
            match step {
                Step::Reservation(step) => reserve::carry_out(state, agent, step, out),
                Step::Volume(step) => volumes::carry_out(state, framework, &role, agent, step, out),
            }
            if !changed.contains(&agent) {
                changed.push(agent);
            }
        }
        changed.into_iter().for_each(|agent| reserve::remember(state, agent, out));
    }
}

/// Takes out of what is left what is reserved for a role below that of the offers now: it is not for the tasks launched on them.
pub(super) fn for_others(role: &str, left: &mut Portion) -> Portion {
    let own = left.usable(role).into_owned();
    let mut others = core::mem::replace(left, own);
    others.take_up_to(left);
    others
}

/// Tells the framework of something that is not done.
pub(super) fn drop_operation(session: SessionId, operation: OfferOperation, why: &str, out: &mut Vec<Effect>) {
    out.push(Effect::ToFramework(session, FrameworkEvent::OperationDropped { operation, why: why.to_string() }));
}
