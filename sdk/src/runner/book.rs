//! The runner's bookkeeping: which task stands where, and what to do about it. Knows no clock and no connection.

mod hear;
mod launch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, AgentView, FrameworkCommand};
use haggle_core::{FrameworkId, Now, TaskId, TaskStatus};

use super::doubt::Doubts;
use super::holdings::Holdings;
use super::inventory::{Fit, Inventory, TooBig};
use super::pack::Line;
use super::progress::{Outcome, Progress};
use super::stall::{Scene, Stall};
use crate::task::Task;

/// How soon to look for agents again while there is none that a task could be measured against.
const SURVEY_PAUSE: Duration = Duration::from_millis(250);

/// What to do next, in this order.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    /// To say to the master.
    pub(super) commands: Vec<FrameworkCommand>,
    /// To tell the one who submitted.
    pub(super) news: Vec<News>,
    /// Whether to ask for the agents; [`Book::surveyed`] waits for the answer.
    pub(super) survey: bool,
}

/// News of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Progress(Progress),
    /// It is not taken.
    Refused {
        index: u64,
        why: TooBig,
    },
}

/// Everything a runner knows.
#[derive(Debug)]
pub(super) struct Book {
    framework: FrameworkId,
    /// How often a task is launched again after a failure.
    retries: u32,
    /// How long offers are kept with nothing to launch.
    linger: Duration,
    jobs: HashMap<u64, Job>,
    /// Index by the number of the launch.
    live: HashMap<u64, u64>,
    /// Launches that were taken for lost, and are ended should they turn up again.
    given_up: HashSet<u64>,
    last_number: u64,
    line: Line,
    resting: BTreeSet<(Now, u64)>,
    /// Larger than any agent that is known of; a survey will tell.
    unvetted: BTreeSet<u64>,
    holdings: Holdings,
    inventory: Inventory,
    survey_due: Option<Now>,
    surveying: bool,
    doubts: Doubts,
    stall: Stall,
    /// Whether the connection to the master is lost.
    away: bool,
    suppressed: bool,
    idle_since: Option<Now>,
    /// Until when offers that were too small for the tasks of then are kept away.
    refused_until: Now,
    new_wish: bool,
    acks: Vec<Acknowledgement>,
    out: Decisions,
}

#[derive(Debug)]
struct Job {
    task: Arc<Task>,
    since: Now,
    phase: Phase,
    launches: u32,
    failures: u32,
    relaunches: u32,
    agent_name: Option<String>,
    last: Option<TaskStatus>,
    killed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    InLine,
    Resting(Now),
    Unvetted,
    Live { number: u64, running: bool },
}

impl Book {
    pub(super) fn new(framework: FrameworkId, inventory: Inventory, retries: u32, linger: Duration) -> Self {
        Self {
            framework,
            retries,
            linger,
            jobs: HashMap::new(),
            live: HashMap::new(),
            given_up: HashSet::new(),
            last_number: 0,
            line: Line::default(),
            resting: BTreeSet::new(),
            unvetted: BTreeSet::new(),
            holdings: Holdings::default(),
            inventory,
            survey_due: None,
            surveying: false,
            doubts: Doubts::default(),
            stall: Stall::default(),
            away: false,
            suppressed: false,
            idle_since: None,
            refused_until: Now::ZERO,
            new_wish: false,
            acks: Vec::new(),
            out: Decisions::default(),
        }
    }

