//! One level above [`Framework`](crate::Framework): hand over tasks, and have them driven to their end.

mod demand;
mod driver;
mod holdings;
mod inventory;
pub(crate) mod need;
mod notice;
mod pack;
mod progress;
mod reconcile;
mod retry;
mod session;
mod spare;
pub(crate) mod state;

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::OptionFuture;
use haggle_core::cluster::{AgentView, FrameworkInfo};
use haggle_core::{Bytes, FrameworkId, Group, TaskState, Want};
use tokio::time::{Instant, sleep_until};

pub use inventory::{Lack, NoAgent, TooBig, Unsuitable};
pub use progress::{Outcome, Progress, WaitReason};
pub use session::{Session, TaskHandle};

use crate::client::Client;
use crate::error::CallError;
use crate::task::{BadTask, Task};
use driver::Driver;
use inventory::Inventory;
use state::{News, Policy};

/// How long tasks have to end after they were cancelled. A kill takes an agent 100 ms.
const GRACE: Duration = Duration::from_secs(5);

/// How long a session keeps room for more tasks like its last ones. As long as the master lets an offer stand.
const LINGER: Duration = Duration::from_secs(5);

/// How long a task is waited for whose agent is silent. A machine that restarts and an agent that is upgraded are back
/// within this time, and so is what ran there.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(60);

/// The variable that tells a task of a list which one it is, from 0.
pub const INDEX_VARIABLE: &str = "HAGGLE_TASK_INDEX";

/// The variable that tells a task of a list how many there are.
pub const COUNT_VARIABLE: &str = "HAGGLE_TASK_COUNT";

/// The variable that tells a task of a [gang](Runner::gang) how many tasks started together.
pub const GANG_SIZE_VARIABLE: &str = "HAGGLE_GANG_SIZE";

/// Why tasks could not be driven to their end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    /// A task that no master would take.
    #[error(transparent)]
    BadTask(#[from] BadTask),
    /// A task that no agent could ever run.
    #[error(transparent)]
    TooBig(#[from] Box<TooBig>),
    /// A task for which no agent is what it needs.
    #[error(transparent)]
    Unsuitable(#[from] Box<Unsuitable>),
    /// The master did not answer, or refused the framework.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The master ended the session, or did not come back; in its words.
    #[error("the session with the master has ended: {0}")]
    Master(String),
    /// The task was killed before it was ever launched.
    #[error("killed before it was launched")]
    Cancelled,
    /// The session had ended before.
    #[error("the session with the master is over")]
    Over,
}

/// How a list of tasks came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The framework that ran them.
    pub framework: FrameworkId,
    /// One for each task, in the order of the list.
    pub outcomes: Vec<Outcome>,
    /// Whether it was stopped before all had ended by themselves.
    pub cancelled: bool,
    /// From the subscription to the last end.
    pub elapsed: Duration,
}

impl Report {
    /// Whether every task finished.
    pub fn all_finished(&self) -> bool {
        self.outcomes.iter().all(Outcome::is_finished)
    }
}

impl Outcome {
    /// Whether it ended by itself and well.
    pub fn is_finished(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.state == TaskState::Finished)
    }
}

/// Drives tasks to their end: says how much room they need, fits as many as it can into each offer, and launches those
/// again that were lost or failed. Where more short tasks of a kind wait than an offer has room for, it opens an allocation and
/// puts them into its queue, for a second at a time: then the next begins where one ends, without a way to the master.
#[derive(Clone, Debug)]
pub struct Runner {
    client: Client,
    info: FrameworkInfo,
    policy: Policy,
    grace: Duration,
}

impl Runner {
    /// A runner named `runner`, in the default role, without retries.
    pub fn new(client: &Client) -> Self {
        let info = FrameworkInfo {
            name: "runner".to_owned(),
            roles: vec![FrameworkInfo::DEFAULT_ROLE.to_owned()],
            failover_timeout: FrameworkInfo::DEFAULT_FAILOVER_TIMEOUT,
        };
        let policy = Policy { retries: 0, linger: LINGER, unreachable_patience: UNREACHABLE_PATIENCE, gang: false };
        Self { client: client.clone(), info, policy, grace: GRACE }
    }

