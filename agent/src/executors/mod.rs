//! The executors of this agent: one process for each framework, another when that is full, none for who has no tasks. What of a
//! framework is revocable runs in processes of its own, which give way to all others.

mod peer;
mod recovery;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{self, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use haggle_core::queue::Index;
use haggle_core::{AllocationSpec, Bytes, FrameworkId, QueueEnd, Reason, Resources, Source, Stop, TaskId, TaskState};
use haggle_executor::process::{Lockdown, Order, Setup};
use haggle_executor::{Launch, Meter, MountedVolume};
use tokio::runtime::Handle;

use crate::blank::Starting;
use crate::checkpoint::WorkDir;
use crate::config::Config;
use crate::counters::Counters;
use crate::inbox::Inbox;
use crate::logs::Logs;
use crate::message::{Key, Message};
use crate::runner::{NeverRan, Runs};

use peer::{Ears, Peer};
pub use recovery::RecoveryError;
pub(crate) use recovery::{Recovered, recover};

/// Processes at once. Each has its threads and some 10 MiB; a framework needs one for its first
/// [`TASKS_PER_EXECUTOR`] tasks.
const EXECUTORS_MAX: usize = 256;

/// Of these for one framework. It is given one for each set of volumes that its tasks mount, and there are many sets.
const EXECUTORS_PER_FRAMEWORK: usize = 32;

/// Tasks in one process. The system gives a process 65,530 mappings, and a task takes up to five of them; with ten
/// such processes, an agent holds 100,000 tasks. Windows counts room for tables as memory that is used, some GiB for so
/// many.
pub(crate) const TASKS_PER_EXECUTOR: usize = if cfg!(windows) { 1_000 } else { 10_000 };

/// What a process may hold beside the memory of all tasks that an agent can run: compiled modules, pools of tables, threads.
const EXECUTOR_OVERHEAD: Bytes = Bytes::from_mib(6 * 1024);

/// How long a process without tasks is kept: the next task of its framework starts without the start of a process.
pub(crate) const IDLE_AFTER: Duration = Duration::from_secs(60);

/// How long the end of every executor may take, before those that are left are killed. They give their tasks five
/// seconds.
const END_MAX: Duration = Duration::from_secs(8);

/// How long executors may take to close a connection that is left to them.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// A volume's folder that an executor reaches, and whether it may write there.
type Mount = (PathBuf, bool);

fn mounts(volumes: &[MountedVolume]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = volumes.iter().map(|volume| (volume.host.clone(), volume.writable)).collect();
    mounts.sort_unstable();
    mounts
}

/// How executors are started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The `haggle` executable.
    pub(crate) program: PathBuf,
    /// Holds a folder for each executor.
    pub(crate) dir: PathBuf,
    /// What each is told, but for its own folder.
    pub(crate) setup: Setup,
    /// Whether nothing of them is of any use to who comes after this agent.
    pub(crate) is_transient: bool,
}

impl Plan {
    /// # Errors
    /// When a path cannot be made absolute.
    pub(crate) fn new(config: &Config, work_dir: &WorkDir, has: &Resources) -> io::Result<Self> {
        let executor = haggle_executor::Config {
            workers: usize::try_from(has.cpus.get().div_ceil(1000)).unwrap_or(usize::MAX).max(1),
            // Each has its own.
            scratch_dir: PathBuf::new(),
            max_tasks: TASKS_PER_EXECUTOR,
            meter: if config.metering { Meter::Fuel } else { Meter::Epochs },
            allow_network: config.allow_network,
            // So are those alone that run what is revocable.
            idle_only: false,
        };
        let allowed = config.allowed_folders.iter().map(path::absolute).collect::<io::Result<Vec<_>>>()?;
        let lockdown = Lockdown {
            read: [path::absolute(&config.cache_dir)?, work_dir.inputs()].into_iter().chain(allowed).collect(),
            // Each has its own folder.
            write: Vec::new(),
            network: config.allow_network,
            memory: Some(Bytes::new(has.mem.get().saturating_add(EXECUTOR_OVERHEAD.get()))),
        };
        let setup = Setup { executor, lockdown, recovery_timeout: config.recovery_timeout, idle_after: IDLE_AFTER };
        let (program, is_transient) = (config.program.clone(), config.is_transient);
        Ok(Self { program, dir: work_dir.executors(), setup, is_transient })
    }
}

