//! Whether any agent could ever run a task.

use haggle_core::cluster::AgentView;
use haggle_core::{AgentId, AgentInfo, Constraint, MilliCpu, Resources};

use super::need::Need;
use crate::task::Task;

/// Agents that are named where something is said of several.
const NAMED: usize = 3;

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

/// A task that no agent of the cluster could run, for none is what it needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {name:?} can run on no agent: {}", Lack::in_words(lacks))]
pub struct Unsuitable {
    /// The task's label.
    pub name: String,
    /// What is in its way, what concerns most agents first.
    pub lacks: Vec<Lack>,
}

/// What some agents lack: the first constraint that they do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Which one.
    pub constraint: Constraint,
    /// The names of the agents.
    pub agents: Vec<String>,
}

/// Why no agent could run a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAgent {
    /// None is large enough.
    #[error(transparent)]
    TooBig(Box<TooBig>),
    /// None is what it needs.
    #[error(transparent)]
    Unsuitable(Unsuitable),
}

impl Lack {
    /// All of them in one line: `a1, a2: no network is given to tasks (…); a3: zone = a is not met`.
    pub(super) fn in_words(lacks: &[Self]) -> String {
        let words = |lack: &Self| {
            let named = lack.agents.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = match lack.agents.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{named}{more}: {}", lack.constraint.unmet())
        };
        lacks.iter().map(words).collect::<Vec<_>>().join("; ")
    }
}

/// The sizes of the agents, and what is free there, as last heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    agents: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    id: AgentId,
    info: AgentInfo,
    free: Resources,
}

/// What an inventory says of a need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Some agent is large enough.
    Fits,
    /// There is no agent to ask, or not the one that holds what it mounts, which may come back.
    NobodyKnown,
    /// No agent is, of those that are what it needs; the one that comes closest.
    TooBig { agent_name: String, has: Resources },
    /// No agent is what it needs.
    Unsuitable(Vec<Lack>),
}

impl Inventory {
    /// Agents that leave, or are taken out of use, take no more tasks and do not count.
    pub(super) fn new(agents: Vec<AgentView>) -> Self {
        let entry = |AgentView { id, info, revocable, used, offered, .. }| {
            let mut free = info.resources.clone().with_revocable(revocable);
            free.take_up_to(&used);
            free.take_up_to(&offered);
            Entry { id, info, free }
        };
        Self { agents: agents.into_iter().filter(takes_tasks).map(entry).collect() }
    }

    /// Whether some agent could run a task, or none is known.
    ///
    /// # Errors
    /// Why none could.
    pub(super) fn check(&self, task: &Task) -> Result<(), NoAgent> {
        let name = || task.label().to_owned();
        match self.fit(&task.need()) {
            Fit::Fits | Fit::NobodyKnown => Ok(()),
            Fit::TooBig { agent_name, has } => {
                Err(NoAgent::TooBig(Box::new(TooBig { name: name(), wants: task.wants().clone(), agent_name, has })))
            }
            Fit::Unsuitable(lacks) => Err(NoAgent::Unsuitable(Unsuitable { name: name(), lacks })),
        }
    }

    pub(super) fn fit(&self, need: &Need) -> Fit {
        let wants = &at_most(need);
        let agents = || self.suitable(need).map(|agent| &agent.info);
        if agents().any(|agent| agent.resources.contains(wants)) {
            return Fit::Fits;
        }
        let closest = if agents().all(|agent| agent.resources.cpus < wants.cpus) {
            agents().max_by_key(|AgentInfo { resources: has, .. }| (has.cpus, has.mem, has.disk))
        } else if agents().all(|agent| agent.resources.mem < wants.mem) {
            agents().max_by_key(|AgentInfo { resources: has, .. }| (has.mem, has.cpus, has.disk))
        } else {
            agents().max_by_key(|AgentInfo { resources: has, .. }| (has.disk, has.cpus, has.mem))
        };
        if let Some(AgentInfo { name, resources, .. }) = closest {
            return Fit::TooBig { agent_name: name.clone(), has: resources.clone() };
        }
        let can_be_on_some = self.agents.iter().any(|agent| need.can_be_on(agent.id));
        if can_be_on_some { Fit::Unsuitable(self.lacks(need)) } else { Fit::NobodyKnown }
    }

