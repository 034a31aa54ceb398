//! What a runner knows and decides: which task stands where, and what to do about it. Knows no clock and no connection:
//! the simulation drives it as the runner does.

mod gang;
mod hear;
mod launch;
mod queues;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{Acknowledgement, AgentView, FrameworkCommand};
use haggle_core::{AgentId, FrameworkId, Now, TaskId, TaskStatus, Want};

use self::queues::{Allocation, Pace};
use super::demand::Stated;
use super::holdings::Holdings;
use super::inventory::{Fit, Inventory, NoAgent};
use super::need::Need;
use super::notice::{Notice, Scarcity};
use super::pack::WaitQueue;
use super::progress::{Outcome, Progress};
use super::reconcile::Reconciliation;
use super::retry::Verdict;
use super::spare::Spare;
use crate::task::Task;

/// How soon to look for agents again while there is none that a task could be measured against.
const SURVEY_PAUSE: Duration = Duration::from_millis(250);

/// What the owner of a runner decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a task is launched again after a failure.
    pub retries: u32,
    /// How long after the last launch room is kept for more tasks like the last ones.
    pub linger: Duration,
    /// How long a task whose agent is silent is waited for before it is launched elsewhere.
    pub unreachable_patience: Duration,
    /// Whether all tasks are launched together or not at all, and end together: then they are submitted before anything is decided.
    pub gang: bool,
}

/// What to do next, in this order.
#[derive(Debug, Default)]
pub struct Decisions {
    /// To say to the master.
    pub commands: Vec<FrameworkCommand>,
    /// To tell the one who submitted.
    pub news: Vec<News>,
    /// Whether to ask for the agents; [`RunnerState::surveyed`] waits for the answer.
    pub survey: bool,
}

/// News of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "hardly any is a refusal, and none is kept")]
pub enum News {
    /// It got on.
    Progress(Progress),
    /// It is not taken.
    Refused {
        /// Which task.
        index: u64,
        /// Why.
        why: NoAgent,
    },
}

/// Everything a runner knows.
#[derive(Debug)]
pub struct RunnerState {
    framework: FrameworkId,
    policy: Policy,
    jobs: HashMap<u64, Job>,
    /// By their number.
    launches: HashMap<u64, Launch>,
    /// Launches that were given up before their end was heard, and where: should they turn up again, they are killed.
    given_up: BTreeMap<u64, AgentId>,
    /// Launches whose agent is silent, and since when.
    unreachable: BTreeSet<(Now, u64)>,
    last_number: u64,
    waiting: WaitQueue,
    resting: BTreeSet<(Now, u64)>,
    /// Nothing for any agent that is known of; a survey will tell, or an offer.
    unvetted: WaitQueue,
    holdings: Holdings,
    inventory: Inventory,
    survey_due: Option<Now>,
    surveying: bool,
    reconciliation: Reconciliation,
    notice: Notice,
    /// Whether the connection to the master is lost.
    away: bool,
    stated: Stated,
    spare: Spare,
    pace: Pace,
    /// By their number.
    allocations: BTreeMap<u64, Allocation>,
    /// Of a gang, what the first bad end of a task means for all.
    gang_cause: Option<Verdict>,
    acks: Vec<Acknowledgement>,
    out: Decisions,
}

#[derive(Debug)]
struct Job {
    task: Arc<Task>,
    need: Need,
    since: Now,
    phase: Phase,
    launches: u32,
    failures: u32,
    relaunches: u32,
    agent_name: Option<String>,
    last: Option<TaskStatus>,
    killed: bool,
}

/// One launch of a task that has not ended.
#[derive(Debug)]
struct Launch {
    /// Of which task.
    index: u64,
    agent: AgentId,
    /// Whether any master was heard to know it.
    is_known: bool,
    unreachable_since: Option<Now>,
    /// In the queue of which allocation it is.
    allocation: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    InLine,
    Resting(Now),
    Unvetted,
    Live {
        number: u64,
        running: bool,
    },
    /// Of a gang: it has ended, and the others have not.
    Over,
}

impl RunnerState {
    /// A runner without tasks, in a cluster of these agents. The master was told with the subscription that it wants this.
    pub fn new(framework: FrameworkId, agents: Vec<AgentView>, policy: Policy, stated: Vec<Want>) -> Self {
        Self {
            framework,
            policy,
            jobs: HashMap::new(),
            launches: HashMap::new(),
            given_up: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            last_number: 0,
            waiting: WaitQueue::default(),
            resting: BTreeSet::new(),
            unvetted: WaitQueue::default(),
            holdings: Holdings::default(),
            inventory: Inventory::new(agents),
            survey_due: None,
            surveying: false,
            reconciliation: Reconciliation::default(),
            notice: Notice::default(),
            away: false,
            stated: Stated::with(stated),
            spare: Spare::new(policy.linger),
            pace: Pace::default(),
            allocations: BTreeMap::new(),
            gang_cause: None,
            acks: Vec::new(),
            out: Decisions::default(),
        }
    }

    /// Tasks that have not ended.
    pub fn unfinished(&self) -> usize {
        self.jobs.len()
    }

