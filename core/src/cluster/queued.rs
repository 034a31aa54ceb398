//! Tasks in the queues of allocations: where they stand, as runs of neighbours that stand alike.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Bound;

use super::effect::{Effect, FrameworkEvent};
use super::history::EndedQueued;
use super::moments::{Moments, life_in_queue};
use super::state::{State, Task};
use super::updates;
use super::view::Life;
use super::views::above;
use crate::access::Tenant;
use crate::id::{AgentId, FrameworkId, TaskId, UpdateId};
use crate::queue::{QueueEnd, QueueNews, QueueRun, QueueUpdate, Shape};
use crate::runs::{Run, Runs};
use crate::task::{Reason, Source, TaskState, TaskStatus};
use crate::time::Now;

/// What there is to know of an allocation beside what holds of every task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allocation {
    /// Tasks in its queue that have not ended.
    pub(super) queued: usize,
    /// Its framework has said that no more follow.
    pub(super) last: bool,
    /// News that the framework has not acknowledged. Its agent repeats them; should it be lost, they are all that is known.
    pub(super) unacknowledged: BTreeMap<UpdateId, Arc<QueueUpdate>>,
    /// The latest of its updates that was acknowledged.
    pub(super) acknowledged: UpdateId,
    /// Its agent has named tasks as ended of which this master had not heard.
    pub(super) named_ended: bool,
    /// Its framework is gone: what was in its queue, until its agent or its own end says what became of that.
    pub(super) left: Runs<Queued>,
}

impl Default for Allocation {
    fn default() -> Self {
        Self {
            queued: 0,
            last: false,
            unacknowledged: BTreeMap::new(),
            acknowledged: UpdateId::UNACKNOWLEDGED,
            named_ended: false,
            left: Runs::default(),
        }
    }
}

/// What is known of each task of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// The number of its allocation.
    pub(super) allocation: u64,
    pub(super) shape: Arc<Shape>,
    pub(super) stands: Stands,
    /// When it was sent, unless an earlier master did that.
    pub(super) sent: Option<Now>,
    /// Since when it runs, or when its end was heard of.
    pub(super) since: Option<Now>,
}

/// Where a task in a queue stands, as far as its allocation can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Waiting,
    Running,
    /// It is to end. Said again to an agent that was away.
    Killing,
    /// It has ended, and this update of its allocation says how. The state is what is known before that has come.
    Ended(UpdateId, TaskState),
}

impl State {
    /// Where a task in a queue stands; `None` when it is in none.
    pub(super) fn queued_state(&self, id: TaskId) -> Option<TaskState> {
        let queued = self.queued.get(id)?;
        Some(self.standing(queued.of(id), queued.stands))
    }

