//! What a master knows.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::command::FrameworkInfo;
use super::config::Config;
use super::effect::{AgentRecord, Announcement, Effect, FrameworkEvent, Recovered};
use super::refusal::Refusal;
use super::timers::{Timer, Timers};
use crate::agent::AgentInfo;
use crate::allocator::Allocator;
use crate::id::{AgentId, ClusterId, Epoch, FrameworkId, Member, OfferId, SessionId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::resources::Resources;
use crate::task::{Reason, Source, TaskState, TaskStatus};
use crate::time::Now;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) config: Config,
    pub(super) sessions: BTreeMap<SessionId, Peer>,
    pub(super) agents: BTreeMap<AgentId, Agent>,
    pub(super) frameworks: BTreeMap<FrameworkId, Framework>,
    pub(super) offers: BTreeMap<OfferId, OpenOffer>,
    /// Tasks that run, and ended ones whose end is not acknowledged.
    pub(super) tasks: BTreeMap<TaskId, Task>,
    /// Tasks of which the last word is said.
    pub(super) history: History,
    pub(super) allocator: Allocator,
    pub(super) timers: Timers,
    pub(super) cluster: ClusterId,
    pub(super) epoch: Epoch,
    pub(super) last_agent: u64,
    pub(super) last_framework: u64,
    pub(super) last_offer: u64,
}

/// Who speaks on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Agent(AgentId),
    Framework(FrameworkId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) info: AgentInfo,
    pub(super) presence: Presence,
    pub(super) draining: bool,
    pub(super) last_seen: Now,
    /// When its timer is set. May be earlier than it needs to be: hearing from an agent moves no timer.
    pub(super) timer: Now,
    pub(super) offers: BTreeSet<OfferId>,
    pub(super) tasks: BTreeSet<TaskId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Connected(SessionId),
    /// Its connection was lost. Its tasks count as running for now.
    Disconnected,
    /// It was known to the last master, and this one has not seen it. Nobody knows what runs there.
    Recovering,
    /// It was away for too long. It may still come back; `seen` is whether this master knows what ran there.
    Unreachable {
        seen: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Framework {
    pub(super) info: FrameworkInfo,
    /// The role's name, shared with its tasks.
    pub(super) role: Arc<str>,
    pub(super) link: Link,
    pub(super) offers: BTreeSet<OfferId>,
    pub(super) tasks: BTreeSet<TaskId>,
}

/// How a framework can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connected(SessionId),
    /// Not at all, and for no longer than until then.
    LostUntil(Now),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenOffer {
    pub(super) framework: FrameworkId,
    pub(super) agent: AgentId,
    pub(super) resources: Resources,
    pub(super) expires: Now,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) role: Arc<str>,
    pub(super) agent: AgentId,
    pub(super) resources: Resources,
    /// Whether the resources count as allocated. Its end frees them, once.
    pub(super) holds: bool,
    /// Whether somebody wants its end: said again to an agent that was away.
    pub(super) kill: bool,
    /// Whether its framework has had the last word on it. What its agent still says is then the master's to
    /// acknowledge.
    pub(super) closed: bool,
    /// The latest update of its agent.
    pub(super) latest_update: UpdateId,
    pub(super) status: TaskStatus,
}

impl State {
    pub(super) fn new(config: Config, recovered: Recovered, now: Now) -> Self {
        let mut state = Self {
            allocator: Allocator::new(config.weights.clone()),
            sessions: BTreeMap::new(),
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            offers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            history: History::default(),
            timers: Timers::default(),
            cluster: recovered.cluster,
            epoch: recovered.epoch,
            last_agent: recovered.last_agent,
            last_framework: recovered.last_framework,
            last_offer: 0,
            config,
        };
        for (id, AgentRecord { info, .. }) in recovered.agents {
            state.last_agent = state.last_agent.max(id.0);
            let timer = now + state.config.agent_timeout;
            state.timers.set(timer, Timer::Agent(id));
            state.agents.insert(id, Agent::new(info, Presence::Recovering, now, timer));
        }
        for (id, info) in recovered.frameworks {
            state.last_framework = state.last_framework.max(id.0);
            let until = now + info.failover_timeout;
            state.timers.set(until, Timer::Framework(id));
            let framework = Framework::new(info, Link::LostUntil(until));
            state.allocator.set_framework(id, &framework.role);
            state.frameworks.insert(id, framework);
        }
        state
    }

    pub(super) fn member<Id>(&self, id: Id) -> Member<Id> {
        Member { cluster: self.cluster, id }
    }

    pub(super) fn agent_of(&self, session: SessionId) -> Result<AgentId, Refusal> {
        match self.sessions.get(&session) {
            Some(&Peer::Agent(id)) => Ok(id),
            _ => Err(Refusal::NotAnAgent(session)),
        }
    }

