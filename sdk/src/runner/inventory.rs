//! Whether any agent could ever run a task.

use haggle_core::Resources;
use haggle_core::cluster::AgentView;

/// A task that no agent of the cluster could run, were it alone there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {name:?} wants {wants}, more than any agent has; the largest, {agent_name}, has {has}")]
pub struct TooBig {
    /// The task's label.
    pub name: String,
    /// What it wants.
    pub wants: Resources,
    /// The agent that has most of what is short.
    pub agent_name: String,
    /// What that agent has in all.
    pub has: Resources,
}

/// The sizes of the agents, as last heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    agents: Vec<(String, Resources)>,
}

/// What an inventory says of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Some agent is large enough.
    Fits,
    /// There is no agent to ask.
    NobodyKnown,
    /// No agent is; the one that comes closest.
    TooBig { agent_name: String, has: Resources },
}

impl Inventory {
    /// Agents that leave take no more tasks, and do not count.
    pub(super) fn new(agents: Vec<AgentView>) -> Self {
        let staying = agents.into_iter().filter(|agent| !agent.draining);
        Self { agents: staying.map(|agent| (agent.info.name, agent.info.resources)).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    pub(super) fn fit(&self, wants: &Resources) -> Fit {
        if self.agents.iter().any(|(_, has)| has.fits(wants).is_ok()) {
            return Fit::Fits;
        }
        let closest = if self.agents.iter().all(|(_, has)| has.cpus < wants.cpus) {
            self.agents.iter().max_by_key(|(_, has)| (has.cpus, has.mem, has.disk))
        } else if self.agents.iter().all(|(_, has)| has.mem < wants.mem) {
            self.agents.iter().max_by_key(|(_, has)| (has.mem, has.cpus, has.disk))
        } else {
            self.agents.iter().max_by_key(|(_, has)| (has.disk, has.cpus, has.mem))
        };
        closest.map_or(Fit::NobodyKnown, |(name, has)| Fit::TooBig { agent_name: name.clone(), has: has.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{AgentId, AgentInfo, Bytes, MilliCpu};

    fn resources(cores: u64, mib: u64) -> Resources {
        Resources::new(MilliCpu::from_cores(cores), Bytes::from_mib(mib), Bytes::ZERO)
    }

    fn agent(name: &str, resources: Resources) -> AgentView {
        let info = AgentInfo { name: name.to_owned(), resources, attributes: Default::default() };
        AgentView {
            id: AgentId(1),
            info,
            connected: true,
            draining: false,
            used: Resources::default(),
            offered: Resources::default(),
            tasks: 0,
        }
    }

    #[test]
    fn a_wish_is_measured_against_what_agents_have_in_all() {
        let inventory = Inventory::new(vec![agent("small", resources(1, 64)), agent("large", resources(4, 64))]);

        assert_eq!(inventory.fit(&resources(4, 64)), Fit::Fits);
        assert_eq!(
            inventory.fit(&resources(8, 1)),
            Fit::TooBig { agent_name: "large".to_owned(), has: resources(4, 64) }
        );
    }

    #[test]
    fn the_agent_that_is_named_has_the_most_of_what_is_short() {
        let inventory = Inventory::new(vec![agent("cores", resources(8, 64)), agent("memory", resources(1, 512))]);

        let fit = inventory.fit(&resources(1, 1024));

        assert_eq!(fit, Fit::TooBig { agent_name: "memory".to_owned(), has: resources(1, 512) });
    }

    #[test]
    fn an_agent_that_leaves_does_not_count() {
        let leaving = AgentView { draining: true, ..agent("leaving", resources(8, 64)) };

        assert_eq!(Inventory::new(vec![leaving]).fit(&resources(1, 1)), Fit::NobodyKnown);
    }
}