/// The executors. They belong to the driver.
#[derive(Debug)]
pub(crate) struct Executors {
    plan: Arc<Plan>,
    ears: Ears,
    /// What carries their sockets.
    runtime: Handle,
    peers: BTreeMap<Key, Peer>,
    /// Where each task is that is not forgotten.
    homes: HashMap<TaskId, Key>,
    /// Who is to be told something that was not sent yet.
    unsent: BTreeSet<Key>,
    /// The highest number so far.
    last: u64,
    /// CPU time of those whose tasks have cpus of their own, as far as they were looked at.
    cpu: Duration,
    /// Of all.
    all_cpu: Duration,
    started: u64,
    /// Those that ended without being told to.
    failed: u64,
    /// Cloned by every peer's task, so that the end of the last one is heard.
    living: Sender<()>,
    lived: Receiver<()>,
    settled: bool,
    /// What the next executor is made of, if it is there already.
    first: Option<Starting>,
}

impl Executors {
    fn new(plan: Plan, inbox: Arc<Inbox<Message>>, logs: Arc<Logs>, runtime: Handle) -> Self {
        let (living, lived) = mpsc::channel();
        Self {
            plan: Arc::new(plan),
            ears: Ears { inbox, logs },
            runtime,
            peers: BTreeMap::new(),
            homes: HashMap::new(),
            unsent: BTreeSet::new(),
            last: 0,
            cpu: Duration::ZERO,
            all_cpu: Duration::ZERO,
            started: 0,
            failed: 0,
            living,
            lived,
            settled: false,
            first: None,
        }
    }

    /// The next executor is made of this process.
    pub(crate) fn make_first_of(&mut self, first: Starting) {
        self.first = Some(first);
    }

    /// Has an executor ready for a framework that is expected. Whatever goes wrong with it is told when a task wants it.
    pub(crate) fn prepare(&mut self, framework: FrameworkId) {
        let _ = self.with_room(framework, false, Vec::new());
    }

    /// CPU time that executors have used so far whose tasks have cpus of their own, while they were looked at here. What one used
    /// between the last look and its end is missing.
    pub(crate) fn cpu_time(&mut self) -> Duration {
        self.look();
        self.cpu
    }

    fn look(&mut self) {
        for peer in self.peers.values_mut() {
            let used = peer.cpu_since_last();
            self.all_cpu += used;
            if !peer.is_idle_only {
                self.cpu += used;
            }
        }
    }

    /// Has the executor of a task or an allocation say what a task has used so far. False where there is none to ask.
    pub(crate) fn ask_usage(&mut self, home_of: TaskId, task: TaskId, request: u64) -> bool {
        self.tell(home_of, &Order::TellUsage { request, task });
        self.homes.contains_key(&home_of)
    }

    /// Sends what executors were told since the last time, what goes to one of them at once.
    pub(crate) fn flush(&mut self) {
        for key in std::mem::take(&mut self.unsent) {
            self.peers.get(&key).inspect(|peer| peer.flush());
        }
    }

    /// A task has ended; it is held until it is forgotten.
    pub(crate) fn ended(&mut self, task: TaskId) {
        if let Some(peer) = self.homes.get(&task).and_then(|key| self.peers.get_mut(key)) {
            peer.running.remove(&task);
        }
    }

    /// An executor has been idle for a while. It may have been given a task in the meantime.
    pub(crate) fn idle(&mut self, key: Key) {
        if let Some(peer) = self.peers.get_mut(&key).filter(|peer| peer.held == 0) {
            peer.end();
        }
    }

    /// The framework has left: its executors go with the last of its tasks.
    pub(crate) fn framework_gone(&mut self, framework: FrameworkId) {
        for (_, peer) in self.peers.range_mut((framework, 0)..=(framework, u64::MAX)) {
            peer.unwanted = true;
            peer.end_if_done();
        }
    }

    /// An executor is no more. Gives the tasks that ended with it.
    #[must_use]
    pub(crate) fn gone(&mut self, key: Key) -> HashSet<TaskId> {
        let Some(peer) = self.peers.remove(&key) else { return HashSet::new() };
        self.homes.retain(|_, home| *home != key);
        self.failed += u64::from(!peer.ends);
        peer.running
    }

