//! What the master orders of allocations, and what their executors say.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::queue::{Queue, Queued, of_executor};
use super::task::Task;
use super::{Effect, Node, RecoveredQueue, Refusal};
use crate::id::{TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::queue::{AllocationSpec, HeldQueue, HeldRun, QueueEnd, QueuedTasks, Shape};
use crate::runs::Run;
use crate::task::{Ending, Source, TaskState, TaskSummary, Usage};
use crate::time::Now;

impl Node {
    /// Holds resources for a queue. It counts as running at once: there is nothing to wait for.
    pub(super) fn open(&mut self, now: Now, spec: Arc<AllocationSpec>, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let id = spec.id;
        if !self.admits(id, &spec.resources)? {
            return Ok(());
        }
        self.used.give(&spec.resources);
        let summary = TaskSummary {
            id,
            name: spec.name.clone(),
            role: spec.role.clone(),
            resources: spec.resources.clone(),
            volumes: spec.volumes.iter().map(|volume| volume.id).collect(),
            module: None,
            group: None,
            trace: None,
        };
        let mut task = Task::new(summary);
        task.queue = Some(alloc::boxed::Box::new(Queue::new(&spec)));
        task.started = true;
        task.transition(TaskEvent::Reported(TaskState::Running));
        self.tasks.insert(id, task);
        self.is_idle_from(now, id);
        self.enqueue(id);
        out.push(Effect::Open(spec));
        Ok(())
    }

    /// Takes tasks into a queue. What comes to one that ends meanwhile is the master's to explain: it sees that they were
    /// never named.
    pub(super) fn enqueue_tasks(
        &mut self,
        now: Now,
        allocation: TaskId,
        tasks: Vec<QueuedTasks>,
        last: bool,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        for tasks in &tasks {
            let first = tasks.spec.id;
            if self.tasks.range(first..).next().is_some_and(|(id, _)| in_run(first, tasks.count, *id))
                || self.queued.has_any(first, u64::from(tasks.count))
            {
                return Err(Refusal::AlreadyHeld(first, TaskState::Staging));
            }
        }
        let task = self.tasks.get_mut(&allocation).filter(|task| task.stopped.is_none() && !task.state.is_terminal());
        let queue = task.and_then(|task| task.queue.as_mut()).filter(|queue| !queue.is_closing());
        let queue = queue.ok_or(Refusal::NotHeld(allocation))?;
        queue.last |= last;
        for tasks in &tasks {
            let count = u64::from(tasks.count);
            let queued = Queued {
                allocation: allocation.number,
                shape: Arc::new(Shape::from(&*tasks.spec)),
                stands: TaskState::Staging,
            };
            self.queued.insert(tasks.spec.id, count, queued);
            queue.live += count;
        }
        self.is_idle_from(now, allocation);
        self.enqueue(allocation);
        out.push(Effect::Enqueue { allocation, tasks, last });
        Ok(())
    }

    /// False when the task is in no queue.
    pub(super) fn kill_queued(&mut self, id: TaskId, out: &mut Vec<Effect>) -> bool {
        let Some(queued) = self.queued.get(id) else { return false };
        let allocation = queued.of(id);
        match queued.stands {
            TaskState::Killing => {}
            ended if ended.is_terminal() => {
                if let Some(task) = self.tasks.get_mut(&allocation) {
                    task.forget_sent();
                    self.enqueue(allocation);
                }
            }
            _ => {
                let queued = Queued { stands: TaskState::Killing, ..queued.clone() };
                self.queued.set(id, queued);
                out.push(Effect::StopQueued { allocation, task: id });
            }
        }
        true
    }

    /// What the executor says of an allocation's queue, or the agent of tasks in it that never came to an executor.
    pub(super) fn queue_news(
        &mut self,
        now: Now,
        allocation: TaskId,
        started: Vec<u64>,
        ended: Vec<QueueEnd>,
    ) -> Result<(), Refusal> {
        let task = self.tasks.get_mut(&allocation).ok_or(Refusal::NotHeld(allocation))?;
        let stopped = task.stopped.clone();
        let queue = task.queue.as_mut().ok_or(Refusal::NotHeld(allocation))?;
        for number in started {
            let id = TaskId { number, ..allocation };
            if let Some(queued) = self.queued.get(id).filter(|queued| queued.stands == TaskState::Staging) {
                let queued = Queued { stands: TaskState::Running, ..queued.clone() };
                self.queued.set(id, queued);
                queue.has_started(number);
            }
        }
        for QueueEnd { first, count, source, ending } in ended {
            for Run { first, count, value } in self.queued.take(TaskId { number: first, ..allocation }, count) {
                if value.stands.is_terminal() || value.allocation != allocation.number {
                    self.queued.insert(first, count, value);
                    continue;
                }
                // Why those ended that ran in the executor it has said, and says again to another agent.
                let ending = match &stopped {
                    Some(why) if source == Source::Agent => why.explain(ending.clone()),
                    _ => ending.clone(),
                };
                self.queued.insert(first, count, Queued { stands: ending.state, ..value });
                queue.live -= count;
                queue.has_ended(QueueEnd { first: first.number, count, source, ending });
            }
        }
        let is_empty = queue.live == 0;
        if let Some(drain) = self.drain.as_mut().filter(|_| is_empty) {
            drain.last_end = now;
        }
        self.is_idle_from(now, allocation);
        self.enqueue(allocation);
        Ok(())
    }

    /// Its executor is gone, and with it all that was in the queue.
    pub(super) fn give_up_queue(&mut self, now: Now, allocation: TaskId, ending: Ending) -> Result<(), Refusal> {
        let runs = self
            .queued
            .of(allocation.framework)
            .filter(|run| run.value.allocation == allocation.number && !run.value.stands.is_terminal());
        let ended = runs.map(|run| QueueEnd {
            first: run.first.number,
            count: run.count,
            source: Source::Agent,
            ending: ending.clone(),
        });
        let ended = ended.collect();
        if let Some(queue) = self.tasks.get_mut(&allocation).and_then(|task| task.queue.as_mut()) {
            queue.broken = Some(ending);
        }
        self.queue_news(now, allocation, vec![], ended)
    }

    /// The framework has taken note of the updates up to this one: the executor need not keep what was in them.
    pub(super) fn settle_queue(&mut self, now: Now, id: TaskId, up_to: UpdateId, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| up_to <= task.last_update) else { return };
        let Some(queue) = &mut task.queue else { return };
        let settled = queue.acknowledge(up_to);
        if settled.is_empty() {
            return;
        }
        let mut ends = 0;
        for update in settled {
            ends += of_executor(&update.ended);
            for (first, count) in update.ended_runs() {
                self.queued.take(TaskId { number: first, ..id }, count);
            }
        }
        self.patience_anew(now, id);
        if ends > 0 {
            out.push(Effect::Settled { allocation: id, ends });
        }
        self.enqueue(id);
        self.close_if_over(now, id);
    }

    /// What is on its way behind an acknowledgement is not late: it is sent again when nothing is heard from now on.
    fn patience_anew(&mut self, now: Now, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.has_pending()) else { return };
        if let Some(at) = task.retry.take() {
            self.retries.remove(&(at, id));
            task.wait = self.config.retry_first;
            let at = now + task.wait;
            task.retry = Some(at);
            self.retries.insert((at, id));
        }
    }

    /// Counts the time from now on, if there is nothing in its queue, and stops counting if there is.
    fn is_idle_from(&mut self, now: Now, id: TaskId) {
        let Some(queue) = self.tasks.get_mut(&id).and_then(|task| task.queue.as_mut()) else { return };
        match (queue.live, queue.idle_until) {
            (0, None) => {
                let until = now + queue.idle_timeout;
                queue.idle_until = Some(until);
                self.idle.insert((until, id));
            }
            (1.., Some(until)) => {
                queue.idle_until = None;
                self.idle.remove(&(until, id));
            }
            _ => {}
        }
    }

    /// Closes the allocations that have been idle for too long.
    pub(super) fn close_idle(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(&(at, id)) = self.idle.first().filter(|&&(at, _)| at <= now) {
            self.idle.remove(&(at, id));
            if let Some(queue) = self.tasks.get_mut(&id).and_then(|task| task.queue.as_mut()) {
                queue.timed_out = true;
                out.push(Effect::Enqueue { allocation: id, tasks: Vec::new(), last: true });
                self.enqueue(id);
            }
        }
    }

    /// Ends an allocation in which nothing runs and that is to end, once every end in it is acknowledged: whoever hears of
    /// its end knows that nothing follows.
    pub(super) fn close_if_over(&mut self, now: Now, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let over = task.is_over() && !task.state.is_terminal();
        let Some(queue) = task.queue.as_mut().filter(|queue| over && queue.is_settled()) else { return };
        let plain = |state, reason| Ending {
            state,
            reason,
            message: String::new(),
            exit_code: None,
            exceeded: None,
            usage: Usage::default(),
        };
        let ending = match (queue.broken.take(), &task.stopped) {
            (Some(broken), None) => broken,
            (_, Some(why)) => plain(why.state(), Some(why.reason)),
            (None, None) => plain(TaskState::Finished, None),
        };
        if let Some(until) = queue.idle_until.take() {
            self.idle.remove(&(until, id));
        }
        // It is held and has not ended.
        let _ = self.end(now, id, Source::Agent, ending);
    }

    /// What is in one queue, for a registration.
    pub(super) fn held_queue(&self, allocation: TaskId) -> HeldQueue {
        let queue = self.tasks.get(&allocation).and_then(|task| task.queue.as_ref());
        let told: Vec<_> = queue.into_iter().flat_map(|queue| queue.told()).collect();
        let of = self.queued.of(allocation.framework).filter(|run| run.value.allocation == allocation.number);
        let live = of.filter(|run| !run.value.stands.is_terminal()).map(|run| HeldRun {
            first: run.first.number,
            count: run.count,
            state: run.value.stands,
            update: UpdateId::UNACKNOWLEDGED,
            shape: Arc::clone(&run.value.shape),
        });
        let mut runs: Vec<HeldRun> = live.collect();
        for (first, count, state, update) in told {
            let shape = self.queued.get(TaskId { number: first, ..allocation }).map(|queued| Arc::clone(&queued.shape));
            runs.extend(shape.map(|shape| HeldRun { first, count, state, update, shape }));
        }
        HeldQueue { allocation, runs }
    }

    /// Takes the queue of an allocation over from an earlier agent's executor.
    pub(super) fn recover_queue(&mut self, now: Now, recovered: RecoveredQueue) -> Result<(), Refusal> {
        let RecoveredQueue { spec, last, runs, ended } = recovered;
        let task = self.tasks.get_mut(&spec.id).ok_or(Refusal::NotHeld(spec.id))?;
        let mut queue = Queue::new(&spec);
        queue.last = last;
        for HeldRun { first, count, state, shape, .. } in runs {
            self.queued.insert(
                TaskId { number: first, ..spec.id },
                count,
                Queued { allocation: spec.id.number, shape, stands: state },
            );
            queue.live += count;
        }
        for end in ended {
            // Its label is the executor's no more.
            let queued = Queued { allocation: spec.id.number, shape: Arc::default(), stands: end.ending.state };
            self.queued.insert(TaskId { number: end.first, ..spec.id }, end.count, queued);
            queue.has_ended(end);
        }
        task.queue = Some(alloc::boxed::Box::new(queue));
        self.is_idle_from(now, spec.id);
        self.enqueue(spec.id);
        // An earlier agent may have told its end, which is not to be followed by news that it runs.
        self.close_if_over(now, spec.id);
        Ok(())
    }
}

/// Whether a task is among so many from the first on.
fn in_run(first: TaskId, count: u32, id: TaskId) -> bool {
    id.framework == first.framework && id.number - first.number < u64::from(count)
}
