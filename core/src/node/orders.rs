//! What the master orders.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::task::Task;
use super::{Effect, Node, Refusal};
use crate::id::{AgentId, FrameworkId, TaskId, UpdateId};
use crate::lifecycle::TaskEvent;
use crate::planted::{self, Bug};
use crate::resources::Resources;
use crate::stop::Stop;
use crate::task::{Reason, Source, TaskSpec, TaskState, TaskStatus, TaskSummary};
use crate::time::Now;

impl Node {
    /// The new connection knows nothing of what was sent on the old one.
    pub(super) fn registered(&mut self, id: AgentId) {
        self.id = Some(id);
        self.connected = true;
        self.retries.clear();
        for (&id, task) in &mut self.tasks {
            if planted::is(Bug::NotSentAgain) {
                continue;
            }
            task.start_over();
            if !task.queued {
                task.queued = true;
                self.queue.push(id);
            }
        }
    }

    pub(super) fn launch(&mut self, now: Now, spec: Arc<TaskSpec>, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let id = spec.id;
        if !self.admits(id, &spec.resources)? {
            return Ok(());
        }
        self.used.give(&spec.resources);
        self.tasks.insert(id, Task::received(TaskSummary::from(&*spec), now));
        self.enqueue(id);
        out.push(Effect::Run(spec));
        Ok(())
    }

    /// Whether so much can be had for a new task; else it is answered for.
    pub(super) fn admits(&mut self, id: TaskId, resources: &Resources) -> Result<bool, Refusal> {
        if let Some(held) = self.tasks.get(&id) {
            return Err(Refusal::AlreadyHeld(id, held.state));
        }
        if self.drain.is_some() {
            let why = "its agent takes no more tasks";
            self.answer(id, TaskState::Dropped, Reason::AgentDraining, why);
            return Ok(false);
        }
        let unacknowledged = self.ended.get(&id.framework).copied().unwrap_or_default();
        if unacknowledged >= self.config.unacknowledged_per_framework {
            let why = format!("{unacknowledged} ends of {}'s tasks on this agent are not acknowledged", id.framework);
            self.answer(id, TaskState::Dropped, Reason::FrameworkLimit, &why);
            return Ok(false);
        }
        if let Err(shortage) = self.free().fits(resources) {
            let why = format!("its agent has no room for it: {shortage}");
            self.answer(id, TaskState::Dropped, Reason::InvalidOffers, &why);
            return Ok(false);
        }
        Ok(true)
    }

    /// What no task holds. A master offers no more than this; should it be mistaken, what runs here must not pay for it.
    fn free(&self) -> Resources {
        let mut free = self.total.clone();
        free.take_up_to(&self.used);
        free
    }

    /// What is not held is answered for: whoever asked waits for an end.
    pub(super) fn kill(&mut self, id: TaskId, why: Stop, out: &mut Vec<Effect>) {
        if self.kill_queued(id, out) {
            return;
        }
        let Some(task) = self.tasks.get_mut(&id) else {
            let said = "its agent does not hold it";
            return self.answer(id, TaskState::Lost, Reason::AgentRestarted, said);
        };
        if task.state.is_terminal() {
            task.forget_sent();
            self.enqueue(id);
        } else {
            self.stop(id, why, out);
        }
    }

    /// Has a task ended. Said once: the executor does not forget.
    pub(super) fn stop(&mut self, id: TaskId, why: Stop, out: &mut Vec<Effect>) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        if task.transition(TaskEvent::KillRequested) {
            task.stopped = Some(why.clone());
            out.push(if task.queue.is_some() { Effect::StopQueue(id, why) } else { Effect::Stop(id, why) });
            self.enqueue(id);
        }
    }

    /// Ends every task, for the agent is drained.
    pub(super) fn stop_all(&mut self, out: &mut Vec<Effect>) {
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in all {
            self.stop(id, Reason::AgentDraining.into(), out);
        }
    }

    pub(super) fn resend(&mut self, framework: FrameworkId) {
        for id in self.tasks_of(framework) {
            self.tasks.get_mut(&id).expect("it is held").forget_sent();
            self.enqueue(id);
        }
    }

    /// Its tasks end. Their updates are kept as ever: the master waits for their resources, and acknowledges. What has nothing
    /// in its queue closes: nothing follows.
    pub(super) fn remove_framework(&mut self, framework: FrameworkId, out: &mut Vec<Effect>) {
        self.resend(framework);
        for id in self.tasks_of(framework) {
            let queue = self.tasks.get_mut(&id).and_then(|task| task.queue.as_mut());
            match queue.filter(|queue| queue.live == 0) {
                Some(queue) => queue.last = true,
                None => self.stop(id, Reason::FrameworkRemoved.into(), out),
            }
        }
    }

    pub(super) fn acknowledge(&mut self, now: Now, id: TaskId, update: UpdateId, out: &mut Vec<Effect>) {
        self.settle_queue(now, id, update, out);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.acknowledge(update);
        if !task.has_pending()
            && let Some(at) = task.retry.take()
        {
            self.retries.remove(&(at, id));
        }
        if task.is_done() {
            self.tasks.remove(&id);
            self.count_forgotten(id.framework);
            out.push(Effect::Forget(id));
        }
    }

    fn count_forgotten(&mut self, framework: FrameworkId) {
        if let Some(ended) = self.ended.get_mut(&framework) {
            *ended -= 1;
            if *ended == 0 {
                self.ended.remove(&framework);
            }
        }
    }

    /// Has a task looked at by the next flush.
    pub(super) fn enqueue(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).expect("the caller has seen the task");
        if !task.queued {
            task.queued = true;
            self.queue.push(id);
        }
    }

    /// Says something of a task that is not held. It is said once: should it be lost with the connection, the
    /// registration that follows says as much.
    fn answer(&mut self, id: TaskId, state: TaskState, reason: Reason, why: &str) {
        self.answers.push(TaskStatus {
            reason: Some(reason),
            message: why.to_string(),
            ..TaskStatus::new(id, UpdateId::UNACKNOWLEDGED, state, Source::Agent)
        });
    }

    fn tasks_of(&self, framework: FrameworkId) -> Vec<TaskId> {
        let all = TaskId { framework, number: 0 }..=TaskId { framework, number: u64::MAX };
        self.tasks.range(all).map(|(&id, _)| id).collect()
    }
}
