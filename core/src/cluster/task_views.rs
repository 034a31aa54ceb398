//! What is seen of tasks, and of the last that ended.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use super::history::Ended;
use super::moments::life_in_queue;
use super::queued::{Live, Queued, Stands};
use super::state::{State, Task};
use super::told::Told;
use super::view::{Life, TaskView};
use super::views::Page;
use crate::access::{Principal, Tenant, Verb};
use crate::group::Group;
use crate::id::{AgentId, TaskId};
use crate::queue::Shape;
use crate::task::{Reason, TaskState, TaskStatus};

/// How far a list of tasks was read: up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskCursor {
    /// Of those that run, or whose end is not acknowledged, which come first: by id.
    Live(TaskId),
    /// Of those of which the last word is said, from the one that ended first: up to the one in this place, which is next.
    Archived(u64),
}

impl Cluster {
    /// The tasks of which the last word is said, from the one that ended first; then the others, by id.
    pub fn tasks(&self) -> Vec<TaskView> {
        let ended = self.state.history.from(0).filter_map(|(_, id, ended)| ended_view(&self.state, id, ended));
        ended.chain(self.state.live(None).filter_map(|(id, task)| live_view(&self.state, id, &task))).collect()
    }

    /// Of the tasks behind `after`, the next `max`: those of them that `who` may see. Without `ended`, only those that have not ended. A task that ends while the list is read may be told of
    /// twice, the second time with its end.
    pub fn tasks_page(
        &self,
        who: &Principal,
        after: Option<TaskCursor>,
        ended: bool,
        max: usize,
    ) -> Page<TaskView, TaskCursor> {
        let mut page = Vec::new();
        let live_after = match after {
            Some(TaskCursor::Archived(next)) => return self.archived_page(who, page, next, max),
            Some(TaskCursor::Live(id)) => Some(id),
            None => None,
        };
        let mut last = None;
        let mut looked_at = 0;
        for (id, task) in self.state.live(live_after).take(max) {
            let is_shown = match &task {
                Live::Task(task) => {
                    (ended || !task.status.state.is_terminal()) && who.may(Verb::ListTasks, &task.tenant)
                }
                Live::Queued(queued) => {
                    (ended || !matches!(queued.stands, Stands::Ended(..)))
                        && who.may(Verb::ListTasks, &self.state.tenant_of_queue(queued.of(id)))
                }
            };
            page.extend(is_shown.then(|| live_view(&self.state, id, &task)).flatten());
            last = Some(id);
            looked_at += 1;
        }
        if looked_at == max {
            (page, last.map(TaskCursor::Live))
        } else if ended {
            self.archived_page(who, page, 0, max - looked_at)
        } else {
            (page, None)
        }
    }

    fn archived_page(
        &self,
        who: &Principal,
        mut page: Vec<TaskView>,
        from: u64,
        max: usize,
    ) -> Page<TaskView, TaskCursor> {
        // Those that were forgotten meanwhile were the oldest: all that are left came after them.
        let mut rest = self.state.history.from(from);
        for (_, id, ended) in rest.by_ref().take(max) {
            if who.may(Verb::ListTasks, ended.tenant()) {
                page.extend(ended_view(&self.state, id, ended));
            }
        }
        let next = rest.next().map(|(place, ..)| TaskCursor::Archived(place));
        (page, next)
    }

    /// One task, unless it ended long ago or never was.
    pub fn task(&self, id: TaskId) -> Option<TaskView> {
        let queued = || self.state.queued.get(id).and_then(|queued| queued_view(&self.state, id, queued));
        let known = self.state.task(id).map(|task| view(&self.state, id, task)).or_else(queued);
        known.or_else(|| ended_view(&self.state, id, self.state.history.queued(id)?))
    }

    /// When what became of a task, as far as this master knows.
    pub fn life_of(&self, id: TaskId) -> Life {
        let known = self.state.task(id).map(|task| task.life.life()).or_else(|| self.state.life_in_queue(id));
        known.unwrap_or_else(|| match self.state.history.queued(id) {
            Some(Ended::Queued { queued, end, .. }) => life_in_queue(queued, Some(end.ending.usage.wall)),
            _ => Life::default(),
        })
    }