    /// Takes a task on. `index` is new.
    pub fn submit(&mut self, now: Now, index: u64, task: Task) {
        let mut job = Job {
            need: task.need(),
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
        if self.inventory.fit(&job.need) == Fit::Fits {
            self.waiting.push(index, &job.need, job.task.size());
        } else {
            job.phase = Phase::Unvetted;
            self.unvetted.push(index, &job.need, job.task.size());
            self.survey_due = Some(now);
        }
        self.jobs.insert(index, job);
    }

    /// The agents were asked for, and this came back; nothing if that failed.
    pub fn surveyed(&mut self, now: Now, agents: Option<Vec<AgentView>>) {
        self.surveying = false;
        self.notice.surveyed();
        if let Some(agents) = agents {
            self.inventory = Inventory::new(agents);
        }
        for index in self.unvetted.take_where(|need| self.inventory.fit(need) != Fit::NobodyKnown) {
            let Some(job) = self.jobs.get(&index) else { continue };
            match self.inventory.check(&job.task) {
                Ok(()) => self.line_up(index),
                Err(why) => {
                    self.jobs.remove(&index);
                    self.out.news.push(News::Refused { index, why });
                }
            }
        }
        if !self.unvetted.is_empty() {
            self.survey_due = Some(now + SURVEY_PAUSE);
        }
    }

    /// Wants a task ended.
    pub fn kill(&mut self, index: u64) {
        let Some(job) = self.jobs.get_mut(&index) else { return };
        job.killed = true;
        match job.phase {
            Phase::Live { number, .. } => {
                let task = TaskId { framework: self.framework, number };
                self.out.commands.push(FrameworkCommand::Kill(task));
                return;
            }
            Phase::InLine => self.waiting.remove(index),
            Phase::Resting(until) => {
                self.resting.remove(&(until, index));
            }
            Phase::Unvetted => self.unvetted.remove(index),
            // The end of the others decides.
            Phase::Over => return,
        }
        self.end(index);
    }

    /// Wants every task ended. Those that wait are at once; those that run, once the master says so.
    pub fn cancel(&mut self) {
        // Out of the line in one go: one by one, each would look through all of it.
        for index in self.waiting.clear().into_iter().chain(self.unvetted.clear()) {
            self.end(index);
        }
        let mut rest: Vec<_> = self.jobs.keys().copied().collect();
        rest.sort_unstable();
        for index in rest {
            self.kill(index);
        }
    }

    /// Tells of every task that has not ended as if it had, with the last that is known of it.
    pub fn abandon(&mut self) -> Vec<Outcome> {
        let mut rest: Vec<_> = self.jobs.drain().map(|(index, job)| job.outcome(index)).collect();
        rest.sort_unstable_by_key(|outcome| outcome.index);
        rest
    }

    /// What is to be done now.
    pub fn decide(&mut self, now: Now) -> Decisions {
        self.wake(now);
        self.give_up_unreachable(now);
        self.reconcile(now);
        self.launch(now);
        self.refill(now);
        self.bargain(now);
        self.survey(now);
        let mut out = std::mem::take(&mut self.out);
        let goes_along = !out.commands.is_empty() || !self.acks_can_wait();
        if goes_along && !self.acks.is_empty() {
            out.commands.insert(0, FrameworkCommand::Acknowledge(std::mem::take(&mut self.acks)));
        }
        out
    }

    /// When to decide again even if nothing is heard.
    pub fn deadline(&self) -> Option<Now> {
        let rested = self.resting.first().map(|&(until, _)| until);
        let survey = self.survey_due.filter(|_| !self.surveying);
        // Who is away neither asks nor hears that an agent is back.
        let question = self.reconciliation.next_deadline().filter(|_| !self.away);
        let unreachable = self.unreachable.first().filter(|_| !self.away);
        let patience = unreachable.map(|&(since, _)| since + self.policy.unreachable_patience);
        [rested, survey, question, patience, self.next_turn(), self.spare.next_deadline(), self.notice.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn survey(&mut self, now: Now) {
        let waiting = self.waiting.len() + self.unvetted.len();
        let first = self.waiting.first().into_iter().chain(self.unvetted.first()).min();
        if let Some(job) = first.and_then(|index| self.jobs.get(&index)) {
            let scarcity = Scarcity {
                index: first.unwrap_or_default(),
                need: &job.need,
                since: now.since(job.since),
                waiting,
                running: self.launches.len(),
                away: self.away,
                inventory: &self.inventory,
            };
            let (ask, told) = self.notice.look(now, &scarcity);
            self.out.news.extend(told.map(News::Progress));
            if ask {
                self.survey_due = Some(now);
            }
        } else {
            self.notice.nobody_waits();
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
            self.waiting.push(index, &job.need, job.task.size());
        }
    }

    /// Lines up again after some rest.
    fn rest(&mut self, now: Now, index: u64, rest: Duration) {
        if rest.is_zero() {
            self.line_up(index);
        } else {
            self.set_phase(index, Phase::Resting(now + rest));
            self.resting.insert((now + rest, index));
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