    /// What is said of a task in a queue that has not ended.
    pub(super) fn queued_status(&self, id: TaskId) -> Option<TaskStatus> {
        let state = self.queued_state(id).filter(|state| !state.is_terminal())?;
        let agent = self.tasks.get(&self.queued.get(id)?.of(id))?.agent;
        let status = TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, state, Source::Master);
        Some(TaskStatus { agent: Some(agent), ..status })
    }

    /// How a task in a queue ended, if that is known and not acknowledged.
    pub(super) fn queued_end(&self, id: TaskId) -> Option<TaskStatus> {
        let queued = self.queued.get(id)?;
        let Stands::Ended(update, _) = &queued.stands else { return None };
        self.tasks.get(&queued.of(id))?.allocation.as_ref()?.unacknowledged.get(update)?.end_of(id)
    }

    /// When what became of a task in a queue.
    pub(super) fn life_in_queue(&self, id: TaskId) -> Option<Life> {
        let queued = self.queued.get(id)?;
        let end = self.queued_end(id).and_then(|status| status.usage);
        Some(life_in_queue(queued, end.map(|usage| usage.wall)))
    }

    /// Says once more how a task in a queue ended, if that is known and not acknowledged.
    pub(super) fn tell_queued_end(&self, id: TaskId, out: &mut Vec<Effect>) -> bool {
        let Some(Queued { stands: Stands::Ended(update, _), .. }) = self.queued.get(id) else { return false };
        let allocation = self.tasks.get(&self.queued.get(id).expect("it is there").of(id));
        let told = allocation.and_then(|task| task.allocation.as_ref()?.unacknowledged.get(update));
        if let Some(told) = told {
            self.tell_queue(Arc::clone(told), out);
        }
        true
    }

    /// Tells a framework of the tasks in an allocation, if it is there to hear it.
    pub(super) fn tell_queue(&self, update: Arc<QueueUpdate>, out: &mut Vec<Effect>) {
        if let Some(session) = self.framework_session(update.allocation.framework) {
            out.push(Effect::ToFramework(session, FrameworkEvent::Queue(update)));
        }
    }

    /// Tells a framework that is back of everything that agents repeat which are away.
    pub(super) fn tell_unacknowledged_queues(&self, framework: FrameworkId, out: &mut Vec<Effect>) {
        for id in &self.frameworks[&framework].tasks {
            let task = &self.tasks[id];
            if self.agent_session(task.agent).is_none()
                && let Some(allocation) = &task.allocation
            {
                allocation.unacknowledged.values().for_each(|update| self.tell_queue(Arc::clone(update), out));
            }
        }
    }

    /// Whose the tasks in the queue of an allocation are: whose that is, in its role.
    pub(super) fn tenant_of_queue(&self, allocation: TaskId) -> Arc<Tenant> {
        let known = self.tasks.get(&allocation).map(|task| Arc::clone(&task.tenant));
        known.unwrap_or_else(|| self.tenant_in(allocation.framework, ""))
    }

    /// Whose a task is, in a queue or by itself, unless it ended long ago.
    pub(super) fn tenant_of_task(&self, id: TaskId) -> Option<Arc<Tenant>> {
        let known = self.task(id).map(|task| Arc::clone(&task.tenant));
        let queued = || self.queued.get(id).map(|queued| self.tenant_of_queue(queued.of(id)));
        known.or_else(queued).or_else(|| self.history.queued(id).map(|ended| Arc::clone(ended.tenant())))
    }

    /// Adds tasks to the queue of an allocation. None of them is known.
    pub(super) fn insert_queued(&mut self, allocation: TaskId, first: u64, count: u64, queued: Queued) {
        let stands = queued.stands;
        self.queued.insert(TaskId { number: first, ..allocation }, count, queued);
        self.count_queued(allocation, count, stands, true);
    }

    /// Takes tasks out of whatever queues they are in.
    pub(super) fn take_queued(&mut self, first: TaskId, count: u64) -> Vec<Run<Queued>> {
        let taken = self.queued.take(first, count);
        for Run { first, count, value } in &taken {
            self.count_queued(value.of(*first), *count, value.stands, false);
        }
        taken
    }

    /// A task in a queue that has not ended stands elsewhere.
    pub(super) fn moves_queued(&mut self, id: TaskId, queued: Queued) {
        if let Some(before) = self.queued.get(id).map(|known| known.stands) {
            let of_allocation = self.state_of_allocation(queued.of(id));
            self.tally.goes(standing_in(of_allocation, before), 1);
            self.tally.comes(standing_in(of_allocation, queued.stands), 1);
            self.queued.set(id, queued);
        }
    }

    /// The agent of an allocation can be reached no more, or again: what is in its queue stands elsewhere by that. `before` is where
    /// the allocation stood.
    pub(super) fn recount_queue(&mut self, allocation: TaskId, before: TaskState) {
        for run in self.queue_of(allocation) {
            self.tally.goes(standing_in(before, run.value.stands), run.count);
            self.tally.comes(self.standing(allocation, run.value.stands), run.count);
        }
    }

    /// Tells whoever watches where the tasks in a queue stand that have not ended.
    pub(super) fn announce_queue(&self, allocation: TaskId, reason: Reason, why: &str, out: &mut Vec<Effect>) {
        for run in self.queue_of(allocation) {
            if !matches!(run.value.stands, Stands::Ended(..)) {
                self.announce_run(allocation, (run.first.number, run.count), run.value.stands, Some(reason), why, out);
            }
        }
    }

    /// Tells whoever watches that neighbours in a queue stand there now, along with those before them if they are of one kind.
    pub(super) fn announce_run(
        &self,
        allocation: TaskId,
        (first, count): (u64, u64),
        stands: Stands,
        reason: Option<Reason>,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self.tasks.get(&allocation) else { return };
        let (agent, state) = (task.agent, standing_in(task.status.state, stands));
        let run = QueueRun { allocation, agent, first, count, state, reason, message: why.into() };
        if let Some(Effect::AnnounceQueued(QueueNews::Run(before))) = out.last_mut()
            && before.joins(&run)
        {
            return;
        }
        out.push(Effect::AnnounceQueued(QueueNews::Run(run)));
    }

    /// Where tasks in the queue of this allocation stand.
    fn standing(&self, allocation: TaskId, stands: Stands) -> TaskState {
        standing_in(self.state_of_allocation(allocation), stands)
    }

    fn state_of_allocation(&self, allocation: TaskId) -> TaskState {
        self.tasks.get(&allocation).map_or(TaskState::Running, |task| task.status.state)
    }

    fn count_queued(&mut self, allocation: TaskId, count: u64, stands: Stands, is_more: bool) {
        let is_live = !matches!(stands, Stands::Ended(..));
        let task = self.tasks.get_mut(&allocation);
        let state = standing_in(task.as_ref().map_or(TaskState::Running, |task| task.status.state), stands);
        match is_more {
            true => self.tally.comes(state, count),
            false => self.tally.goes(state, count),
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let change = |counted: &mut usize| match is_more {
            true => *counted += count,
            false => *counted -= count,
        };
        if let Some(allocation) = task.and_then(|task| task.allocation.as_mut()).filter(|_| is_live) {
            change(&mut allocation.queued);
        }
        if let Some(framework) = self.frameworks.get_mut(&allocation.framework) {
            change(if is_live { &mut framework.queued } else { &mut framework.ended_queued });
        }
    }

    /// The runs in the queue of one allocation.
    pub(super) fn queue_of(&self, allocation: TaskId) -> Vec<Run<Queued>> {
        let runs = self.queued.of(allocation.framework).filter(|run| run.value.allocation == allocation.number);
        runs.map(|run| Run { first: run.first, count: run.count, value: run.value.clone() }).collect()
    }

    /// A framework is gone, and nobody asks after what is in its queues any more. How that ends is for the history.
    pub(super) fn leave_queued(&mut self, framework: FrameworkId) {
        let mut runs = self.queued.take(TaskId { framework, number: 0 }, u64::MAX);
        runs.extend(self.queued.take(TaskId { framework, number: u64::MAX }, 1));
        for Run { first, count, value } in runs {
            self.tally.goes(self.standing(value.of(first), value.stands), count);
            let known = self.tasks.get_mut(&value.of(first)).and_then(|task| task.allocation.as_mut());
            if let Some(allocation) = known {
                allocation.left.insert(first, count, value);
            }
        }
    }

    /// Tasks that a framework which is gone left in a queue have ended.
    pub(super) fn left_ended(&mut self, allocation: TaskId, update: Arc<QueueUpdate>) {
        let Some(task) = self.tasks.get_mut(&allocation) else { return };
        let tenant = Arc::clone(&task.tenant);
        let Some(known) = &mut task.allocation else { return };
        let ended = update.ended_runs().into_iter();
        let runs = ended.flat_map(|(first, count)| known.left.take(TaskId { number: first, ..allocation }, count));
        let runs = runs.collect();
        self.history.push_queued(EndedQueued { tenant, update, runs }, self.config.history, &mut self.modules);
    }

    /// The same when their allocation has ended, and nothing more is heard of them.
    fn left_behind(
        &mut self,
        allocation: TaskId,
        (ended, reason, why): (TaskState, Reason, &str),
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self.tasks.get_mut(&allocation) else { return };
        let agent = Some(task.agent);
        let Some(known) = &mut task.allocation else { return };
        let told = core::mem::take(&mut known.unacknowledged);
        told.into_values().for_each(|update| self.left_ended(allocation, update));
        let known = self.tasks.get(&allocation).and_then(|task| task.allocation.as_ref());
        let left = known.into_iter().flat_map(|known| known.left.of(allocation.framework));
        let never_ran = |run: Run<&Queued>| {
            let state = if let Stands::Ended(_, told) = run.value.stands { told } else { ended };
            QueueEnd::never_ran(run.first.number, run.count, Source::Master, state, reason, why)
        };
        let ended: Vec<QueueEnd> = left.map(never_ran).collect();
        if ended.is_empty() {
            return;
        }
        let update = Arc::new(QueueUpdate::by_master(allocation, agent, ended));
        out.push(Effect::AnnounceQueued(QueueNews::Told(Arc::clone(&update))));
        self.left_ended(allocation, update);
    }

    /// An allocation has ended: nobody will tell what became of the tasks that are left in its queue. Each of them is a
    /// task by itself from now on, with this end, or the one that was told and not acknowledged; its framework is told until
    /// it has taken note.
    pub(super) fn end_queue(
        &mut self,
        now: Now,
        allocation: TaskId,
        (ended, reason, why): (TaskState, Reason, &str),
        out: &mut Vec<Effect>,
    ) {
        if !self.frameworks.contains_key(&allocation.framework) {
            return self.left_behind(allocation, (ended, reason, why), out);
        }
        let known = self.tasks.get_mut(&allocation).and_then(|task| task.allocation.as_mut());
        let Some(known) = known else { return };
        let told = core::mem::take(&mut known.unacknowledged);
        for run in self.queue_of(allocation) {
            if !matches!(run.value.stands, Stands::Ended(..)) {
                self.end_queued(now, (run.first, run.count), (ended, reason, why), out);
            }
        }
        for status in told.into_values().flat_map(|update| Arc::unwrap_or_clone(update).ends()) {
            for run in self.take_queued(status.task, 1) {
                let tenant = self.tenant_of_queue(run.value.of(status.task));
                self.let_go_queued(now, tenant, &run.value.shape, status.clone(), out);
            }
        }
        // What is left was named by its agent as ended, and how was lost with the agent.
        for run in self.queue_of(allocation) {
            let told = if let Stands::Ended(_, told) = run.value.stands { told } else { ended };
            self.end_queued(now, (run.first, run.count), (told, reason, why), out);
        }
    }

    /// Ends tasks of which nobody will tell, and makes each of them a task by itself.
    pub(super) fn end_queued(
        &mut self,
        now: Now,
        (first, count): (TaskId, u64),
        (ended, reason, why): (TaskState, Reason, &str),
        out: &mut Vec<Effect>,
    ) {
        for Run { first, count, value } in self.take_queued(first, count) {
            let allocation = value.of(first);
            let agent = self.tasks.get(&allocation).map(|allocation| allocation.agent);
            let tenant = self.tenant_of_queue(allocation);
            let told = vec![QueueEnd::never_ran(first.number, count, Source::Master, ended, reason, why)];
            let told = Arc::new(QueueUpdate::by_master(allocation, agent, told));
            out.push(Effect::AnnounceQueued(QueueNews::Told(told)));
            for id in (Run { first, count, value: () }).tasks() {
                let status = TaskStatus {
                    reason: Some(reason),
                    message: why.into(),
                    agent,
                    ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, ended, Source::Master)
                };
                self.let_go_queued(now, Arc::clone(&tenant), &value.shape, status, out);
            }
        }
    }

    fn let_go_queued(
        &mut self,
        now: Now,
        tenant: Arc<Tenant>,
        shape: &Shape,
        status: TaskStatus,
        out: &mut Vec<Effect>,
    ) {
        let id = status.task;
        if !self.frameworks.contains_key(&id.framework) {
            return;
        }
        let agent = status.agent.unwrap_or(AgentId(0));
        self.last_update += 1;
        let update = UpdateId::by_master(self.epoch, self.last_update);
        let status = TaskStatus { update, ..status };
        let task = Task {
            name: shape.name.as_str().into(),
            tenant,
            agent,
            portion: shape.resources.clone().into(),
            // What it held is its allocation's.
            holds: false,
            kill: false,
            preempted: false,
            module: shape.module.map(|module| self.modules.take(module)),
            nth: self.next_task(),
            life: Moments::default(),
            latest_update: UpdateId::UNACKNOWLEDGED,
            status: status.clone().into(),
            kept: false,
            group: None,
            allocation: None,
        };
        self.insert_task(id, task);
        self.detach(id);
        self.tell(status, out);
        updates::keep(self, now, id);
    }
}