    /// Ends every executor and every task, and waits for that.
    pub(crate) fn end(&mut self) {
        if self.plan.is_transient && self.peers.values_mut().all(Peer::forget) {
            // What they would put in order goes with their folders. All are killed before the first one is waited for.
            self.peers.values().for_each(Peer::send_kill);
            self.peers.values().for_each(Peer::kill);
            self.settled = true;
            return;
        }
        self.tell_end();
        if !self.wait(END_MAX) {
            tracing::warn!("an executor did not end; it is killed");
            self.peers.values().for_each(Peer::kill);
            self.wait(END_MAX);
        }
    }

    fn tell_end(&mut self) {
        self.peers.values_mut().for_each(Peer::end);
        if self.plan.is_transient {
            // What they would put in order goes with their folders.
            self.peers.values().for_each(Peer::kill);
        }
    }

    /// Leaves every executor with its tasks to the next agent.
    pub(crate) fn leave(&mut self) {
        self.tell_leave();
        self.wait(LEAVE_MAX);
    }

    fn tell_leave(&mut self) {
        self.peers.values_mut().for_each(Peer::leave);
    }

    /// Waits for the peers' tasks to end. False when some are left after this time.
    fn wait(&mut self, at_most: Duration) -> bool {
        self.settled = true;
        let deadline = Instant::now() + at_most;
        // From here on only they hold clones of it.
        self.living = mpsc::channel().0;
        loop {
            match self.lived.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return true,
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// An executor of this framework that has room, for what is revocable or for all else, and that reaches these volumes, and no
    /// others; started if there is none.
    fn with_room(&mut self, framework: FrameworkId, idle_only: bool, reaches: Vec<Mount>) -> Result<Key, NoExecutor> {
        let mut its = self.peers.range((framework, 0)..=(framework, u64::MAX));
        let has_room = |peer: &Peer| !peer.ends && peer.running.len() < TASKS_PER_EXECUTOR;
        let is_meant = |peer: &Peer| peer.is_idle_only == idle_only && peer.reaches.as_ref() == Some(&reaches);
        if let Some((&key, _)) = its.find(|(_, peer)| is_meant(peer) && has_room(peer)) {
            return Ok(key);
        }
        // What makes room is on its way out when the new one is on its way in.
        let its = (framework, 0)..=(framework, u64::MAX);
        if self.peers.range(its.clone()).count() >= EXECUTORS_PER_FRAMEWORK {
            let idle = self.peers.range_mut(its).map(|(_, peer)| peer).find(|peer| peer.is_idle());
            idle.ok_or(NoExecutor::TooManyOfFramework(framework))?.end();
        } else if self.peers.len() >= EXECUTORS_MAX {
            let idle = self.peers.values_mut().find(|peer| peer.is_idle());
            idle.ok_or(NoExecutor::TooMany)?.end();
        }
        self.last += 1;
        self.started += 1;
        let key = (framework, self.last);
        let (plan, ears, living) = (Arc::clone(&self.plan), self.ears.clone(), self.living.clone());
        let peer = Peer::start(key, idle_only, plan, reaches, self.first.take(), ears, living, &self.runtime);
        self.peers.insert(key, peer);
        Ok(key)
    }

    /// No more tasks follow for an allocation: kept for the next agent.
    pub(crate) fn close(&mut self, allocation: TaskId) {
        self.tell(allocation, &Order::Close(allocation));
    }

    /// So many ends more of an allocation's queue need not be kept.
    pub(crate) fn settled(&mut self, allocation: TaskId, ends: u64) {
        self.tell(allocation, &Order::Settled { allocation, ends });
    }

    /// Tells the executor of a task or an allocation something that holds no path.
    fn tell(&mut self, home_of: TaskId, order: &Order) {
        if let Some(&key) = self.homes.get(&home_of)
            && let Some(peer) = self.peers.get(&key)
        {
            let _ = peer.tell(order);
            self.unsent.insert(key);
        }
    }

    fn nowhere(&self, task: TaskId, error: &NoExecutor) {
        let never_ran = NeverRan { task, reason: Reason::ExecutorTerminated, message: error.to_string() };
        self.ears.inbox.push(Message::NeverRan(never_ran));
    }

    fn try_launch(&mut self, launch: Launch) -> Result<(), NoExecutor> {
        let (task, idle_only) = (launch.spec.id, is_revocable(&launch.spec.resources));
        let reaches = mounts(&launch.volumes);
        self.try_tell(task, idle_only, reaches, &Order::Launch(launch))
    }

    /// Gives a new task or allocation to an executor with room.
    fn try_tell(
        &mut self,
        task: TaskId,
        idle_only: bool,
        reaches: Vec<Mount>,
        order: &Order,
    ) -> Result<(), NoExecutor> {
        let key = self.with_room(task.framework, idle_only, reaches)?;
        self.unsent.insert(key);
        let peer = self.peers.get_mut(&key).expect("it was just found or started");
        peer.tell(order).map_err(|error| NoExecutor::Untold(error.to_string()))?;
        peer.running.insert(task);
        peer.held += 1;
        self.homes.insert(task, key);
        Ok(())
    }
}

/// Whether who holds this runs on what is idle only.
fn is_revocable(resources: &Resources) -> bool {
    !resources.revocable.is_zero()
}

/// Why a task has nowhere to run.
#[derive(Debug, thiserror::Error)]
enum NoExecutor {
    #[error("{EXECUTORS_MAX} executors are at work on this agent, which is as many as it runs")]
    TooMany,
    #[error(
        "{EXECUTORS_PER_FRAMEWORK} executors of {0} are at work on this agent, which is as many as one framework has: \
         one for each set of volumes that its tasks mount"
    )]
    TooManyOfFramework(FrameworkId),
    #[error("the executor cannot be told of it: {0}")]
    Untold(String),
}

