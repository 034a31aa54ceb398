//! Allocations with queues: for tasks so short that an offer for each would cost more than they do.
//!
//! A runner opens one where more tasks of a kind wait than an offer has room for, and the last ones were short. It puts in as
//! many as take some time together, refills the queue when it is half empty, and gives the room back after a second, so that
//! whoever else waits for it has their turn; and before that where nothing waits for the queue and other tasks of the runner do. The volumes
//! that the tasks mount are the queue's until then.

use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, FrameworkCommand};
use haggle_core::queue::Index;
use haggle_core::{
    AgentId, AgentInfo, AllocationSpec, Now, OfferId, QueueUpdate, QueueVolume, QueuedTasks, Resources, TaskId,
    TaskSpec, TaskState, TaskStatus, UpdateId,
};

use super::{Phase, RunnerState};
use crate::runner::INDEX_VARIABLE;
use crate::runner::need::Need;
use crate::runner::progress::Progress;

/// Tasks that take longer gain nothing: an offer for each costs a millisecond.
const SHORT: Duration = Duration::from_millis(100);

/// How much work is in a queue when it was refilled: many round trips, also where an executor tells of ends each 40 ms, and little to lose
/// with an agent.
const WORK: Duration = Duration::from_millis(200);

/// Tasks in a queue, however short they are. Half of them are some tens of milliseconds of the fastest agent.
const DEPTH_MAX: u64 = 8_192;

/// Tasks for each that runs: itself, and one that begins when it ends.
const EACH_MIN: u64 = 2;

/// How long an allocation is refilled. Then others have their turn.
const TURN: Duration = Duration::from_secs(1);

/// How long an allocation without tasks waits for more: a pause between two of a session's submissions.
const IDLE: Duration = Duration::from_millis(100);

/// An allocation without tasks gets none any more after so long. Later they might come there when it has just ended.
const IDLE_FILLED: Duration = Duration::from_millis(50);

/// Kinds of tasks of which it is known how long they take. The one that ended least recently makes way.
const KINDS_MAX: usize = 16;

/// How long the tasks of a kind take, as a mean that forgets.
#[derive(Debug, Default)]
pub(super) struct Pace(Vec<(Need, Duration)>);

impl Pace {
    /// One has ended that took so long.
    pub(super) fn ended(&mut self, kind: &Need, took: Duration) {
        // A task that ran took some time: without any, nothing is known of it.
        if took.is_zero() {
            return;
        }
        let mean = match self.0.iter().position(|(known, _)| known == kind) {
            // The last one is looked at first.
            Some(at) if at + 1 == self.0.len() => {
                let (_, mean) = &mut self.0[at];
                *mean = (*mean * 7 + took) / 8;
                return;
            }
            Some(at) => (self.0.remove(at).1 * 7 + took) / 8,
            None => took,
        };
        if self.0.len() == KINDS_MAX {
            self.0.remove(0);
        }
        self.0.push((kind.clone(), mean));
    }

    fn of(&self, kind: &Need) -> Option<Duration> {
        self.0.iter().rev().find(|(known, _)| known == kind).map(|&(_, mean)| mean)
    }
}

/// An allocation of this runner's that has not ended, as far as is known.
#[derive(Debug)]
pub(super) struct Allocation {
    agent: AgentId,
    info: Arc<AgentInfo>,
    kind: Need,
    /// How many run in it at once.
    units: u64,
    opened: Now,
    /// No more tasks are put into it.
    closed: bool,
    /// Tasks in it that have not ended.
    queued: u64,
    /// Since when there are none, if there are none: its opening, or the last end of a task.
    emptied: Now,
}

impl Allocation {
    /// Whether it is about to end by itself, for want of tasks.
    fn is_leaving(&self, now: Now) -> bool {
        self.queued == 0 && now.since(self.emptied) >= IDLE_FILLED
    }
}

impl RunnerState {
    /// How many tasks of one kind are to be in a queue, if it pays to have one: so many run at once.
    fn depth(&self, kind: &Need, units: u64) -> Option<u64> {
        // Everybody in a queue would want the same port.
        let mean = self.pace.of(kind).filter(|&mean| mean < SHORT && kind.resources.ports.ranges().is_empty())?;
        let at_once = WORK.as_nanos() / mean.as_nanos().max(1);
        // Of what is left nobody gets more than half of its share: else one still works when the others have nothing to do.
        let of_kind = || self.allocations.values().filter(|allocation| allocation.kind == *kind);
        let left = self.waiting.count(kind) as u64 + of_kind().map(|allocation| allocation.queued).sum::<u64>();
        let share = left / of_kind().map(|allocation| allocation.units).sum::<u64>().max(units) / 2;
        let each = u64::try_from(at_once).unwrap_or(u64::MAX).min(share).max(EACH_MIN);
        Some(each.saturating_mul(units).min(DEPTH_MAX.max(EACH_MIN * units)))
    }