    /// Of the tasks behind `after`, those that have ended among them, the next `max`: those of them that `who` may see and
    /// that are `wanted`. What is not wanted costs no copy, so that many may be looked at at once.
    pub fn tasks_page_where(
        &self,
        who: &Principal,
        after: Option<TaskCursor>,
        max: usize,
        mut wanted: impl FnMut(&TaskGlance<'_>) -> bool,
    ) -> Page<TaskView, TaskCursor> {
        let mut page = Vec::new();
        let from = match after {
            Some(TaskCursor::Archived(next)) => next,
            None | Some(TaskCursor::Live(_)) => {
                let behind = match after {
                    Some(TaskCursor::Live(id)) => Some(id),
                    _ => None,
                };
                let mut last = None;
                for (id, task) in self.state.live(behind).take(max) {
                    last = Some(id);
                    if live_glance(&self.state, who, id, &task, &mut wanted) {
                        page.extend(live_view(&self.state, id, &task));
                    }
                }
                // The last word of those that have ended is read in a page of its own.
                return (page, Some(last.map_or(TaskCursor::Archived(0), TaskCursor::Live)));
            }
        };
        let mut rest = self.state.history.from(from);
        for (_, id, ended) in rest.by_ref().take(max) {
            if who.may(Verb::ListTasks, ended.tenant()) && wanted(&ended_glance(id, &ended)) {
                page.extend(ended_view(&self.state, id, ended));
            }
        }
        let next = rest.next().map(|(place, ..)| TaskCursor::Archived(place));
        (page, next)
    }

    /// One task, if `who` may do that to it.
    pub fn task_for(&self, who: &Principal, verb: Verb, id: TaskId) -> Option<TaskView> {
        let tenant = self.tenant_of_task(id)?;
        self.task(id).filter(|_| who.may(verb, &tenant))
    }

    /// Whose a task is, unless it ended long ago.
    pub fn tenant_of_task(&self, id: TaskId) -> Option<Arc<Tenant>> {
        self.state.tenant_of_task(id)
    }
}

/// What of a task can be looked at without a copy of it.
#[derive(Clone, Copy, Debug)]
pub struct TaskGlance<'a> {
    /// Its name in the cluster.
    pub id: TaskId,
    /// Its label.
    pub name: &'a str,
    /// The role it counts towards.
    pub role: &'a str,
    /// Where it runs or ran.
    pub agent: Option<AgentId>,
    /// Where it stands.
    pub state: TaskState,
    /// Why.
    pub reason: Option<Reason>,
    /// Which group it is in.
    pub group: Option<Group>,
    /// Whether its last word is acknowledged.
    pub is_archived: bool,
}

fn glance<'a>(id: TaskId, task: &'a Task, is_archived: bool) -> TaskGlance<'a> {
    let Told { state, reason, .. } = task.status;
    TaskGlance {
        id,
        name: &task.name,
        role: task.tenant.role(),
        agent: Some(task.agent),
        state,
        reason,
        group: task.group(),
        is_archived,
    }
}

fn ended_glance<'a>(id: TaskId, ended: &Ended<'a>) -> TaskGlance<'a> {
    match *ended {
        Ended::Task(task) => glance(id, task, true),
        Ended::Queued { tenant, queued, update, end } => TaskGlance {
            id,
            name: &queued.shape.name,
            role: tenant.role(),
            agent: update.agent,
            state: end.ending.state,
            reason: end.ending.reason,
            group: None,
            is_archived: true,
        },
    }
}

/// Whether somebody may see it, and wants to.
fn live_glance(
    state: &State,
    who: &Principal,
    id: TaskId,
    task: &Live<'_>,
    wanted: &mut impl FnMut(&TaskGlance<'_>) -> bool,
) -> bool {
    match task {
        Live::Task(task) => who.may(Verb::ListTasks, &task.tenant) && wanted(&glance(id, task, false)),
        Live::Queued(queued) => {
            let tenant = state.tenant_of_queue(queued.of(id));
            let Some(status) = state.queued_status(id).or_else(|| state.queued_end(id)) else { return false };
            let TaskStatus { state, reason, agent, .. } = status;
            let (name, role) = (&*queued.shape.name, tenant.role());
            let glance = TaskGlance { id, name, role, agent, state, reason, group: None, is_archived: false };
            who.may(Verb::ListTasks, &tenant) && wanted(&glance)
        }
    }
}

fn view(state: &State, id: TaskId, task: &Task) -> TaskView {
    TaskView {
        id,
        name: task.name.to_string(),
        role: task.tenant.role().to_string(),
        agent: task.agent,
        module: task.module.map(|at| state.modules.digest(at)),
        resources: task.portion.resources.clone(),
        group: task.group(),
        is_allocation: task.allocation.is_some(),
        status: task.told(id),
    }
}

fn ended_view(state: &State, id: TaskId, ended: Ended<'_>) -> Option<TaskView> {
    match ended {
        Ended::Task(task) => Some(view(state, id, task)),
        Ended::Queued { tenant, queued, update, end } => {
            shape_view(id, &queued.shape, tenant, update.status_of(id, end))
        }
    }
}

fn live_view(state: &State, id: TaskId, task: &Live<'_>) -> Option<TaskView> {
    match task {
        Live::Task(task) => Some(view(state, id, task)),
        Live::Queued(queued) => queued_view(state, id, queued),
    }
}

/// Of one in a queue that has not ended, or whose end is not acknowledged.
fn queued_view(state: &State, id: TaskId, queued: &Queued) -> Option<TaskView> {
    let status = state.queued_status(id).or_else(|| state.queued_end(id))?;
    shape_view(id, &queued.shape, &state.tenant_of_queue(queued.of(id)), status)
}

fn shape_view(id: TaskId, shape: &Shape, tenant: &Tenant, status: TaskStatus) -> Option<TaskView> {
    Some(TaskView {
        id,
        name: shape.name.clone(),
        role: tenant.role().to_string(),
        agent: status.agent?,
        module: shape.module,
        resources: shape.resources.clone(),
        group: None,
        is_allocation: false,
        status,
    })
}
