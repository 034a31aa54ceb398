//! Agents that an operator takes out of use, and those that will not be there.

mod drain;
mod failover;
mod inverse;
mod maintenance;

use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{Command, Effect, OperatorCommand, PhaseView, Refusal};
use haggle_core::{AgentId, Maintenance, MaintenanceId, Unavailability};

use crate::kit::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What the wall clock says when a test begins: milliseconds since 1970.
const TODAY_MS: u64 = 20_000 * 24 * HOUR_MS;

impl World {
    fn operator_says(&mut self, command: OperatorCommand) -> Result<Vec<Effect>, Refusal> {
        self.try_apply(Command::Operator(Principal::owner(), None, command))
    }

    fn drain(&mut self, agent: Agent, grace: Duration) -> Vec<Effect> {
        let drain = OperatorCommand::Drain { agent: agent.id, grace, mark_gone: false };
        self.operator_says(drain).expect("the agent is known")
    }

    fn reactivate(&mut self, agent: Agent) -> Result<Vec<Effect>, Refusal> {
        self.operator_says(OperatorCommand::Reactivate(agent.id))
    }

    /// A window that begins so many minutes from the beginning of the test, for an hour.
    fn schedule(&mut self, agents: &[AgentId], from_minute: u64) -> Result<(MaintenanceId, Vec<Effect>), Refusal> {
        let when = Unavailability { start_ms: TODAY_MS + from_minute * MINUTE_MS, duration_ms: HOUR_MS };
        let maintenance = Maintenance { agents: agents.iter().copied().collect(), when, grace: Duration::ZERO };
        let effects = self.operator_says(OperatorCommand::Schedule { maintenance, wall_ms: TODAY_MS })?;
        let scheduled = effects.iter().find_map(|effect| match effect {
            Effect::Scheduled(id) => Some(*id),
            _ => None,
        });
        Ok((scheduled.expect("it is answered"), effects))
    }

    /// It is so many minutes later on the wall clock. The cluster's own time stands still.
    fn wall_clock(&mut self, minute: u64) -> Vec<Effect> {
        self.apply(Command::WallClock(TODAY_MS + minute * MINUTE_MS))
    }

    fn phase(&self, agent: Agent) -> Option<PhaseView> {
        self.cluster.agents(self.now).into_iter().find(|view| view.id == agent.id)?.withdrawal.map(|known| known.phase)
    }
}
