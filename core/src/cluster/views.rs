//! What an operator sees of the state.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Cluster;
use super::state::{Framework, Link, OpenOffer, Presence, State, Task};
use super::view::{AgentView, Counts, FrameworkView, OfferView, RoleView, TaskView};
use crate::allocator::RoleStanding;
use crate::id::{AgentId, OfferId, SessionId, TaskId};
use crate::resources::{Ports, Resources};

impl Cluster {
    /// The agents that are connected or may be back soon, by id.
    pub fn agents(&self) -> Vec<AgentView> {
        let state = &self.state;
        let here = state.agents.iter().filter(|(_, agent)| !matches!(agent.presence, Presence::Unreachable { .. }));
        here.map(|(&id, agent)| {
            let offered = sum(state, &agent.offers);
            let mut used = state.allocator.allocated_on(id);
            used.take_up_to(&offered);
            AgentView {
                id,
                info: agent.info.clone(),
                connected: matches!(agent.presence, Presence::Connected(_)),
                draining: agent.draining,
                used,
                offered,
                tasks: running(state, &agent.tasks),
            }
        })
        .collect()
    }

    /// The frameworks that are connected or may be back soon, by id. Their resources are sums over all agents,
    /// without ports.
    pub fn frameworks(&self) -> Vec<FrameworkView> {
        let state = &self.state;
        let view = |(&id, framework): (_, &Framework)| {
            let offered = sum(state, &framework.offers).with_ports(Ports::default());
            let mut used = state.allocator.allocated_to(id);
            used.take_up_to(&offered);
            FrameworkView {
                id,
                info: framework.info.clone(),
                connected: matches!(framework.link, Link::Connected(_)),
                suppressed: state.allocator.is_suppressed(id),
                used,
                offered,
                tasks: running(state, &framework.tasks),
            }
        };
        state.frameworks.iter().map(view).collect()
    }

    /// The roles that have frameworks, by name.
    pub fn roles(&self) -> Vec<RoleView> {
        let view = |role: RoleStanding<'_>| RoleView {
            name: role.name.to_string(),
            weight: role.weight.get(),
            frameworks: role.frameworks,
            allocated: role.allocated.clone(),
            share: role.share,
        };
        self.state.allocator.roles().map(view).collect()
    }

    /// The open offers, by id.
    pub fn offers(&self) -> Vec<OfferView> {
        let view = |(&id, offer): (_, &OpenOffer)| OfferView {
            id,
            framework: offer.framework,
            agent: offer.agent,
            resources: offer.resources.clone(),
        };
        self.state.offers.iter().map(view).collect()
    }

    /// The tasks of which the last word is said, from the one that ended first; then the others, by id.
    pub fn tasks(&self) -> Vec<TaskView> {
        let others = self.state.tasks.iter().map(|(&id, task)| (id, task));
        self.state.history.iter().chain(others).map(|(id, task)| view(id, task)).collect()
    }

    /// One task, unless it ended long ago or never was.
    pub fn task(&self, id: TaskId) -> Option<TaskView> {
        let task = self.state.task(id)?;
        Some(view(id, task))
    }

    /// How much of everything the master holds in mind.
    pub fn counts(&self) -> Counts {
        let state = &self.state;
        let of_agents = |count: fn(&super::state::Agent) -> usize| state.agents.values().map(count).sum();
        let of_frameworks = |count: fn(&Framework) -> usize| state.frameworks.values().map(count).sum();
        Counts {
            sessions: state.sessions.len(),
            agents: state.agents.len(),
            frameworks: state.frameworks.len(),
            offers: state.offers.len(),
            tasks: state.tasks.len(),
            ended: state.history.iter().count(),
            orphans: of_agents(|agent| agent.orphans.len()),
            kept_updates: of_frameworks(|framework| framework.kept.len()),
            questions: state.questions.len() + of_agents(|agent| agent.questions.len()),
            kills: of_frameworks(|framework| framework.kills.len()),
            timers: state.timers.len(),
        }
    }

    /// The connection of an agent, while there is one.
    pub fn session_of_agent(&self, id: AgentId) -> Option<SessionId> {
        self.state.agent_session(id)
    }
}

fn view(id: TaskId, task: &Task) -> TaskView {
    TaskView {
        id,
        name: task.name.clone(),
        role: task.role.to_string(),
        agent: task.agent,
        resources: task.resources.clone(),
        status: task.status.clone(),
    }
}

fn sum<'a>(state: &State, offers: impl IntoIterator<Item = &'a OfferId>) -> Resources {
    let mut sum = Resources::default();
    for id in offers {
        sum.give(&state.offers[id].resources);
    }
    sum
}

fn running<'a>(state: &State, tasks: impl IntoIterator<Item = &'a TaskId>) -> usize {
    tasks.into_iter().filter(|id| !state.tasks[id].status.state.is_terminal()).count()
}
