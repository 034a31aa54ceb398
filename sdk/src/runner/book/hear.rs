//! What is heard from the master, and what it changes.

use haggle_core::cluster::{FrameworkCommand, Question};
use haggle_core::{FrameworkId, Now, Source, TaskId, TaskState, TaskStatus, UpdateId};

use super::{Book, News, Phase};
use crate::events::Event;
use crate::runner::progress::Progress;
use crate::runner::retry::{RELAUNCHES_MAX, Verdict, rest, verdict};

impl Book {
    /// Hears of something. [`Event::Error`] ends the session, and is not for the book.
    pub(in crate::runner) fn hear(&mut self, now: Now, event: Event) {
        match event {
            Event::Offers(offers) => {
                for offer in offers {
                    self.holdings.add(offer);
                }
                if self.inventory.is_empty() && !self.unvetted.is_empty() {
                    self.survey_due = Some(now);
                }
            }
            Event::Rescinded(offers) => self.holdings.remove(&offers),
            Event::Update(status) => self.update(now, status),
            Event::AgentLost(agent) => {
                self.holdings.take(agent);
            }
            Event::Disconnected(_) => {
                self.away = true;
                self.holdings.take_all();
            }
            Event::Subscribed(id) => self.resubscribed(now, id),
            Event::Error(_) => {}
        }
    }

    fn update(&mut self, now: Now, status: TaskStatus) {
        if status.update != UpdateId::UNACKNOWLEDGED {
            self.acks.push((&status).into());
        }
        let TaskId { framework, number } = status.task;
        if framework != self.framework {
            return;
        }
        let Some(&index) = self.live.get(&number) else {
            return self.update_of_ghost(&status);
        };
        match status.state {
            TaskState::Unknown => return self.doubts.add(now, number),
            TaskState::Unreachable => return self.give_up(now, index, status),
            _ => self.doubts.remove(number),
        }
        if status.state.is_terminal() {
            self.launch_ended(now, index, status);
            return;
        }
        let Some(job) = self.jobs.get_mut(&index) else { return };
        if status.state == TaskState::Running && job.phase == (Phase::Live { number, running: false }) {
            job.phase = Phase::Live { number, running: true };
            self.out.news.push(News::Progress(Progress::Running { index, task: status.task }));
        }
        job.last = Some(status);
    }

    /// Ends a launch that was taken for lost and runs all the same.
    fn update_of_ghost(&mut self, status: &TaskStatus) {
        let runs = matches!(status.state, TaskState::Staging | TaskState::Starting | TaskState::Running);
        if status.state.is_terminal() {
            self.given_up.remove(&status.task.number);
        } else if runs && self.given_up.contains(&status.task.number) {
            self.out.commands.push(FrameworkCommand::Kill(status.task));
        }
    }

    fn launch_ended(&mut self, now: Now, index: u64, status: TaskStatus) {
        let Some(job) = self.jobs.get_mut(&index) else { return };
        self.live.remove(&status.task.number);
        let verdict = match verdict(&status) {
            _ if job.killed => Verdict::Final,
            Verdict::Relaunch if job.relaunches >= RELAUNCHES_MAX => Verdict::Retry,
            verdict => verdict,
        };
        match verdict {
            Verdict::Retry if job.failures < self.retries => job.failures += 1,
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
        if rest.is_zero() {
            self.line_up(index);
        } else {
            self.set_phase(index, Phase::Resting(now + rest));
            self.resting.insert((now + rest, index));
        }
    }

    fn resubscribed(&mut self, now: Now, id: FrameworkId) {
        self.away = false;
        self.suppressed = false;
        let mut live: Vec<_> = self.live.keys().copied().collect();
        live.sort_unstable();
        if id != self.framework {
            for number in live {
                self.lose(now, number, "the master forgot this framework, and its tasks with it");
            }
            // They are of the framework that is no more, and nobody's to kill.
            self.out.commands.clear();
            self.given_up.clear();
            self.framework = id;
            return;
        }
        for &number in &live {
            self.doubts.add(now, number);
            let killed = self.live.get(&number).and_then(|index| self.jobs.get(index)).is_some_and(|job| job.killed);
            if killed {
                // The first wish may have been lost on the way.
                self.out.commands.push(FrameworkCommand::Kill(TaskId { framework: id, number }));
            }
        }
    }

    /// Asks after tasks that the master does not seem to know, and gives up those it has not known for long.
    pub(super) fn question(&mut self, now: Now) {
        if self.away {
            return;
        }
        let (ask, gone) = self.doubts.due(now);
        for number in gone {
            self.lose(now, number, "the master does not know it any more");
        }
        if !ask.is_empty() {
            let framework = self.framework;
            let ids = ask.into_iter().map(|number| Question { task: TaskId { framework, number }, agent: None });
            self.out.commands.push(FrameworkCommand::Reconcile(ids.collect()));
        }
    }

    fn lose(&mut self, now: Now, number: u64, why: &str) {
        let Some(&index) = self.live.get(&number) else { return };
        let task = TaskId { framework: self.framework, number };
        let status = TaskStatus::new(task, UpdateId::UNACKNOWLEDGED, TaskState::Lost, Source::Master);
        self.give_up(now, index, TaskStatus { message: why.to_owned(), ..status });
    }

    /// Takes a launch for lost that may yet come back, and makes sure that it does not run beside the next one.
    fn give_up(&mut self, now: Now, index: u64, status: TaskStatus) {
        self.doubts.remove(status.task.number);
        self.given_up.insert(status.task.number);
        self.out.commands.push(FrameworkCommand::Kill(status.task));
        self.launch_ended(now, index, status);
    }
}