    /// Opens an allocation in the place of a launch, with these tasks first in its queue. False when that does not pay.
    pub(super) fn open(
        &mut self,
        now: Now,
        (agent, info): (AgentId, &Arc<AgentInfo>),
        offers: &[OfferId],
        taken: &[u64],
    ) -> bool {
        let mut kinds = taken.iter().filter_map(|index| self.jobs.get(index)).map(|job| &job.need);
        let Some(kind) = kinds.next().cloned() else { return false };
        let units = taken.len() as u64;
        let is_one_kind = kinds.all(|other| *other == kind);
        let more = self.waiting.count(&kind);
        if !is_one_kind || more < taken.len() || self.depth(&kind, units).is_none() {
            return false;
        }
        let mut resources = Resources::default();
        for _ in taken {
            resources.give(&kind.resources);
            self.spare.launched(now, &kind);
        }
        self.last_number += 1;
        let id = TaskId { framework: self.framework, number: self.last_number };
        self.stated.launched(&resources, &kind.volumes, info.traits(), false);
        let spec = AllocationSpec {
            id,
            name: "queue".to_owned(),
            role: String::new(),
            resources,
            volumes: kind.volumes.iter().copied().map(QueueVolume::from).collect(),
            idle_timeout: IDLE,
        };
        let (offers, allocation) = (offers.to_vec(), Arc::new(spec));
        self.out.commands.push(FrameworkCommand::Open { offers, allocation, refuse: Duration::ZERO });
        let info = Arc::clone(info);
        let allocation = Allocation { agent, info, kind, units, opened: now, closed: false, queued: 0, emptied: now };
        self.allocations.insert(id.number, allocation);
        self.enqueue(now, id.number, taken.to_vec());
        true
    }

    /// Keeps queues filled, and closes those whose turn is over.
    pub(super) fn refill(&mut self, now: Now) {
        let open = self.allocations.iter().filter(|(_, allocation)| !allocation.closed);
        for number in open.map(|(&number, _)| number).collect::<Vec<_>>() {
            let allocation = &self.allocations[&number];
            let Allocation { ref kind, units, opened, queued, .. } = *allocation;
            let depth = self.depth(kind, units).unwrap_or(0);
            if now.since(opened) >= TURN || depth == 0 || allocation.is_leaving(now) {
                self.enqueue_in(number, Vec::new(), true);
            } else if queued <= depth / 2 && self.waiting.count(kind) > 0 {
                let kind = kind.clone();
                let more = self.waiting.take_first(&kind, usize::try_from(depth - queued).unwrap_or(usize::MAX));
                self.enqueue(now, number, more);
            } else if queued <= depth / 2 && !self.waiting.is_empty() {
                // Tasks of other kinds wait, for its room perhaps.
                self.enqueue_in(number, Vec::new(), true);
            }
        }
    }

    /// When the turn of an allocation is over.
    pub(super) fn next_turn(&self) -> Option<Now> {
        let open = self.allocations.values().filter(|allocation| !allocation.closed);
        open.map(|allocation| allocation.opened + TURN).min()
    }

    /// Whether all that is to be acknowledged are ends in queues that are refilled before long, or closed when their turn is over: then
    /// the acknowledgements go along with that. One by itself costs everybody on its way as much as the news that it is of.
    pub(super) fn acks_can_wait(&self) -> bool {
        let is_refilled = |allocation: &Allocation| !allocation.closed && self.waiting.count(&allocation.kind) > 0;
        self.acks.iter().all(|ack| self.allocations.get(&ack.task.number).is_some_and(is_refilled))
    }

    fn enqueue(&mut self, now: Now, number: u64, indexes: Vec<u64>) {
        let allocation = &self.allocations[&number];
        let (agent, info) = (allocation.agent, Arc::clone(&allocation.info));
        let mut tasks: Vec<QueuedTasks> = Vec::new();
        for index in indexes {
            let Some(spec) = self.launch_one(now, index, (agent, &info), Some(number)) else { continue };
            push(&mut tasks, spec);
        }
        self.notice.launched(now);
        self.enqueue_in(number, tasks, false);
    }