    /// The agent with the most of it free that could run a task with this need, and what is free there, if anything is.
    pub(super) fn most_free(&self, need: &Need) -> Option<(&str, &Resources)> {
        let (wants, most) = (&need.resources, at_most(need));
        let large = self.suitable(need).filter(|agent| agent.info.resources.contains(&most));
        large
            .max_by_key(|agent| (agent.free.contains(wants), agent.free.cpus, agent.free.mem, agent.free.disk))
            .filter(|agent| !agent.free.is_empty())
            .map(|agent| (agent.info.name.as_str(), &agent.free))
    }

    fn suitable<'a>(&'a self, need: &Need) -> impl Iterator<Item = &'a Entry> {
        self.agents.iter().filter(move |agent| need.can_be_on(agent.id) && need.suits(agent.info.traits()).is_ok())
    }

    fn lacks(&self, need: &Need) -> Vec<Lack> {
        let mut lacks: Vec<Lack> = Vec::new();
        for Entry { info, .. } in self.agents.iter().filter(|agent| need.can_be_on(agent.id)) {
            let (name, Err(unmet)) = (&info.name, need.suits(info.traits())) else { continue };
            match lacks.iter_mut().find(|lack| lack.constraint == *unmet) {
                Some(lack) => lack.agents.push(name.clone()),
                None => lacks.push(Lack { constraint: unmet.clone(), agents: vec![name.clone()] }),
            }
        }
        lacks.sort_by_key(|lack| std::cmp::Reverse(lack.agents.len()));
        lacks
    }
}

/// What an agent must have in all: how much of that is revocable changes, and is never more.
fn at_most(need: &Need) -> Resources {
    let mut wants = need.resources.clone();
    wants.cpus = wants.cpus.max(wants.revocable);
    wants.with_revocable(MilliCpu::ZERO)
}

