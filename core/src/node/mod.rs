//! The agent's machine: the tasks it holds, and their updates until they are acknowledged.
//!
//! [`Node::apply`] takes one command; it either refuses it and has changed nothing, or appends to the effects what
//! is to be done. After a batch of commands, [`Node::flush`] sends what is new.

mod command;
mod drain;
mod effect;
mod orders;
mod outcome;
mod queue;
mod queue_orders;
mod recover;
mod task;
mod updates;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

pub use command::{Command, RecoveredQueue};
pub use effect::Effect;

use crate::cluster::HeldTask;
use crate::id::{AgentId, FrameworkId, TaskId};
use crate::queue::HeldQueue;
use crate::resources::Resources;
use crate::runs::Runs;
use crate::stop::Stop;
use crate::task::{TaskState, TaskStatus};
use crate::time::Now;

use drain::Drain;
use queue::Queued;
use task::Task;

/// The settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// When an update that nobody acknowledged is sent again for the first time. Doubles with every time.
    pub retry_first: Duration,
    /// The longest time between two tries.
    pub retry_max: Duration,
    /// How long tasks may still run once a drain begins.
    pub kill_grace: Duration,
    /// How long a drain waits for acknowledgements after the last task has ended.
    pub drain_grace: Duration,
    /// Ends of one framework's tasks that are not acknowledged. With more of them, its launches are dropped.
    pub unacknowledged_per_framework: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // An acknowledgement takes milliseconds. Mesos's STATUS_UPDATE_RETRY_INTERVAL_MIN and _MAX are 10 s and 10 min,
            // which is how long a framework there may not know of an end.
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            kill_grace: Duration::ZERO,
            // An acknowledgement takes milliseconds. A framework that is away for longer will reconcile.
            drain_grace: Duration::from_secs(5),
            // A second of the fastest agent that we have measured. They take a few megabytes here and at the executor.
            unacknowledged_per_framework: 32_768,
        }
    }
}

/// Nothing was changed and nothing is to be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A task is launched once.
    #[error("{0} is held already, and is {1}: task ids are used once")]
    AlreadyHeld(TaskId, TaskState),
    /// The executor speaks of what it was never given, or of what was done with long ago.
    #[error("{0} is not held here")]
    NotHeld(TaskId),
}

/// The agent's state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    config: Config,
    /// What it offers in all.
    total: Resources,
    /// Held by tasks that have not ended.
    used: Resources,
    /// This agent, once a master has taken it in.
    id: Option<AgentId>,
    connected: bool,
    tasks: BTreeMap<TaskId, Task>,
    /// Tasks in the queues of allocations that have not ended, or whose end is not acknowledged.
    queued: Runs<Queued>,
    /// Tasks with something to send at the next flush, in the order in which it happened.
    queue: Vec<TaskId>,
    /// Updates about tasks that are not held, to be sent at the next flush and not again.
    answers: Vec<TaskStatus>,
    /// How many of each framework's tasks have ended.
    ended: BTreeMap<FrameworkId, usize>,
    /// When tasks are to be sent again.
    retries: BTreeSet<(Now, TaskId)>,
    /// When allocations with nothing in their queues close.
    idle: BTreeSet<(Now, TaskId)>,
    drain: Option<Drain>,
}

impl Node {
    /// A node without tasks, and without a master, that offers `total`. How much of its processor time is revocable the master
    /// knows; all of it at most.
    pub fn new(config: Config, total: Resources) -> Self {
        let cpus = total.cpus;
        Self {
            config,
            total: total.with_revocable(cpus),
            used: Resources::default(),
            id: None,
            connected: false,
            tasks: BTreeMap::new(),
            queued: Runs::default(),
            idle: BTreeSet::new(),
            queue: Vec::new(),
            answers: Vec::new(),
            ended: BTreeMap::new(),
            retries: BTreeSet::new(),
            drain: None,
        }
    }