/// A task that has not ended, or whose end is not acknowledged.
pub(super) enum Live<'a> {
    Task(&'a Task),
    Queued(&'a Queued),
}

impl State {
    /// All of them behind `after`, by id.
    pub(super) fn live(&self, after: Option<TaskId>) -> impl Iterator<Item = (TaskId, Live<'_>)> {
        let tasks = self.tasks.range((above(after), Bound::Unbounded)).map(|(&id, task)| (id, Live::Task(task)));
        let first = after.map_or(TaskId { framework: FrameworkId(0), number: 0 }, |after| match after.number {
            u64::MAX => TaskId { framework: FrameworkId(after.framework.0.saturating_add(1)), number: 0 },
            number => TaskId { number: number + 1, ..after },
        });
        let in_queues =
            self.queued.from(first).flat_map(|run| run.tasks().map(move |id| (id, Live::Queued(run.value))));
        let (mut tasks, mut in_queues) = (tasks.peekable(), in_queues.peekable());
        core::iter::from_fn(move || match (tasks.peek(), in_queues.peek()) {
            (Some((task, _)), Some((queued, _))) if queued < task => in_queues.next(),
            (None, _) => in_queues.next(),
            _ => tasks.next(),
        })
    }
}

/// Where tasks stand in the queue of an allocation that stands there itself.
fn standing_in(allocation: TaskState, stands: Stands) -> TaskState {
    match stands {
        Stands::Ended(_, ended) => ended,
        _ if allocation == TaskState::Unreachable => TaskState::Unreachable,
        Stands::Waiting => TaskState::Staging,
        Stands::Running => TaskState::Running,
        Stands::Killing => TaskState::Killing,
    }
}

impl Queued {
    /// The allocation in whose queue this task is.
    pub(super) fn of(&self, id: TaskId) -> TaskId {
        TaskId { number: self.allocation, ..id }
    }
}

/// An allocation of which nothing is known but its queue.
pub(super) fn with_queue(task: &mut Task) -> &mut Allocation {
    task.allocation.get_or_insert_with(Box::default)
}