    /// Tasks that have not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.jobs.len()
    }

    /// Takes a task on. `index` is new.
    pub(super) fn submit(&mut self, now: Now, index: u64, task: Task) {
        let job = Job {
            task: Arc::new(task),
            since: now,
            phase: Phase::InLine,
            launches: 0,
            failures: 0,
            relaunches: 0,
            agent_name: None,
            last: None,
            killed: false,
        };
        let fits = self.inventory.fit(job.task.wants()) == Fit::Fits;
        self.jobs.insert(index, job);
        if fits {
            self.line_up(index);
        } else {
            self.set_phase(index, Phase::Unvetted);
            self.unvetted.insert(index);
            self.survey_due = Some(now);
        }
    }

    /// The agents were asked for, and this came back; nothing if that failed.
    pub(super) fn surveyed(&mut self, now: Now, agents: Option<Vec<AgentView>>) {
        self.surveying = false;
        self.stall.surveyed();
        if let Some(agents) = agents {
            self.inventory = Inventory::new(agents);
        }
        for index in std::mem::take(&mut self.unvetted) {
            let Some(job) = self.jobs.get(&index) else { continue };
            match self.inventory.fit(job.task.wants()) {
                Fit::Fits => self.line_up(index),
                Fit::NobodyKnown => {
                    self.unvetted.insert(index);
                    self.survey_due = Some(now + SURVEY_PAUSE);
                }
                Fit::TooBig { agent_name, has } => {
                    let (name, wants) = (job.task.label().to_owned(), job.task.wants().clone());
                    self.jobs.remove(&index);
                    self.out.news.push(News::Refused { index, why: TooBig { name, wants, agent_name, has } });
                }
            }
        }
    }

    /// Wants a task ended.
    pub(super) fn kill(&mut self, index: u64) {
        let Some(job) = self.jobs.get_mut(&index) else { return };
        job.killed = true;
        match job.phase {
            Phase::Live { number, .. } => {
                let task = TaskId { framework: self.framework, number };
                self.out.commands.push(FrameworkCommand::Kill(task));
                return;
            }
            Phase::InLine => self.line.remove(index),
            Phase::Resting(until) => {
                self.resting.remove(&(until, index));
            }
            Phase::Unvetted => {
                self.unvetted.remove(&index);
            }
        }
        self.end(index);
    }

    /// Wants every task ended. Those that wait are at once; those that run, once the master says so.
    pub(super) fn cancel(&mut self) {
        // Out of the line in one go: one by one, each would look through all of it.
        for index in self.line.clear() {
            self.end(index);
        }
        let mut rest: Vec<_> = self.jobs.keys().copied().collect();
        rest.sort_unstable();
        for index in rest {
            self.kill(index);
        }
    }

    /// Tells of every task that has not ended as if it had, with the last that is known of it.
    pub(super) fn abandon(&mut self) -> Vec<Outcome> {
        let mut rest: Vec<_> = self.jobs.drain().map(|(index, job)| job.outcome(index)).collect();
        rest.sort_unstable_by_key(|outcome| outcome.index);
        rest
    }

    /// What is to be done now.
    pub(super) fn decide(&mut self, now: Now) -> Decisions {
        self.wake(now);
        self.question(now);
        self.launch(now);
        self.give_back(now);
        self.survey(now);
        let mut out = std::mem::take(&mut self.out);
        if !self.acks.is_empty() {
            out.commands.insert(0, FrameworkCommand::Acknowledge(std::mem::take(&mut self.acks)));
        }
        out
    }

    /// When to decide again even if nothing is heard.
    pub(super) fn deadline(&self) -> Option<Now> {
        let rested = self.resting.first().map(|&(until, _)| until);
        let idle = self.idle_since.filter(|_| !self.suppressed && !self.away).map(|since| since + self.linger);
        let survey = self.survey_due.filter(|_| !self.surveying);
        let doubt = if self.away { None } else { self.doubts.next_deadline() };
        [rested, idle, survey, doubt, self.holdings.next_deadline(), self.stall.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn survey(&mut self, now: Now) {
        let waiting = self.line.len() + self.unvetted.len();
        let first = self.line.first().map(|(index, _)| index).into_iter().chain(self.unvetted.first().copied()).min();
        if let Some(job) = first.and_then(|index| self.jobs.get(&index)) {
            let scene = Scene {
                index: first.unwrap_or_default(),
                wants: job.task.wants(),
                since: now.since(job.since),
                waiting,
                running: self.live.len(),
                away: self.away,
                inventory: &self.inventory,
                in_hand: self.holdings.largest(),
            };
            let (ask, told) = self.stall.look(now, &scene);
            self.out.news.extend(told.map(News::Progress));
            if ask {
                self.survey_due = Some(now);
            }
        } else {
            self.stall.nobody_waits();
        }
        if !self.surveying && self.survey_due.is_some_and(|due| due <= now) {
            self.survey_due = None;
            self.surveying = true;
            self.out.survey = true;
        }
    }

    fn line_up(&mut self, index: u64) {
        self.set_phase(index, Phase::InLine);
        if let Some(job) = self.jobs.get(&index) {
            self.new_wish |= self.line.push(index, job.task.wants(), job.task.size());
        }
    }

    fn set_phase(&mut self, index: u64, phase: Phase) {
        if let Some(job) = self.jobs.get_mut(&index) {
            job.phase = phase;
        }
    }

    fn end(&mut self, index: u64) {
        if let Some(job) = self.jobs.remove(&index) {
            self.out.news.push(News::Progress(Progress::Ended(job.outcome(index))));
        }
    }
}

impl Job {
    fn outcome(self, index: u64) -> Outcome {
        Outcome {
            index,
            name: self.task.label().to_owned(),
            status: self.last,
            agent_name: self.agent_name,
            attempts: self.launches,
        }
    }
}
