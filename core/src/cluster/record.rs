//! The record of one task: what it holds, where it stands, and who is to be told.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::effect::{Announcement, Effect, FrameworkEvent};
use super::state::{State, Task};
use super::updates;
use crate::id::{AgentId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::reservation::Portion;
use crate::task::{Reason, Source, TaskState, TaskStatus};
use crate::time::Now;

impl State {
    /// Tells a framework of a task, if it is there to hear it.
    pub(super) fn tell(&self, status: TaskStatus, out: &mut Vec<Effect>) {
        if let Some(session) = self.framework_session(status.task.framework) {
            out.push(Effect::ToFramework(session, FrameworkEvent::Update(status)));
        }
    }

    /// Adds a task to its agent and its framework. Nothing is counted yet: see [`Self::hold`].
    pub(super) fn insert_task(&mut self, id: TaskId, task: Task) {
        if let Some(agent) = self.agents.get_mut(&task.agent) {
            agent.tasks.insert(id);
        }
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.tasks.insert(id);
            framework.ended += usize::from(task.status.state.is_terminal());
        }
        self.tally.comes(task.status.state, 1);
        if let Some(group) = task.group() {
            self.groups.joins(id, group);
        }
        self.tasks.insert(id, Box::new(task));
    }

    /// The place of a task among all those of which this master hears.
    pub(super) fn next_task(&mut self) -> u64 {
        self.last_task += 1;
        self.last_task
    }

    /// Counts what a task holds as allocated. [`Self::release`] is its opposite; both act once.
    pub(super) fn hold(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        if !task.holds || planted::is(Bug::CountedTwice) {
            task.holds = true;
            let Portion { resources, volumes, .. } = &task.portion;
            task.portion = self.allocator.charge(id.framework, task.tenant.role(), task.agent, resources, volumes);
            let agent = task.agent;
            self.note_holder(agent, id.framework);
        }
    }

    pub(super) fn release(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        if task.holds {
            task.holds = false;
            self.allocator.free(id.framework, task.tenant.role(), task.agent, &task.portion);
            self.allocator.volumes_freed(task.agent, &task.portion.volumes);
            let agent = task.agent;
            self.withdrawn.note(agent);
            self.note_holder(agent, id.framework);
        }
    }

    /// Notes the latest of a task, which may be its end: that frees what it holds.
    pub(super) fn note(&mut self, id: TaskId, status: TaskStatus) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        let ends = status.state.is_terminal() && !task.status.state.is_terminal();
        let before = task.status.state;
        self.tally.moves(task.tenant.role(), before, &status);
        let reached = (before == TaskState::Unreachable) != (status.state == TaskState::Unreachable);
        let has_queue = task.allocation.is_some();
        task.status = status.into();
        if let Some(group) = task.group() {
            self.groups.note(id, group);
        }
        if reached && has_queue {
            self.recount_queue(id, before);
        }
        if ends {
            if let Some(framework) = self.frameworks.get_mut(&id.framework) {
                framework.ended += 1;
            }
            if !planted::is(Bug::NeverFreed) {
                self.release(id);
            }
        }
    }

    /// Moves a task on by what the master itself finds out, and tells its framework until that has taken note. Nothing
    /// is done when the event comes too late.
    pub(super) fn declare(
        &mut self,
        now: Now,
        id: TaskId,
        event: TaskEvent,
        reason: Reason,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let task = &self.tasks[&id];
        let Some(next) = task.status.state.next(event) else { return };
        let (agent, before) = (task.agent, task.status.state);
        if next.is_terminal() {
            self.end_queue(now, id, (next, reason, why), out);
        }
        self.last_update += 1;
        let status = TaskStatus {
            reason: Some(reason),
            message: why.to_string(),
            agent: Some(agent),
            ..TaskStatus::new(id, UpdateId::by_master(self.epoch, self.last_update), next, Source::Master)
        };
        updates::let_go(self, id);
        if next.is_terminal()
            && let Some(task) = self.tasks.get_mut(&id)
        {
            task.life.ends(now);
        }
        self.note(id, status.clone());
        if next == TaskState::Unreachable {
            self.release(id);
        }
        out.push(Effect::Announce(Announcement::Task(status.clone())));
        if (before == TaskState::Unreachable) != (next == TaskState::Unreachable) {
            self.announce_queue(id, reason, why, out);
        }
        self.tell(status, out);
        updates::keep(self, now, id);
        if next.is_terminal() {
            self.detach(id);
            if !self.frameworks.contains_key(&id.framework) {
                self.archive(id);
            }
        }
    }

    /// Its agent does not hold a task any more.
    pub(super) fn detach(&mut self, id: TaskId) {
        let agent = self.tasks[&id].agent;
        self.withdrawn.note(agent);
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.tasks.remove(&id);
            // An agent that registers need not name what is settled meanwhile.
            agent.registering.as_mut().map(|registering| registering.unnamed.remove(&id));
        }
    }

    /// Whether the end of a task that an agent names while it registers was told and acknowledged.
    pub(super) fn was_archived(&self, agent: AgentId, id: TaskId) -> bool {
        let registering = self.agents[&agent].registering.as_ref();
        self.history.get(id).is_some() || registering.is_some_and(|registering| registering.archived.contains(&id))
    }

    /// Moves a task whose end is told and acknowledged to the history.
    pub(super) fn archive(&mut self, id: TaskId) {
        if !planted::is(Bug::NeverFreed) {
            self.release(id);
        }
        self.detach(id);
        updates::let_go(self, id);
        let task = self.tasks.remove(&id).expect("the caller has seen the task");
        self.tally.goes(task.status.state, 1);
        if let Some(group) = task.group() {
            self.groups.leaves(id, group);
        }
        if let Some(framework) = self.frameworks.get_mut(&id.framework) {
            framework.tasks.remove(&id);
            framework.ended -= usize::from(task.status.state.is_terminal());
        }
        if let Some(registering) = self.agents.get_mut(&task.agent).and_then(|agent| agent.registering.as_mut()) {
            registering.archived.insert(id);
        }
        self.history.push(id, task, self.config.history, &mut self.modules);
    }
}
