//! What is heard from the master, and what it changes.

use haggle_core::cluster::{FrameworkCommand, Question};
use haggle_core::planted::{self, Bug};
use haggle_core::{Now, Reason, TaskId, TaskState, TaskStatus, UpdateId};

use super::{Launch, News, Phase, RunnerState};
use crate::events::Event;
use crate::runner::holdings::Holdings;
use crate::runner::progress::Progress;
use crate::runner::retry::{RELAUNCHES_MAX, Verdict, rest, verdict};

impl RunnerState {
    /// Hears of something. [`Event::Error`] ends the session, and is not for the runner.
    pub fn hear(&mut self, now: Now, event: Event) {
        match event {
            Event::Offers(offers) => {
                for offer in offers {
                    // Whatever fits an offer fits an agent.
                    for index in self.unvetted.take_where(|need| {
                        let mounts = |volume| offer.volumes.iter().any(|offered| offered.id == volume);
                        offer.resources.contains(&need.resources)
                            && need.suits(offer.traits()).is_ok()
                            && need.volumes.iter().copied().all(mounts)
                    }) {
                        self.line_up(index);
                    }
                    self.holdings.add(offer);
                }
            }
            Event::Rescinded(offers) => self.holdings.remove(&offers),
            // What runs there until then has a chance to end by itself. What does not is launched again elsewhere.
            Event::InverseOffers(offers) => {
                let offers = offers.into_iter().map(|offer| offer.id).collect();
                self.out.commands.push(FrameworkCommand::AcceptInverse(offers));
            }
            Event::InverseRescinded(_) => {}
            Event::Update(status) => self.update(now, status),
            Event::Queue(update) => self.queue_update(now, update),
            Event::AgentLost(agent) => {
                self.holdings.take(agent);
            }
            // It asks for none.
            Event::OperationDropped { .. } => {}
            Event::Disconnected(_) => {
                self.away = true;
                self.holdings = Holdings::default();
                // The next master is told with the subscription, of what is said from now on.
                self.stated.forget();
                self.leave_queues();
            }
            Event::Subscribed(_) => self.resubscribed(now),
            Event::Error(_) => {}
        }
    }

    fn update(&mut self, now: Now, status: TaskStatus) {
        if status.task.framework != self.framework {
            return;
        }
        if status.update != UpdateId::UNACKNOWLEDGED {
            self.acks.push((&status).into());
        }
        if !self.allocation_update(now, &status) {
            self.status(now, status);
        }
    }

    /// Hears where one task stands.
    pub(super) fn status(&mut self, now: Now, status: TaskStatus) {
        let number = status.task.number;
        let Some(launch) = self.launches.get_mut(&number) else {
            return self.update_of_given_up(now, &status);
        };
        if status.state == TaskState::Unknown {
            self.reconciliation.not_answered(now, number, launch.agent);
            return;
        }
        self.reconciliation.answered(number);
        let index = launch.index;
        if status.state.is_terminal() {
            if launch.unreachable_since.is_some() && planted::is(Bug::EndSwallowed) {
                return;
            }
            self.launch_ended(now, index, status);
            return;
        }
        // That an agent is silent is said of every task that may be there.
        launch.is_known |= !is_answer(&status, TaskState::Unreachable);
        self.set_silent(now, number, status.state == TaskState::Unreachable);
        if runs(status.state) && self.jobs.get(&index).is_some_and(|job| job.killed) {
            // The wish may have been lost with a connection or a master.
            self.kill_again(status.task);
        }
        let Some(job) = self.jobs.get_mut(&index) else { return };
        if status.state == TaskState::Running && job.phase == (Phase::Live { number, running: false }) {
            job.phase = Phase::Live { number, running: true };
            self.out.news.push(News::Progress(Progress::Running { index, task: status.task }));
        }
        job.last = Some(status);
    }

    /// Whether the agent of a launch is silent.
    pub(super) fn set_silent(&mut self, now: Now, number: u64, is_silent: bool) {
        let Some(launch) = self.launches.get_mut(&number) else { return };
        if is_silent {
            let first = if planted::is(Bug::GivenUpTooEarly) { Now::ZERO } else { now };
            let since = *launch.unreachable_since.get_or_insert(first);
            self.unreachable.insert((since, number));
        } else if let Some(since) = launch.unreachable_since.take() {
            self.unreachable.remove(&(since, number));
        }
    }

    /// Ends a launch that was given up, or was told to have ended, and runs all the same.
    fn update_of_given_up(&mut self, now: Now, status: &TaskStatus) {
        let number = status.task.number;
        let Some(&agent) = self.given_up.get(&number) else {
            if runs(status.state) && number <= self.last_number {
                self.kill_again(status.task);
            }
            return;
        };
        match status.state {
            TaskState::Unknown => self.reconciliation.not_answered(now, number, agent),
            _ => self.reconciliation.answered(number),
        }
        if status.state.is_terminal() {
            self.given_up.remove(&number);
        } else if runs(status.state) {
            self.kill_again(status.task);
        }
    }

