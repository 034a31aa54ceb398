//! What the node has decided, done: tasks are begun and ended, and the master is told.

use std::mem;
use std::sync::Arc;

use haggle_core::cluster::AgentCommand;
use haggle_core::node::{Command, Effect};
use haggle_core::{Now, QueueUpdate, Source, TaskId, TaskStatus};
use haggle_executor::Wanted;
use haggle_proto::weight::status_weight;
use tokio::task::spawn_blocking;

use super::Driver;
use crate::message::Message;
use crate::runner::{Began, NeverQueued, Runs as _, Work};

/// Bytes of updates in one report: a resend of everything is cut into pieces. Small enough that several fit into a
/// message, and large enough that those of a million tasks find room in the link.
const UPDATES_MAX: usize = 256 << 10;

impl Driver {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Run(spec) => {
                let task = spec.id;
                self.logs.open(task);
                let began = self.runner.run(spec);
                if self.runner.prepares(task) {
                    self.inbox.push(Message::Preparing(task));
                }
                self.go_on_later(began);
            }
            Effect::Open(spec) => {
                if let Some(never_ran) = self.runner.open(&spec) {
                    self.inbox.push(Message::NeverRan(never_ran));
                }
            }
            Effect::Enqueue { allocation, tasks, last } => {
                for tasks in tasks {
                    let began = self.runner.enqueue(allocation, tasks);
                    self.go_on_later(began);
                }
                if last {
                    self.runner.executor().close(allocation);
                }
            }
            Effect::StopQueued { allocation, task } => {
                let never_queued = self.runner.stop_queued(allocation, task);
                never_queued.into_iter().for_each(|never_queued| self.tell_later(never_queued));
            }
            Effect::StopQueue(allocation, why) => {
                let never_queued = self.runner.stop_queue(allocation, why);
                never_queued.into_iter().for_each(|never_queued| self.tell_later(never_queued));
            }
            Effect::Stop(task, why) => {
                if let Some(never_ran) = self.runner.stop(task, why) {
                    self.inbox.push(Message::NeverRan(never_ran));
                }
            }
            Effect::Send(updates) => self.send(updates),
            Effect::SendQueue(updates) => self.send_queue(updates),
            Effect::Settled { allocation, ends } => self.runner.executor().settled(allocation, ends),
            // Artifacts were let go at the task's end, and its log goes when room is needed.
            Effect::Forget(task) => {
                if let Some(traces) = self.runner.traces() {
                    traces.acknowledged(task);
                }
                self.runner.executor().forget(task);
            }
            Effect::Drained => self.departing = true,
        }
    }

    pub(super) fn go_on(&mut self, now: Now, began: Began, effects: &mut Vec<Effect>) {
        began.work.into_iter().for_each(|work| self.begin(work));
        for task in began.fetched {
            self.apply(now, Command::Fetched(task), effects);
        }
        for task in began.compiled {
            self.apply(now, Command::Compiled(task), effects);
        }
        for never_ran in began.never_ran {
            self.never_ran(now, never_ran, effects);
        }
        began.never_queued.into_iter().for_each(|never_queued| self.tell_later(never_queued));
    }

    /// The same, of what an effect has led to: what follows is decided in the next batch.
    fn go_on_later(&self, began: Began) {
        began.work.into_iter().for_each(|work| self.begin(work));
        for never_ran in began.never_ran {
            self.inbox.push(Message::NeverRan(never_ran));
        }
        began.never_queued.into_iter().for_each(|never_queued| self.tell_later(never_queued));
    }

    fn tell_later(&self, NeverQueued { allocation, ended }: NeverQueued) {
        self.inbox.push(Message::QueueNews { allocation, started: Vec::new(), ended });
    }

    fn begin(&self, work: Work) {
        let inbox = Arc::clone(&self.inbox);
        match work {
            Work::Fetch(digest) => {
                self.fetcher.start(digest, move |outcome| inbox.push(Message::Fetched(digest, outcome)));
            }
            Work::Compile(wanted) => {
                let Wanted { framework, module, meter, .. } = wanted;
                let done = move |outcome| inbox.push(Message::Compiled(framework, module, meter, outcome));
                self.compiler.compile(wanted, done);
            }
            Work::LayOut(turn) => {
                // Each is heard of as it is done.
                spawn_blocking(move || {
                    turn.iter().for_each(|(task, layout)| inbox.push(Message::LaidOut(*task, layout.make())));
                });
            }
        }
    }

    fn send(&mut self, updates: Vec<TaskStatus>) {
        let (mut piece, mut size) = (Vec::new(), 0);
        for status in updates {
            if let Some(traces) = self.runner.traces() {
                traces.told(&status);
            }
            size += status_weight(&status.message);
            piece.push(status);
            if size >= UPDATES_MAX {
                self.report(AgentCommand::Updates(mem::take(&mut piece)));
                size = 0;
            }
        }
        if !piece.is_empty() {
            self.report(AgentCommand::Updates(piece));
        }
    }

    /// One in a report: each is large.
    fn send_queue(&mut self, updates: Vec<Arc<QueueUpdate>>) {
        for update in updates {
            for end in update.ended.iter().filter(|end| end.source == Source::Agent) {
                // Some of these may have run, in an executor that is gone.
                for number in end.first..end.first + end.count {
                    self.logs.end(TaskId { number, ..update.allocation });
                }
            }
            self.report(AgentCommand::QueueUpdates(vec![update]));
        }
    }
}