    /// Carries out one command, and appends what is to be done. Late and repeated news changes nothing.
    ///
    /// # Errors
    /// The command is refused. Nothing was changed, and nothing appended.
    pub fn apply(&mut self, now: Now, command: Command, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        match command {
            Command::Registered(id) => self.registered(id),
            Command::Disconnected => self.connected = false,
            Command::Launch(spec) => return self.launch(now, spec, out),
            Command::Open(spec) => return self.open(now, spec, out),
            Command::Enqueue { allocation, tasks, last } => {
                return self.enqueue_tasks(now, allocation, tasks, last, out);
            }
            Command::Kill(task) => self.kill(task, Stop::REQUESTED, out),
            Command::End { task, reason, why } => self.kill(task, Stop::because(reason, why), out),
            Command::StopAll => self.stop_all(out),
            Command::Acknowledge(task, update) => self.acknowledge(now, task, update, out),
            Command::Resend(framework) => self.resend(framework),
            Command::RemoveFramework(framework) => self.remove_framework(framework, out),
            Command::Preparing(task) => return self.preparing(task),
            Command::Fetched(task) => return self.prepared(now, task, |prepared| &mut prepared.fetched),
            Command::Compiled(task) => return self.prepared(now, task, |prepared| &mut prepared.compiled),
            Command::GivenUp { task, reason, message } => return self.given_up(now, task, reason, message),
            Command::Recover { task, started, stopped, ending, incarnation } => {
                return self.recover(now, task, started, stopped, ending, incarnation);
            }
            Command::RecoverQueue(queue) => return self.recover_queue(now, queue),
            Command::QueueNews { allocation, started, ended } => {
                return self.queue_news(now, allocation, started, ended);
            }
            Command::Started(task) => return self.started(now, task),
            Command::Ended(task, ending) => return self.ended(now, task, ending),
            Command::Drain => self.start_drain(now, out),
            Command::Tick => self.retry(now, out),
        }
        Ok(())
    }

    /// Sends what is new: once, at the end of a batch of commands.
    pub fn flush(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.send(now, out);
        self.finish_drain(now, out);
    }

    /// When to send [`Command::Tick`], and to flush after it, at the latest.
    pub fn next_deadline(&self) -> Option<Now> {
        let retry = self.retries.first().map(|&(at, _)| at).filter(|_| self.connected);
        let idle = self.idle.first().map(|&(at, _)| at);
        retry.into_iter().chain(idle).chain(self.drain_deadline()).min()
    }

    /// Every task that has not ended, and every ended one whose end is not acknowledged: what to register with. Of each
    /// there is an update that tells where it stands, though it may not be sent yet.
    pub fn held(&mut self, now: Now) -> Vec<HeldTask> {
        let agent = self.id;
        let held = |(&id, task): (&TaskId, &mut Task)| {
            task.arrived();
            task.tell();
            task.tell_queue(agent);
            task.drop_superseded();
            HeldTask {
                id,
                name: task.summary.name.clone(),
                resources: task.summary.resources.clone(),
                role: task.summary.role.clone(),
                volumes: task.summary.volumes.clone(),
                module: task.summary.module,
                state: task.state,
                update: task.last_update,
                group: task.summary.group,
                trace: task.summary.trace.clone(),
                life: task.life(now),
            }
        };
        self.tasks.iter_mut().map(held).collect()
    }

    /// Where every held task stands, by id.
    pub fn task_states(&self) -> impl Iterator<Item = (TaskId, TaskState)> {
        self.tasks.iter().map(|(&id, task)| (id, task.state))
    }

    /// What is in the queues of the allocations among [`Self::held`], to be asked for right after it.
    pub fn held_queues(&self) -> Vec<HeldQueue> {
        let allocations = self.tasks.iter().filter(|(_, task)| task.queue.is_some());
        let ids: Vec<TaskId> = allocations.map(|(&id, _)| id).collect();
        ids.into_iter().map(|id| self.held_queue(id)).collect()
    }

    /// In the queue of which allocation a task is that has not ended.
    pub fn allocation_of(&self, id: TaskId) -> Option<TaskId> {
        self.queued.get(id).filter(|queued| !queued.stands.is_terminal()).map(|queued| queued.of(id))
    }

    /// How many tasks have not ended. An allocation has once nothing in it runs and it is to end.
    pub fn running(&self) -> usize {
        self.tasks.values().filter(|task| !task.state.is_terminal() && !task.is_over()).count()
    }

    /// What tasks hold that have not ended.
    pub fn used(&self) -> &Resources {
        &self.used
    }

    /// The id that a master gave it.
    pub fn id(&self) -> Option<AgentId> {
        self.id
    }
}

#[cfg(test)]
mod tests;