    fn kill_again(&mut self, task: TaskId) {
        if !planted::is(Bug::KillSaidOnce) {
            self.out.commands.push(FrameworkCommand::Kill(task));
        }
    }

    fn launch_ended(&mut self, now: Now, index: u64, status: TaskStatus) {
        let Some(launch) = self.launches.remove(&status.task.number) else { return };
        launch.allocation.into_iter().for_each(|number| self.queued_ended(now, number));
        let Some(job) = self.jobs.get_mut(&index) else { return };
        if launch.allocation.is_none() {
            self.spare.ended(&job.need);
        }
        if let Some(usage) = status.usage {
            self.pace.ended(&job.need, usage.wall);
        }
        if let Some(since) = launch.unreachable_since {
            self.unreachable.remove(&(since, status.task.number));
        }
        self.reconciliation.answered(status.task.number);
        // The launch was lost with a master: neither the next one nor the agent has ever heard of it.
        let was_lost = !launch.is_known && is_answer(&status, TaskState::Gone);
        if self.policy.gang {
            return self.gang_task_ended(now, &launch, status, was_lost);
        }
        let verdict = match verdict(&status) {
            _ if job.killed => Verdict::Final,
            _ if status.state == TaskState::Unreachable && planted::is(Bug::GivenUpTooEarly) => Verdict::Relaunch,
            _ if was_lost && job.relaunches < RELAUNCHES_MAX => Verdict::Relaunch,
            Verdict::Relaunch if job.relaunches >= RELAUNCHES_MAX => Verdict::Retry,
            verdict => verdict,
        };
        match verdict {
            Verdict::Retry if planted::is(Bug::TriesNotCounted) => {}
            Verdict::Retry if job.failures < self.policy.retries => job.failures += 1,
            Verdict::Relaunch => job.relaunches += 1,
            Verdict::Retry | Verdict::Final => {
                job.last = Some(status);
                self.end(index);
                return;
            }
        }
        let rest = rest(job.failures + job.relaunches);
        job.last = Some(status.clone());
        self.out.news.push(News::Progress(Progress::Retrying { index, status, rest }));
        self.rest(now, index, rest);
    }

    /// A master is there again. It may be another one, and may have heard only part of what was said: it is asked after
    /// every launch.
    fn resubscribed(&mut self, now: Now) {
        self.away = false;
        // A silence that the last master told of counts anew from this one's word.
        self.unreachable.clear();
        for (&number, launch) in &mut self.launches {
            launch.unreachable_since = None;
            if !planted::is(Bug::LaunchesNotAskedAfter) {
                self.reconciliation.ask(now, number, launch.agent);
            }
        }
        let mut unwanted: Vec<u64> = self.given_up.keys().copied().collect();
        for (&number, launch) in &self.launches {
            if self.jobs.get(&launch.index).is_some_and(|job| job.killed) {
                unwanted.push(number);
            }
        }
        unwanted.sort_unstable();
        let framework = self.framework;
        unwanted.into_iter().for_each(|number| self.kill_again(TaskId { framework, number }));
        for (&number, &agent) in &self.given_up {
            self.reconciliation.ask(now, number, agent);
        }
    }

    /// Asks after launches of which a master has not said yet where they stand.
    pub(super) fn reconcile(&mut self, now: Now) {
        if self.away {
            return;
        }
        let due = self.reconciliation.due(now);
        if !due.is_empty() {
            let framework = self.framework;
            let question = |(number, agent)| Question { task: TaskId { framework, number }, agent: Some(agent) };
            self.out.commands.push(FrameworkCommand::Reconcile(due.into_iter().map(question).collect()));
        }
    }

    /// Gives launches up whose agents have been silent for too long: they are killed, should they turn up again, so that
    /// none runs beside the next one for long.
    pub(super) fn give_up_unreachable(&mut self, now: Now) {
        if self.away {
            return;
        }
        while let Some(&(since, number)) = self.unreachable.first()
            && since + self.policy.unreachable_patience <= now
        {
            self.unreachable.pop_first();
            let Some(&Launch { index, agent, .. }) = self.launches.get(&number) else { continue };
            let Some(status) = self.jobs.get(&index).and_then(|job| job.last.clone()) else { continue };
            self.given_up.insert(number, agent);
            self.out.commands.push(FrameworkCommand::Kill(status.task));
            self.launch_ended(now, index, status);
        }
    }
}

/// Whether it will do work, as far as is known.
fn runs(state: TaskState) -> bool {
    matches!(state, TaskState::Staging | TaskState::Starting | TaskState::Running)
}

/// Whether it is this answer to a question.
fn is_answer(status: &TaskStatus, state: TaskState) -> bool {
    status.state == state && status.reason == Some(Reason::Reconciliation)
}
