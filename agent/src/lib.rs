//! The agent: what surrounds the node's state machine on a machine that runs tasks.
//!
//! [`Agent::start`] detects what the machine has, finds the executors that an earlier agent has left, and links up with
//! the master. One task, the driver, owns every decision; the link, the executors and the fetcher only hand it
//! messages, and act on its word.

mod admission;
mod advertise;
mod artifacts;
mod aside;
mod blank;
mod checkpoint;
mod config;
mod counters;
mod dial;
mod driver;
mod executors;
mod fetch;
mod folders;
mod host;
mod identity;
mod inbox;
mod join;
mod link;
mod logs;
mod masters;
mod membership;
mod message;
mod passes;
mod reads;
mod registration;
mod renewal;
mod runner;
mod traces;
mod trash;
mod unused;
mod volumes;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::node::{Node, RecoveredQueue};
use haggle_core::reservation::InvalidReservation;
use haggle_core::{AgentId, AgentInfo, Resources, TaskId};
use haggle_executor::process::{HeldBatch, Process};
use haggle_executor::{Compiler, CompilerConfig};
use haggle_otlp::Tracer;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use advertise::ReservedAttribute;
pub use blank::Starting;
pub use checkpoint::WorkDirError;
pub use config::{BadMaster, Config, Declared, this_program};
pub use executors::RecoveryError;
pub use host::{HostError, free_disk, resources};
pub use membership::{MembershipError, has_joined};