impl Runs for Executors {
    fn count(&mut self, counters: &mut Counters) {
        self.look();
        counters.cpu = self.all_cpu;
        (counters.executors_started, counters.executors_failed) = (self.started, self.failed);
        counters.executors = self.peers.len() as u64;
    }

    fn launch(&mut self, launch: Launch) {
        let task = launch.spec.id;
        if let Err(error) = self.try_launch(launch) {
            self.nowhere(task, &error);
        }
    }

    fn kill(&mut self, task: TaskId, why: Stop) {
        self.tell(task, &Order::Kill(task, why));
    }

    fn open(&mut self, spec: &AllocationSpec, volumes: &[MountedVolume]) {
        let idle_only = is_revocable(&spec.resources);
        if let Err(error) = self.try_tell(spec.id, idle_only, mounts(volumes), &Order::Open(spec.clone())) {
            self.nowhere(spec.id, &error);
        }
    }

    fn enqueue(&mut self, allocation: TaskId, launch: Launch, index: Option<Index>, at: u64, count: u64) {
        let Some(&key) = self.homes.get(&allocation) else { return };
        let Some(peer) = self.peers.get(&key) else { return };
        self.unsent.insert(key);
        let first = launch.spec.id.number + at;
        if let Err(error) = peer.tell(&Order::Enqueue { allocation, launch, index, at, count }) {
            let error = NoExecutor::Untold(error.to_string()).to_string();
            let (state, reason) = (TaskState::Failed, Reason::ExecutorTerminated);
            let ended = vec![QueueEnd::never_ran(first, count, Source::Agent, state, reason, &error)];
            self.ears.inbox.push(Message::QueueNews { allocation, started: Vec::new(), ended });
        }
    }

    fn kill_queued(&mut self, allocation: TaskId, task: TaskId) {
        self.tell(allocation, &Order::Kill(task, Stop::REQUESTED));
    }

    fn forget(&mut self, task: TaskId) {
        let Some(key) = self.homes.remove(&task) else { return };
        if let Some(peer) = self.peers.get_mut(&key) {
            let _ = peer.tell(&Order::Forget(task));
            self.unsent.insert(key);
            peer.held -= 1;
            // An allocation is said to have ended by nobody but this.
            peer.running.remove(&task);
            peer.end_if_done();
        }
    }
}

impl Drop for Executors {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // The program ends, and waits for nobody. A bug in it is no reason for tasks to end.
        if thread::panicking() {
            self.tell_leave();
        } else {
            self.tell_end();
        }
    }
}