fn takes_tasks(agent: &AgentView) -> bool {
    !agent.draining && agent.withdrawal.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{Bytes, VolumeId};

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
            withdrawal: None,
            unavailability: None,
            revocable: MilliCpu::ZERO,
            used: Resources::default(),
            offered: Resources::default(),
            reserved: Vec::new(),
            volumes: 0,
            kept: Bytes::ZERO,
            tasks: 0,
        }
    }

    #[test]
    fn a_wish_is_measured_against_what_agents_have_in_all() {
        let inventory = Inventory::new(vec![agent("small", resources(1, 64)), agent("large", resources(4, 64))]);

        assert_eq!(inventory.fit(&resources(4, 64).into()), Fit::Fits);
        assert_eq!(
            inventory.fit(&resources(8, 1).into()),
            Fit::TooBig { agent_name: "large".to_owned(), has: resources(4, 64) }
        );
    }

    #[test]
    fn what_is_revocable_may_be_as_much_as_an_agent_has_and_is_free_as_it_was_measured() {
        let idle = |cores: u64| resources(0, 16).with_revocable(MilliCpu::from_cores(cores));
        let used = resources(4, 16).with_revocable(MilliCpu::from_cores(1));
        let busy = AgentView { used, revocable: MilliCpu::from_cores(3), ..agent("busy", resources(4, 64)) };
        let inventory = Inventory::new(vec![busy]);

        assert_eq!(inventory.fit(&idle(4).into()), Fit::Fits);
        assert!(matches!(inventory.fit(&idle(5).into()), Fit::TooBig { .. }));
        let free = resources(0, 48).with_revocable(MilliCpu::from_cores(2));
        assert_eq!(inventory.most_free(&idle(1).into()), Some(("busy", &free)));
    }

    #[test]
    fn the_agent_that_is_named_has_the_most_of_what_is_short() {
        let inventory = Inventory::new(vec![agent("cores", resources(8, 64)), agent("memory", resources(1, 512))]);

        let fit = inventory.fit(&resources(1, 1024).into());

        assert_eq!(fit, Fit::TooBig { agent_name: "memory".to_owned(), has: resources(1, 512) });
    }

    #[test]
    fn what_is_used_or_offered_is_not_free() {
        let busy = AgentView { used: resources(2, 16), offered: resources(1, 16), ..agent("busy", resources(4, 64)) };
        let full = AgentView { used: resources(8, 64), ..agent("full", resources(8, 64)) };
        let inventory = Inventory::new(vec![busy, full, agent("small", resources(2, 64))]);

        assert_eq!(inventory.most_free(&resources(4, 1).into()), Some(("busy", &resources(1, 32))));
        assert_eq!(inventory.most_free(&resources(1, 1).into()), Some(("small", &resources(2, 64))));
        assert_eq!(inventory.most_free(&resources(8, 1).into()), None);
    }

    #[test]
    fn a_task_that_mounts_a_volume_is_measured_against_the_agent_that_holds_it() {
        let holder = AgentView { id: AgentId(2), ..agent("holder", resources(1, 64)) };
        let large = agent("large", resources(8, 64));
        let inventory = Inventory::new(vec![holder, large.clone()]);
        let mounts = |cores| Need {
            volumes: vec![VolumeId { agent: AgentId(2), number: 1 }],
            ..Need::from(resources(cores, 1))
        };

        assert_eq!(inventory.fit(&mounts(1)), Fit::Fits);
        let too_big = Fit::TooBig { agent_name: "holder".to_owned(), has: resources(1, 64) };
        assert_eq!(inventory.fit(&mounts(2)), too_big);
        assert_eq!(inventory.most_free(&mounts(1)), Some(("holder", &resources(1, 64))));
        assert_eq!(Inventory::new(vec![large]).fit(&mounts(1)), Fit::NobodyKnown, "it may come back");
    }

    #[test]
    fn an_agent_that_leaves_does_not_count() {
        let leaving = AgentView { draining: true, ..agent("leaving", resources(8, 64)) };

        assert_eq!(Inventory::new(vec![leaving]).fit(&resources(1, 1).into()), Fit::NobodyKnown);
    }

    #[test]
    fn which_agents_lack_what_is_told_where_none_is_what_a_task_needs() {
        let with = |name: &str, attribute: &str| {
            let mut agent = agent(name, resources(4, 64));
            agent.info.attributes.insert(attribute.to_owned(), "x".to_owned());
            agent
        };
        let agents = ["a1", "a2", "a3", "a4"].map(|name| with(name, "haggle.net"));
        let inventory = Inventory::new(agents.into_iter().chain([with("a5", "zone")]).collect());
        let task = Task::new(haggle_core::Digest([0; 32])).name("t").allow_http("h").constraint("zone=x");

        let Err(NoAgent::Unsuitable(why)) = inventory.check(&task) else { panic!("no agent has both") };

        assert_eq!(
            why.to_string(),
            "task \"t\" can run on no agent: a1, a2, a3 and 1 more: zone = x is not met; a5: no network is given to \
             tasks (haggle agent --allow-network)"
        );
        assert_eq!(inventory.check(&Task::new(haggle_core::Digest([0; 32])).constraint("zone")), Ok(()));
    }

    #[test]
    fn a_task_is_measured_against_the_agents_that_are_what_it_needs() {
        let mut small = agent("small", resources(1, 64));
        small.info.attributes.insert("zone".to_owned(), "a".to_owned());
        let inventory = Inventory::new(vec![small, agent("large", resources(8, 64))]);
        let need = Need { resources: resources(2, 1), constraints: vec!["zone=a".parse().unwrap()], ..Need::default() };

        let fit = inventory.fit(&need);

        assert_eq!(fit, Fit::TooBig { agent_name: "small".to_owned(), has: resources(1, 64) });
        assert_eq!(inventory.most_free(&need), None);
    }
}