use admission::{Admission, Found};
use artifacts::Artifacts;
use checkpoint::WorkDir;
use counters::Told;
use driver::Driver;
use executors::Plan;
use fetch::Fetcher;
use folders::Folders;
use inbox::Inbox;
use link::Link;
use logs::{Leftovers, Logs};
use masters::Masters;
use membership::Membership;
use message::{Message, Progress};
use passes::Passes;
use reads::Reads;
use runner::Runner;
use traces::Traces;
use unused::Unused;
use volumes::Volumes;

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The master's address is not one.
    #[error(transparent)]
    Master(#[from] BadMaster),
    /// An attribute is not for its operator to say.
    #[error(transparent)]
    Attribute(#[from] ReservedAttribute),
    /// It cannot join, or cannot come back.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The work folder cannot be used.
    #[error(transparent)]
    WorkDir(#[from] WorkDirError),
    /// The machine has nothing to give.
    #[error(transparent)]
    Host(#[from] HostError),
    /// It is to keep for roles what it has not.
    #[error("the agent cannot keep that for roles: {0}")]
    Reserved(#[from] InvalidReservation),
    /// It is to measure what its tasks leave unused, and no process's CPU time is told here.
    #[error("it cannot be measured on this system what tasks leave unused: start the agent without oversubscription")]
    CannotMeasure,
    /// It is to measure that over too short or too long a time.
    #[error(
        "what tasks leave unused is measured over {shortest:?} to {longest:?}, and not over {0:?}",
        shortest = Unused::WINDOWS.0,
        longest = Unused::WINDOWS.1
    )]
    MeasuredOver(Duration),
    /// The artifact folder cannot be read.
    #[error("cannot take stock of the artifacts: {0}")]
    Artifacts(std::io::Error),
    /// A folder that tasks may read is not there.
    #[error("cannot allow tasks to read {folder}: {source}", folder = folder.display())]
    AllowedFolder {
        /// As it was configured.
        folder: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What an earlier agent has left cannot be looked at or cleared.
    #[error("cannot take stock of {path}: {source}", path = path.display())]
    Leftovers {
        /// What.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nor its executors.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// Traces cannot be told to anybody.
    #[error(transparent)]
    Traces(#[from] haggle_otlp::StartError),
    /// The compiler does not start.
    #[error(transparent)]
    Compiler(#[from] haggle_executor::StartError),
}

/// Why an agent that ran does not any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// It drained and said farewell.
    #[error("the agent left the cluster")]
    Left,
    /// It was told to stop.
    #[error("the agent was stopped")]
    Stopped,
    /// The master does not want it. Its tasks run on for as long as without an agent.
    #[error("the master refused this agent: {0}")]
    Refused(String),
    /// The master does not let it in, or is not believed. Its tasks run on for as long as without an agent.
    #[error("the agent does not come into the cluster: {0}")]
    TurnedAway(String),
    /// The master has given it up for good.
    #[error(
        "the agent was declared gone: {0}; its tasks were ended and its id is forgotten, so that it joins as a new agent \
         when it is started again"
    )]
    Gone(String),
    /// The same, of one that comes by a certificate: whether that is still good, the master says when it comes again.
    #[error("the agent was declared gone: {0}; its tasks were ended")]
    Ended(String),
    /// Without its id it could not come back as the same agent.
    #[error("the agent cannot keep its id: {0}")]
    Unwritable(String),
    /// A bug.
    #[error("the agent's driver crashed; this is a bug in Haggle")]
    Crashed,
}

impl From<Progress> for Stopped {
    fn from(last: Progress) -> Self {
        match last {
            Progress::Left => Self::Left,
            Progress::Stopped => Self::Stopped,
            Progress::Refused(why) => Self::Refused(why),
            Progress::TurnedAway(why) => Self::TurnedAway(why),
            Progress::Gone(why) => Self::Gone(why),
            Progress::Ended(why) => Self::Ended(why),
            Progress::Unwritable(why) => Self::Unwritable(why),
            Progress::Joining | Progress::Registered(_) => Self::Crashed,
        }
    }
}

/// What measures what tasks leave unused over this time.
fn measuring(window: Duration) -> Result<Unused, StartError> {
    let (shortest, longest) = Unused::WINDOWS;
    match (shortest..=longest).contains(&window) {
        true if Process::tells_cpu_time() => Ok(Unused::over(window)),
        true => Err(StartError::CannotMeasure),
        false => Err(StartError::MeasuredOver(window)),
    }
}

/// What came of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The agent said farewell, and its id is given up. So it is when no master ever took it in.
    Left,
    /// There was no master to say farewell to. It will miss the agent, whose id is kept: who starts in its work folder
    /// comes back under it.
    Unheard,
}

/// A running agent. Dropping it is [`Agent::stop`] without the wait.
#[derive(Debug)]
pub struct Agent {
    resources: Resources,
    inbox: Arc<Inbox<Message>>,
    progress: watch::Receiver<Progress>,
    link: JoinHandle<()>,
    /// Closed when the driver has ended, and every task with it that is not left to the next agent.
    ended: watch::Receiver<()>,
    /// How long a drain may take.
    drain_max: Duration,
}

impl Agent {
    /// Starts an agent. It goes on trying to reach its master from then on; see [`Agent::registered`].
    ///
    /// # Errors
    /// When the configuration, the machine or the work folder does not allow it.
    ///
    /// # Panics
    /// Outside a tokio runtime with timers and I/O.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None).await
    }

    /// As [`Self::start`], with a process of [`Config::program`] from which its first executor is made. Should it not start, another
    /// one is.
    ///
    /// # Errors
    /// As there; the process is ended then.
    ///
    /// # Panics
    /// As there.
    pub async fn start_with(config: Config, first: Option<Starting>) -> Result<Self, StartError> {
        let runtime = Handle::current();
        // Reading the machine, checking folders and setting up an engine are no work for a network thread.
        match tokio::task::spawn_blocking(move || Self::start_blocking(config, first, &runtime)).await {
            Ok(started) => started,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is moved to the thread that this runs on")]
    fn start_blocking(config: Config, first: Option<Starting>, runtime: &Handle) -> Result<Self, StartError> {
        admission::check(&config)?;
        let unused = config.oversubscribe.map(measuring).transpose()?;
        let attributes = advertise::attributes(&config)?;
        let work_dir = WorkDir::open(&config.work_dir)?;
        let work_dir = if config.is_transient { work_dir.transient() } else { work_dir };
        let mut identity = work_dir.identity()?;
        let membership = Membership::of(work_dir.pki());
        let random = checkpoint::random()? as u64;
        let Found { admission, begins_anew } =
            Admission::find(&config, work_dir.root(), membership, identity.member, random)?;
        if begins_anew {
            work_dir.forget()?;
            identity = work_dir.identity()?;
        }
        let masters = Masters::new(admission.masters().to_vec());
        let highest = identity.epoch;
        let resources = host::resources(&config.resources, &config.work_dir)?;
        let info = AgentInfo {
            name: config.name.clone(),
            resources: resources.clone(),
            reserved: config.reserved.clone(),
            attributes,
        };
        info.check_reserved()?;

        let inbox = Arc::new(Inbox::new());
        let logs = Arc::new(Logs::new(work_dir.logs(), logs::Bounds::DEFAULT));
        let unusable = |path| move |source| StartError::Leftovers { path, source };
        let leftovers = Leftovers::find(&work_dir.logs()).map_err(unusable(work_dir.logs()))?;
        // Executors have folders of their own to find it from, and give up whatever is not there when they start.
        let cache_dir = std::path::absolute(&config.cache_dir).map_err(unusable(config.cache_dir.clone()))?;
        let compiler = CompilerConfig { limits: config.compile, ..CompilerConfig::new(&config.program, cache_dir) };
        compiler.make_cache()?;
        let plan = Plan::new(&config, &work_dir, &resources).map_err(unusable(config.cache_dir.clone()))?;
        let usual = plan.setup.executor.meter;
        let (mut executors, recovered) =
            executors::recover(plan, Arc::clone(&inbox), Arc::clone(&logs), &leftovers, runtime)?;
        if let Some(first) = first {
            executors.make_first_of(first);
        }
        if let Some(framework) = config.expected {
            executors.prepare(framework);
        }
        let living: HashSet<TaskId> = recovered.iter().map(|recovered| recovered.task.id).collect();
        let queues: Vec<_> = recovered.iter().filter_map(|recovered| recovered.queue.as_ref()).collect();
        let in_queue = |task| queues.iter().any(|(queue, _)| queue.lives(task) || queue.has_ended(task));
        leftovers.sweep(|task| living.contains(&task) || in_queue(task)).map_err(unusable(work_dir.logs()))?;
        let artifacts = Artifacts::open(work_dir.artifacts(), artifacts::CACHE_MAX).map_err(StartError::Artifacts)?;
        let folders = Folders::new(work_dir.inputs(), &config.allowed_folders)
            .map_err(|(folder, source)| StartError::AllowedFolder { folder, source })?;
        let volumes =
            Volumes::open(work_dir.volumes()).map_err(|(path, source)| StartError::Leftovers { path, source })?;
        let is_batch = |task: TaskId| {
            let of =
                |queue: &RecoveredQueue, batch: &HeldBatch| TaskId { number: batch.first, ..queue.spec.id } == task;
            queues.iter().any(|(queue, batches)| batches.iter().any(|batch| of(queue, batch)))
        };
        let swept = folders.sweep(|name| name.parse().is_ok_and(|task| living.contains(&task) || is_batch(task)));
        swept.map_err(|(path, source)| StartError::Leftovers { path, source })?;
        let (current, master) = watch::channel(masters.current().clone());
        // A channel that connects by itself needs to know its runtime.
        let _entered = runtime.enter();
        let passes = Passes::default();
        let fetcher = Fetcher::new(
            master,
            passes.clone(),
            admission.dialer().clone(),
            fetch::Folders { own: artifacts.dir().to_owned(), nearby: config.nearby_artifacts.clone() },
            artifacts::CACHE_MAX,
            runtime.clone(),
        );
        let compiler = Compiler::start(compiler)?;
        let (progress, watched) = watch::channel(Progress::Joining);
        let mut runner =
            Runner::new(executors, Box::new(compiler.clone()), artifacts, folders, volumes, config.name.clone(), usual);
        let mut exporting = None;
        if let Some(collector) = config.traces.clone() {
            let (tracer, carries) = Tracer::start(&traces::service(&config.name), collector)?;
            runner.trace(Traces::new(tracer));
            exporting = Some(carries);
        }
        let driver = Driver {
            node: Node::new(
                haggle_core::node::Config { kill_grace: config.kill_grace, ..Default::default() },
                info.resources.clone(),
            ),
            recovered,
            is_certified: admission.goes_abroad(),
            identity,
            run: checkpoint::random()? as u64,
            info,
            work_dir: Arc::new(work_dir),
            runner,
            fetcher,
            compiler,
            reads: Reads::new(Arc::clone(&logs), runtime.clone()),
            logs,
            inbox: Arc::clone(&inbox),
            progress,
            unused,
            counters: Told::default(),
            session: None,
            registered: false,
            questions: Vec::new(),
            draining: false,
            departing: false,
            leaves_tasks: false,
        };
        let (ends, ended) = watch::channel(());
        runtime.spawn(async move {
            driver.run().await;
            if let Some(exporting) = exporting {
                exporting.finish().await;
            }
            drop(ends);
        });
        let (heartbeat, progress) = (config.heartbeat, watched.clone());
        let link =
            Link { masters, admission, current, passes, highest, heartbeat, inbox: Arc::clone(&inbox), progress };
        Ok(Self {
            resources,
            inbox,
            progress: watched,
            link: runtime.spawn(link.run()),
            ended,
            drain_max: config.kill_grace + config.drain_margin,
        })
    }

    /// What it has to give.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Resolves once the master has taken it in.
    ///
    /// # Errors
    /// When that will not happen any more.
    pub async fn registered(&self) -> Result<AgentId, Stopped> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|progress| *progress != Progress::Joining).await;
        match reached.map(|progress| progress.clone()) {
            Ok(Progress::Registered(id)) => Ok(id),
            Ok(last) => Err(last.into()),
            Err(_) => Err(Stopped::Crashed),
        }
    }

    /// Takes no more tasks, gives those that run their grace, kills the rest, tells the master of every end, and
    /// leaves. The id is given up: who starts in this folder again is a new agent. Where no master is there, it is waited
    /// for, as long as a drain may take at all.
    pub async fn drain(mut self) -> Drained {
        self.inbox.push(Message::Drain);
        let at_most = self.drain_max;
        let drained = async {
            self.stopped().await;
            // It returns when the master has heard the farewell.
            let _ = (&mut self.link).await;
        };
        if tokio::time::timeout(at_most, drained).await.is_err() {
            tracing::warn!("the drain took too long; the agent stops");
        }
        if *self.progress.borrow() == Progress::Left {
            return Drained::Left;
        }
        self.inbox.push(Message::EndDrain);
        self.ended().await;
        Drained::Unheard
    }

    /// Has it end at once, and every task. When this resolves it hears and says nothing more; see [`Self::stop`] for when all of it
    /// is over.
    pub async fn halt(&mut self) {
        self.inbox.push(Message::Stop);
        let _ = self.progress.wait_for(Progress::is_final).await;
    }

    /// Ends at once, and every task. The agent may come back under its id.
    pub async fn stop(mut self) {
        self.halt().await;
        self.ended().await;
    }

    /// Ends at once, and leaves its tasks running: who starts in the same folder within [`Config::recovery_timeout`]
    /// goes on with them.
    pub async fn leave(mut self) {
        self.inbox.push(Message::Leave);
        self.ended().await;
    }

    /// Resolves when it has come to its end, and says why. Tasks have ended then, unless they are left to the next agent.
    pub async fn stopped(&mut self) -> Stopped {
        let last = self.progress.wait_for(Progress::is_final).await.map(|last| last.clone());
        self.ended().await;
        last.map_or(Stopped::Crashed, Stopped::from)
    }

    async fn ended(&mut self) {
        // Nothing is ever sent.
        while self.ended.changed().await.is_ok() {}
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.inbox.push(Message::Stop);
        self.link.abort();
    }
}