    /// The framework's name, for people.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.info.name = name.into();
        self
    }

    /// Whose share its tasks count towards.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.info.roles = vec![role.into()];
        self
    }

    /// How often a task is launched again after it failed or was lost; 0 unless told. Ends that would come again,
    /// such as an invalid module or a memory limit, are not retried, and a launch that never reached an agent
    /// does not count. A task starts at most once and its retries: without retries at most once. One case is left: a
    /// launch of which nothing was heard when both the master and what ran on its agent are lost counts as one that never
    /// reached it.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.policy.retries = retries;
        self
    }

    /// How long tasks live on, and the master is looked for, after the connection is lost; 60 s unless told.
    #[must_use]
    pub fn failover_timeout(mut self, timeout: Duration) -> Self {
        self.info.failover_timeout = timeout;
        self
    }

    /// How long after its last launch a [`Session`] keeps offers in hand for more tasks like the last ones, so that the next
    /// one starts without waiting for an offer; 5 s unless told, none when zero. It keeps room for as many of a kind as
    /// ran at once in the last second or two, and the master takes that back as soon as somebody else waits for it.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.policy.linger = linger;
        self
    }

    /// How long a task is waited for whose agent is silent, before it is killed and launched elsewhere; 60 s unless
    /// told. It counts from when the master declares the task `UNREACHABLE`, and stands still while the master itself is
    /// away. Shorter, and a task may run twice for as long as a cut-off agent does not hear of the kill; longer, and the
    /// work of a dead agent is done later. Launching it again counts as one of its retries.
    #[must_use]
    pub fn unreachable_patience(mut self, patience: Duration) -> Self {
        self.policy.unreachable_patience = patience;
        self
    }

    /// Launches all tasks of a list at once or none of them, on as many agents as it takes, and has them live and die together: when one
    /// comes to any end but a good one, the others are ended ([`Reason::TaskGroup`](crate::Reason)), and a retry launches all of them
    /// again. They wait until there is room for all at once, and hold nothing while they wait; a guarantee of their role keeps room for
    /// them. Each finds in [`GANG_SIZE_VARIABLE`] how many they are. How they ended is told once all have. At most
    /// [`Group::SIZE_MAX`](crate::Group) tasks; of no meaning for a [`Session`].
    #[must_use]
    pub fn gang(mut self) -> Self {
        self.policy.gang = true;
        self
    }

    /// How long tasks have to end after they were cancelled; 5 s unless told.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs all of these, and tells of what happens meanwhile. Each finds its place in the list in
    /// [`INDEX_VARIABLE`] and the length of the list in [`COUNT_VARIABLE`], unless it is [anonymous](Task::anonymous).
    ///
    /// # Errors
    /// When a task is wrong, or no agent is large enough for it, or as it needs one: then, unless the cluster was empty before, none was
    /// launched. When what a task has of a [source](Task::from_source) cannot be fetched, which is done before anything else. When the
    /// master cannot be reached, or is lost for good. Tasks that fail are no errors: they are
    /// in the report.
    pub async fn run(self, tasks: Vec<Task>, on_progress: impl FnMut(&Progress)) -> Result<Report, RunError> {
        self.run_until(tasks, pending(), on_progress).await
    }

    /// As [`Self::run`], until `stop` is ready: then what waits is dropped, what runs is killed, and the report is
    /// given once all have ended, or after [`Self::grace`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_until(
        self,
        tasks: Vec<Task>,
        stop: impl Future<Output = ()>,
        mut on_progress: impl FnMut(&Progress),
    ) -> Result<Report, RunError> {
        let tasks = self.resolved(tasks).await?;
        for task in &tasks {
            task.check()?;
        }
        if self.policy.gang {
            check_gang(&tasks)?;
        }
        let agents = self.client.agents().await?;
        let inventory = Inventory::new(agents.clone());
        for task in &tasks {
            inventory.check(task)?;
        }
        let policy = Policy { linger: Duration::ZERO, ..self.policy };
        let mut driver = self.join(agents, policy, demand::opening(&tasks, policy.gang)).await?;
        let count = tasks.len();
        for (index, task) in tasks.into_iter().enumerate() {
            let told = |task: Task| {
                let task = task.env(INDEX_VARIABLE, index.to_string()).env(COUNT_VARIABLE, count.to_string());
                if policy.gang { task.env(GANG_SIZE_VARIABLE, count.to_string()) } else { task }
            };
            driver.submit(index as u64, if task.is_anonymous() { task } else { told(task) });
        }
        let mut outcomes = Vec::with_capacity(count);
        let mut stop = pin!(stop);
        let mut too_late: Option<Instant> = None;
        loop {
            for news in driver.flush()? {
                match news {
                    News::Progress(progress) => {
                        on_progress(&progress);
                        if let Progress::Ended(outcome) = progress {
                            outcomes.push(outcome);
                        }
                    }
                    News::Refused { why, .. } => {
                        driver.leave().await;
                        return Err(why.into());
                    }
                }
            }
            if driver.state().unfinished() == 0 {
                break;
            }
            tokio::select! {
                heard = driver.wait() => heard?,
                () = &mut stop, if too_late.is_none() => {
                    too_late = Some(Instant::now() + self.grace);
                    driver.state().cancel();
                }
                Some(()) = OptionFuture::from(too_late.map(sleep_until)) => break,
            }
        }
        outcomes.extend(driver.state().abandon());
        outcomes.sort_unstable_by_key(|outcome| outcome.index);
        let report = Report {
            framework: driver.framework(),
            outcomes,
            cancelled: too_late.is_some(),
            elapsed: driver.elapsed(),
        };
        driver.leave().await;
        Ok(report)
    }

    async fn resolved(&self, tasks: Vec<Task>) -> Result<Vec<Task>, CallError> {
        let mut resolved = Vec::with_capacity(tasks.len());
        for task in tasks {
            resolved.push(self.client.resolve(task).await?);
        }
        Ok(resolved)
    }

    /// Begins a session that takes one task after another.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses.
    pub async fn start(self) -> Result<Session, RunError> {
        self.start_with(|_| {}).await
    }

    /// As [`Self::start`], and tells of what happens meanwhile.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(self, on_progress: impl FnMut(&Progress) + Send + 'static) -> Result<Session, RunError> {
        let agents = self.client.agents().await?;
        let driver = self.join(agents, Policy { gang: false, ..self.policy }, Vec::new()).await?;
        Ok(Session::serve(self.client, driver, self.grace, on_progress))
    }

    async fn join(&self, agents: Vec<AgentView>, policy: Policy, wants: Vec<Want>) -> Result<Driver, RunError> {
        Driver::join(&self.client, self.info.clone(), agents, policy, wants).await
    }
}