    fn enqueue_in(&mut self, number: u64, tasks: Vec<QueuedTasks>, last: bool) {
        let Some(allocation) = self.allocations.get_mut(&number) else { return };
        allocation.queued += tasks.iter().map(|tasks| u64::from(tasks.count)).sum::<u64>();
        allocation.closed |= last;
        let allocation = TaskId { framework: self.framework, number };
        self.out.commands.push(FrameworkCommand::Enqueue { allocation, tasks, last });
    }

    /// News of the tasks in a queue.
    pub(super) fn queue_update(&mut self, now: Now, update: Arc<QueueUpdate>) {
        if update.allocation.framework != self.framework {
            return;
        }
        if update.update != UpdateId::UNACKNOWLEDGED {
            self.acks.push(Acknowledgement::from(&*update));
        }
        for &number in &update.started {
            self.queued_started(TaskId { number, ..update.allocation });
        }
        for status in Arc::unwrap_or_clone(update).ends() {
            self.status(now, status);
        }
    }

    fn queued_started(&mut self, task: TaskId) {
        let Some(launch) = self.launches.get_mut(&task.number) else { return };
        launch.is_known = true;
        let index = launch.index;
        let Some(job) = self.jobs.get_mut(&index) else { return };
        if job.phase == (Phase::Live { number: task.number, running: false }) {
            job.phase = Phase::Live { number: task.number, running: true };
            self.out.news.push(super::News::Progress(Progress::Running { index, task }));
        }
    }

    /// What is said of an allocation holds for all that is in it. False when it is none.
    pub(super) fn allocation_update(&mut self, now: Now, status: &TaskStatus) -> bool {
        let number = status.task.number;
        let Some(allocation) = self.allocations.get_mut(&number) else { return false };
        if status.state.is_terminal() {
            let Some(Allocation { kind, units, .. }) = self.allocations.remove(&number) else { return true };
            (0..units).for_each(|_| self.spare.ended(&kind));
            return true;
        }
        if allocation.queued > 0 {
            let its = self.launches.iter().filter(|(_, launch)| launch.allocation == Some(number));
            for launched in its.map(|(&number, _)| number).collect::<Vec<_>>() {
                let task = TaskId { number: launched, ..status.task };
                match status.state {
                    TaskState::Unreachable => {
                        self.status(now, TaskStatus { task, update: UpdateId::UNACKNOWLEDGED, ..status.clone() });
                    }
                    _ => self.set_silent(now, launched, false),
                }
            }
        }
        true
    }

    /// A task in a queue has ended.
    pub(super) fn queued_ended(&mut self, now: Now, number: u64) {
        if let Some(allocation) = self.allocations.get_mut(&number) {
            allocation.queued = allocation.queued.saturating_sub(1);
            allocation.emptied = now;
        }
    }

    /// The master is lost: what is in queues goes on, and nothing is added to them any more.
    pub(super) fn leave_queues(&mut self) {
        for allocation in self.allocations.values_mut() {
            allocation.closed = true;
        }
    }
}

/// Adds a task to those of its kind before it, if it differs from them in nothing but its number and its index.
fn push(tasks: &mut Vec<QueuedTasks>, spec: Arc<TaskSpec>) {
    if let Some(before) = tasks.last_mut()
        && before.count < QueuedTasks::MAX
        && continues(before, &spec)
    {
        before.count += 1;
        return;
    }
    let mut spec = spec;
    let at = spec.env.iter().position(|(name, _)| name == INDEX_VARIABLE);
    let first = at.and_then(|at| spec.env[at].1.parse().ok());
    let index = first.map(|first| Index { variable: INDEX_VARIABLE.to_owned(), first });
    if let (Some(at), Some(_)) = (at, &index) {
        Arc::make_mut(&mut spec).env.remove(at);
    }
    tasks.push(QueuedTasks { spec, count: 1, index });
}

fn continues(before: &QueuedTasks, spec: &TaskSpec) -> bool {
    let first = &*before.spec;
    let at = u64::from(before.count);
    let mut env = spec.env.iter().filter(|(name, _)| before.index.is_none() || name != INDEX_VARIABLE);
    let index = spec.env.iter().find(|(name, _)| name == INDEX_VARIABLE);
    let counts_on = match &before.index {
        Some(Index { first, .. }) => index.is_some_and(|(_, value)| value.parse::<u64>() == Ok(first + at)),
        None => true,
    };
    counts_on
        && spec.id.number == first.id.number + at
        && spec.module == first.module
        && spec.name == first.name
        && spec.args == first.args
        && spec.stdin == first.stdin
        && spec.resources == first.resources
        && spec.sharing == first.sharing
        && spec.limits == first.limits
        && spec.inputs == first.inputs
        && spec.grants == first.grants
        && first.env.iter().all(|known| env.next() == Some(known))
        && env.next().is_none()
}