    pub(super) fn framework_of(&self, session: SessionId) -> Result<FrameworkId, Refusal> {
        match self.sessions.get(&session) {
            Some(&Peer::Framework(id)) => Ok(id),
            _ => Err(Refusal::NotAFramework(session)),
        }
    }

    pub(super) fn agent_session(&self, id: AgentId) -> Option<SessionId> {
        match self.agents.get(&id)?.presence {
            Presence::Connected(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn framework_session(&self, id: FrameworkId) -> Option<SessionId> {
        match self.frameworks.get(&id)?.link {
            Link::Connected(session) => Some(session),
            Link::LostUntil(_) => None,
        }
    }

    /// Every framework that can hear something.
    pub(super) fn framework_sessions(&self) -> impl Iterator<Item = SessionId> {
        self.frameworks.values().filter_map(|framework| match framework.link {
            Link::Connected(session) => Some(session),
            Link::LostUntil(_) => None,
        })
    }

    /// Whether an agent may still come with tasks that this master has never heard of.
    pub(super) fn is_recovering(&self) -> bool {
        self.agents.values().any(|agent| agent.presence == Presence::Recovering)
    }

    /// Tells a framework of a task, if it is there to hear it.
    pub(super) fn tell(&self, status: TaskStatus, out: &mut Vec<Effect>) {
        if let Some(session) = self.framework_session(status.task.framework) {
            out.push(Effect::ToFramework(session, FrameworkEvent::Update(status)));
        }
    }

    /// Adds a task to its agent and its framework, and counts what it holds.
    pub(super) fn insert_task(&mut self, id: TaskId, task: Task) {
        if let Some(agent) = self.agents.get_mut(&task.agent) {
            agent.tasks.insert(id);
        }
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.tasks.insert(id);
        }
        self.tasks.insert(id, task);
    }

    /// Counts what a task holds as allocated. [`Self::release`] is its opposite; both act once.
    pub(super) fn hold(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        if !task.holds {
            task.holds = true;
            self.allocator.charge(id.framework, task.agent, &task.resources);
        }
    }

    pub(super) fn release(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        if task.holds {
            task.holds = false;
            self.allocator.free(id.framework, task.agent, &task.resources);
        }
    }

    /// What the master itself finds out about a task: moves it on, and says so. Nothing is done when the event
    /// comes too late. An end that the master declares is not acknowledged, so that it is the last word.
    pub(super) fn happen(&mut self, id: TaskId, event: TaskEvent, reason: Reason, why: &str, out: &mut Vec<Effect>) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        let Some(next) = task.status.state.next(event) else { return };
        task.status = TaskStatus {
            reason: Some(reason),
            message: why.to_string(),
            agent: Some(task.agent),
            ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, next, Source::Master)
        };
        let status = task.status.clone();
        if next.is_terminal() || next == TaskState::Unreachable {
            self.release(id);
        }
        out.push(Effect::Announce(Announcement::Task(status.clone())));
        self.tell(status, out);
        if next.is_terminal() {
            self.close(id);
        }
    }

    /// Moves a task of which the last word is said to the history.
    pub(super) fn close(&mut self, id: TaskId) {
        self.release(id);
        let mut task = self.tasks.remove(&id).expect("the caller has seen the task");
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.tasks.remove(&id);
        }
        if let Some(agent) = self.agents.get_mut(&task.agent) {
            agent.tasks.remove(&id);
        }
        task.closed = true;
        self.history.push(id, task, self.config.history);
    }
}

impl Agent {
    pub(super) fn new(info: AgentInfo, presence: Presence, now: Now, timer: Now) -> Self {
        Self { info, presence, draining: false, last_seen: now, timer, offers: BTreeSet::new(), tasks: BTreeSet::new() }
    }
}

impl Framework {
    pub(super) fn new(info: FrameworkInfo, link: Link) -> Self {
        let role = Arc::from(info.role.as_str());
        Self { info, role, link, offers: BTreeSet::new(), tasks: BTreeSet::new() }
    }
}

/// The tasks that ended last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    tasks: BTreeMap<TaskId, (u64, Task)>,
    order: BTreeMap<u64, TaskId>,
    pushed: u64,
}

impl History {
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(|(_, task)| task)
    }

    /// From the one that ended first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.order.values().map(|&id| (id, &self.tasks[&id].1))
    }

    /// Takes a task back out: it turned out to run on.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Task> {
        let (at, task) = self.tasks.remove(&id)?;
        self.order.remove(&at);
        Some(task)
    }

    fn push(&mut self, id: TaskId, task: Task, max: usize) {
        self.take(id);
        self.pushed += 1;
        self.tasks.insert(id, (self.pushed, task));
        self.order.insert(self.pushed, id);
        while self.order.len() > max {
            let (_, oldest) = self.order.pop_first().expect("it is longer than its bound");
            self.tasks.remove(&oldest);
        }
    }
}