/// Whether these can be launched by one call.
fn check_gang(tasks: &[Task]) -> Result<(), BadTask> {
    let bad = |why: String| tasks.first().map_or(Ok(()), |task| Err(BadTask { name: task.label().to_owned(), why }));
    if tasks.len() > Group::SIZE_MAX {
        return bad(format!("it is one of a gang of {} tasks, and there may be {}", tasks.len(), Group::SIZE_MAX));
    }
    let (has, most) = (tasks.iter().map(Task::size).sum::<usize>(), pack::LAUNCH_BYTES_MAX);
    if has > most {
        let (has, most) = (Bytes::new(has as u64), Bytes::new(most as u64));
        return bad(format!("it is one of a gang that takes {has} to launch, and may take {most}: store large inputs"));
    }
    let mut kinds: Vec<need::Need> = Vec::new();
    for need in tasks.iter().map(Task::need) {
        if !kinds.contains(&need) {
            kinds.push(need);
        }
    }
    match kinds.len() > Want::MAX {
        true => bad(format!("it is one of a gang of {} kinds of tasks, and there may be {}", kinds.len(), Want::MAX)),
        false => Ok(()),
    }
}

impl From<NoAgent> for RunError {
    fn from(why: NoAgent) -> Self {
        match why {
            NoAgent::TooBig(why) => why.into(),
            NoAgent::Unsuitable(why) => Box::new(why).into(),
        }
    }
}
