//! What an operator sees of the state.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::Bound;

use super::Cluster;
use super::state::{Agent, Framework, Link, OpenOffer, Presence, State, Task};
use super::view::{AgentView, Counts, FrameworkView, OfferView, RoleView, TaskView};
use crate::allocator::RoleStanding;
use crate::id::{AgentId, FrameworkId, OfferId, SessionId, TaskId};
use crate::resources::{Ports, Resources};

/// How far a list of tasks was read: up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskCursor {
    /// Of those that run, or whose end is not acknowledged, which come first: by id.
    Live(TaskId),
    /// Of those of which the last word is said: from the one that ended first.
    Archived(Option<TaskId>),
}

impl Cluster {
    /// The agents that are connected or may be back soon, by id.
    pub fn agents(&self) -> Vec<AgentView> {
        self.agents_where(None, |agent| !matches!(agent.presence, Presence::Unreachable { .. })).collect()
    }

    /// Every known agent whose id is above `after`, unreachable ones among them, by id. Each is looked at as it is taken.
    pub fn agents_after(&self, after: Option<AgentId>) -> impl Iterator<Item = AgentView> {
        self.agents_where(after, |_| true)
    }

    fn agents_where(&self, after: Option<AgentId>, wanted: fn(&Agent) -> bool) -> impl Iterator<Item = AgentView> {
        let state = &self.state;
        let rest = state.agents.range((above(after), Bound::Unbounded));
        rest.filter(move |(_, agent)| wanted(agent)).map(|(&id, agent)| {
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
    }

    /// The frameworks that are connected or may be back soon, by id. Their resources are sums over all agents,
    /// without ports.
    pub fn frameworks(&self) -> Vec<FrameworkView> {
        self.frameworks_after(None).collect()
    }

    /// Those of [`Self::frameworks`] whose id is above `after`. Each is looked at as it is taken.
    pub fn frameworks_after(&self, after: Option<FrameworkId>) -> impl Iterator<Item = FrameworkView> {
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
        state.frameworks.range((above(after), Bound::Unbounded)).map(view)
    }

    /// The roles that have frameworks, by name.
    pub fn roles(&self) -> Vec<RoleView> {
        self.roles_after(None).collect()
    }

    /// Those of [`Self::roles`] whose name is above `after`.
    pub fn roles_after<'a>(&'a self, after: Option<&'a str>) -> impl Iterator<Item = RoleView> {
        let view = |role: RoleStanding<'_>| RoleView {
            name: role.name.to_string(),
            weight: role.weight.get(),
            frameworks: role.frameworks,
            allocated: role.allocated.clone(),
            share: role.share,
        };
        self.state.allocator.roles().filter(move |role| after.is_none_or(|after| role.name > after)).map(view)
    }

    /// The open offers, by id.
    pub fn offers(&self) -> Vec<OfferView> {
        self.offers_after(None).collect()
    }

    /// Those of [`Self::offers`] whose id is above `after`.
    pub fn offers_after(&self, after: Option<OfferId>) -> impl Iterator<Item = OfferView> {
        let view = |(&id, offer): (_, &OpenOffer)| OfferView {
            id,
            framework: offer.framework,
            agent: offer.agent,
            resources: offer.resources.clone(),
        };
        self.state.offers.range((above(after), Bound::Unbounded)).map(view)
    }

    /// The tasks of which the last word is said, from the one that ended first; then the others, by id.
    pub fn tasks(&self) -> Vec<TaskView> {
        let others = self.state.tasks.iter().map(|(&id, task)| (id, task));
        self.state.history.iter().chain(others).map(|(id, task)| view(id, task)).collect()
    }

    /// Some of the tasks behind `after`, of `max` that are looked at, and where to read on; `None` when there are no
    /// more. Without `ended`, only those that have not ended. A task that ends while the list is read may be told of
    /// twice, the second time with its end.
    pub fn tasks_page(
        &self,
        after: Option<TaskCursor>,
        ended: bool,
        max: usize,
    ) -> (Vec<TaskView>, Option<TaskCursor>) {
        let mut page = Vec::new();
        let live_after = match after {
            Some(TaskCursor::Archived(after)) => return self.archived_page(page, after, max),
            Some(TaskCursor::Live(id)) => Some(id),
            None => None,
        };
        let mut last = None;
        let mut looked_at = 0;
        for (&id, task) in self.state.tasks.range((above(live_after), Bound::Unbounded)).take(max) {
            if ended || !task.status.state.is_terminal() {
                page.push(view(id, task));
            }
            last = Some(id);
            looked_at += 1;
        }
        if looked_at == max {
            (page, last.map(TaskCursor::Live))
        } else if ended {
            self.archived_page(page, None, max - looked_at)
        } else {
            (page, None)
        }
    }

    fn archived_page(
        &self,
        mut page: Vec<TaskView>,
        after: Option<TaskId>,
        max: usize,
    ) -> (Vec<TaskView>, Option<TaskCursor>) {
        let history = &self.state.history;
        let mut rest = history.iter();
        // One that was forgotten meanwhile was the oldest: all that are left came after it.
        if let Some(after) = after.filter(|&after| history.get(after).is_some()) {
            rest.find(|&(id, _)| id == after);
        }
        let mut last = after;
        for (id, task) in rest.by_ref().take(max) {
            page.push(view(id, task));
            last = Some(id);
        }
        let next = rest.next().map(|_| TaskCursor::Archived(last));
        (page, next)
    }

    /// One task, unless it ended long ago or never was.
    pub fn task(&self, id: TaskId) -> Option<TaskView> {
        let task = self.state.task(id)?;
        Some(view(id, task))
    }

    /// How much of everything the master holds in mind.
    pub fn counts(&self) -> Counts {
        let state = &self.state;
        let of_agents = |count: fn(&Agent) -> usize| state.agents.values().map(count).sum();
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

fn above<T>(after: Option<T>) -> Bound<T> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
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
