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

/// The sizes of the agents, and what is free there, as last heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    agents: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    has: Resources,
    free: Resources,
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
        let entry = |AgentView { info, used, offered, .. }| {
            let mut free = info.resources.clone();
            free.take_up_to(&used);
            free.take_up_to(&offered);
            Entry { name: info.name, has: info.resources, free }
        };
        Self { agents: agents.into_iter().filter(|agent| !agent.draining).map(entry).collect() }
    }

    pub(super) fn fit(&self, wants: &Resources) -> Fit {
        let agents = || self.agents.iter();
        if agents().any(|agent| agent.has.contains(wants)) {
            return Fit::Fits;
        }
        let closest = if agents().all(|agent| agent.has.cpus < wants.cpus) {
            agents().max_by_key(|agent| (agent.has.cpus, agent.has.mem, agent.has.disk))
        } else if agents().all(|agent| agent.has.mem < wants.mem) {
            agents().max_by_key(|agent| (agent.has.mem, agent.has.cpus, agent.has.disk))
        } else {
            agents().max_by_key(|agent| (agent.has.disk, agent.has.cpus, agent.has.mem))
        };
        closest.map_or(Fit::NobodyKnown, |agent| Fit::TooBig { agent_name: agent.name.clone(), has: agent.has.clone() })
    }

    /// The agent with the most of it free that could run a task which wants this, and what is free there, if anything is.
    pub(super) fn most_free(&self, wants: &Resources) -> Option<(&str, &Resources)> {
        let large = self.agents.iter().filter(|agent| agent.has.contains(wants));
        large
            .max_by_key(|agent| (agent.free.contains(wants), agent.free.cpus, agent.free.mem, agent.free.disk))
            .filter(|agent| !agent.free.is_empty())
            .map(|agent| (agent.name.as_str(), &agent.free))
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
        let info = AgentInfo { name: name.to_owned(), resources, ..AgentInfo::default() };
        AgentView {
            id: AgentId(1),
            info,
            connected: true,
            draining: false,
            used: Resources::default(),
            offered: Resources::default(),
            reserved: Vec::new(),
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
    fn what_is_used_or_offered_is_not_free() {
        let busy = AgentView { used: resources(2, 16), offered: resources(1, 16), ..agent("busy", resources(4, 64)) };
        let full = AgentView { used: resources(8, 64), ..agent("full", resources(8, 64)) };
        let inventory = Inventory::new(vec![busy, full, agent("small", resources(2, 64))]);

        assert_eq!(inventory.most_free(&resources(4, 1)), Some(("busy", &resources(1, 32))));
        assert_eq!(inventory.most_free(&resources(1, 1)), Some(("small", &resources(2, 64))));
        assert_eq!(inventory.most_free(&resources(8, 1)), None);
    }

    #[test]
    fn an_agent_that_leaves_does_not_count() {
        let leaving = AgentView { draining: true, ..agent("leaving", resources(8, 64)) };

        assert_eq!(Inventory::new(vec![leaving]).fit(&resources(1, 1)), Fit::NobodyKnown);
    }
}
