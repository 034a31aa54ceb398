//! A task: what is asked for, the states it goes through, and what is said of it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::grants::Grants;
use crate::group::Group;
use crate::id::{AgentId, Digest, TaskId, UpdateId, VolumeId};
use crate::life::Prepared;
use crate::quantity::{Bytes, Fuel, MilliCpu};
use crate::resources::Resources;
use crate::trace::TaskTrace;

/// What a framework asks an agent to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its name in the cluster.
    pub id: TaskId,
    /// A label for people; need not be unique.
    pub name: String,
    /// Which role it counts towards: that of the offer it is launched on, whatever a framework says here.
    pub role: String,
    /// The WebAssembly module: a core module with WASI 0.1, or a component with WASI 0.2.
    pub module: Digest,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment of the guest, but for the `HAGGLE_*` variables that the agent adds.
    pub env: Vec<(String, String)>,
    /// What the guest reads from its standard input.
    pub stdin: Vec<u8>,
    /// What it holds while it lives. `cpus` is a ceiling and a share, `mem` and `disk` are hard limits.
    pub resources: Resources,
    /// How it competes for processor time.
    pub sharing: Sharing,
    /// What it may use up in total.
    pub limits: Limits,
    /// Files it may read.
    pub inputs: Vec<Input>,
    /// What else it may touch.
    pub grants: Grants,
    /// Which group it is in: set by the master that launches one, whatever a framework says here.
    pub group: Option<Group>,
    /// How long it waited at its framework until it was launched, where that says so. For traces alone.
    pub waited: Option<Duration>,
    /// The span that it is: set by a master that records traces, whatever a framework says here.
    pub trace: Option<Box<TaskTrace>>,
}

/// What is to be known of a task once it was launched: all of its spec that an agent's books need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// Its name in the cluster.
    pub id: TaskId,
    /// Its label.
    pub name: String,
    /// Which role it counts towards.
    pub role: String,
    /// What it holds while it lives.
    pub resources: Resources,
    /// The volumes that it mounts.
    pub volumes: Vec<VolumeId>,
    /// What it runs; `None`: it is an allocation.
    pub module: Option<Digest>,
    /// Which group it is in.
    pub group: Option<Group>,
    /// The span that it is.
    pub trace: Option<Box<TaskTrace>>,
}

impl TaskSpec {
    /// The volumes that it mounts.
    pub fn volumes(&self) -> Vec<VolumeId> {
        self.grants.volumes().map(|(volume, _)| volume).collect()
    }
}

impl From<&TaskSpec> for TaskSummary {
    fn from(spec: &TaskSpec) -> Self {
        Self {
            id: spec.id,
            name: spec.name.clone(),
            role: spec.role.clone(),
            resources: spec.resources.clone(),
            volumes: spec.volumes(),
            module: Some(spec.module),
            group: spec.group,
            trace: spec.trace.clone(),
        }
    }
}

/// How a task competes for processor time with its neighbours, and whether it may have more than its `cpus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// Its share when there is contention, in proportion to the others': as a task of so many cpus has it. `None` is
    /// its own `cpus`, or its `burst` when it has none: then it competes for nothing but what is left over.
    pub weight: Option<MilliCpu>,
    /// Processor time that it may use beyond its `cpus` while nobody else wants it. A task with `cpus` of zero lives
    /// from that alone.
    pub burst: MilliCpu,
}

/// A file in the guest's view: read-only, but for one below [`SCRATCH`](crate::grants::SCRATCH), which is a copy that
/// the guest may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Absolute path in the guest, without `.` or `..`. Below the scratch folder, one that ends in `/` is a folder with
    /// nothing in it, whatever the content.
    pub guest_path: String,
    /// Its content, in the artifact store.
    pub content: Digest,
}

/// Totals that end a task when it reaches them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Executed instructions; `None` is unlimited.
    pub fuel: Option<Fuel>,
    /// Wall-clock time from start to end; `None` is unlimited.
    pub time: Option<Duration>,
    /// Standard output and standard error together.
    pub output: Bytes,
    /// What becomes of a task that writes more.
    pub output_overrun: OutputOverrun,
}

/// What becomes of a task that writes more than its output limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OutputOverrun {
    /// It ends there.
    #[default]
    End,
    /// It goes on; what it writes from there on is dropped.
    Truncate,
}

impl Limits {
    /// The output limit of a task that names none.
    pub const DEFAULT_OUTPUT: Bytes = Bytes::from_mib(1);
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: None, time: None, output: Self::DEFAULT_OUTPUT, output_overrun: OutputOverrun::End }
    }
}

/// Where a task stands. The names and their meaning are those of Apache Mesos (`include/mesos/v1/mesos.proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// Accepted by the master, on its way to the agent.
    Staging,
    /// The agent has it and fetches its module and inputs.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end and has not ended yet.
    Killing,
    /// It ended by itself, with exit code 0.
    Finished,
    /// It ended by a fault of its own or by one of its limits.
    Failed,
    /// It ended because it was asked to.
    Killed,
    /// It is gone for a reason outside the task.
    Lost,
    /// Its spec was wrong; it never ran.
    Error,
    /// It was never delivered to an agent.
    Dropped,
    /// Its agent is silent. It may still run, and may come back.
    Unreachable,
    /// It was on an agent that is known not to run it any more.
    Gone,
    /// An operator declared its agent gone.
    GoneByOperator,
    /// The master does not know it.
    Unknown,
}

impl TaskState {
    /// Every state, in the order of a task's life.
    pub const ALL: [Self; 14] = [
        Self::Staging,
        Self::Starting,
        Self::Running,
        Self::Killing,
        Self::Finished,
        Self::Failed,
        Self::Killed,
        Self::Lost,
        Self::Error,
        Self::Dropped,
        Self::Unreachable,
        Self::Gone,
        Self::GoneByOperator,
        Self::Unknown,
    ];

    /// Whether the task has ended for good. A terminal state is never left.
    pub const fn is_terminal(self) -> bool {
        !matches!(
            self,
            Self::Staging | Self::Starting | Self::Running | Self::Killing | Self::Unreachable | Self::Unknown
        )
    }

    /// Mesos's name, without its prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staging => "STAGING",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Killing => "KILLING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
            Self::Lost => "LOST",
            Self::Error => "ERROR",
            Self::Dropped => "DROPPED",
            Self::Unreachable => "UNREACHABLE",
            Self::Gone => "GONE",
            Self::GoneByOperator => "GONE_BY_OPERATOR",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// The master.
    Master,
    /// The agent.
    Agent,
    /// The executor that ran the task.
    Executor,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a task is in its state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it reads in tables and on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// The guest ended with an exit code other than 0.
    Exit = "EXIT",
    /// The guest trapped: unreachable code, out-of-bounds access, stack overflow, division by zero, ….
    Trap = "TRAP",
    /// It wanted more memory than it was given.
    MemoryLimit = "MEMORY_LIMIT",
    /// It used up its fuel.
    FuelExhausted = "FUEL_EXHAUSTED",
    /// It ran longer than it may.
    TimeLimit = "TIME_LIMIT",
    /// It filled its scratch folder, in bytes or in entries.
    DiskLimit = "DISK_LIMIT",
    /// It wrote more than it may.
    OutputLimit = "OUTPUT_LIMIT",
    /// Its module is no WebAssembly, or needs what no task is given.
    ModuleInvalid = "MODULE_INVALID",
    /// Its module or an input cannot be had from the artifact store.
    ArtifactUnavailable = "ARTIFACT_UNAVAILABLE",
    /// Its spec is wrong.
    TaskInvalid = "TASK_INVALID",
    /// It was launched on offers that were gone, mixed, or too small.
    InvalidOffers = "INVALID_OFFERS",
    /// It was killed before it was delivered.
    KilledDuringLaunch = "KILLED_DURING_LAUNCH",
    /// Its framework or an operator asked for its end.
    KillRequested = "KILL_REQUESTED",
    /// Its framework left or did not come back in time.
    FrameworkRemoved = "FRAMEWORK_REMOVED",
    /// Its agent is not connected.
    AgentDisconnected = "AGENT_DISCONNECTED",
    /// Its agent was silent for too long.
    AgentRemoved = "AGENT_REMOVED",
    /// Its agent came back with it.
    AgentReregistered = "AGENT_REREGISTERED",
    /// Its agent restarted and had lost it.
    AgentRestarted = "AGENT_RESTARTED",
    /// Its agent is leaving.
    AgentDraining = "AGENT_DRAINING",
    /// It ran on processor time that was revocable, and is wanted back.
    Preempted = "PREEMPTED",
    /// The answer to a question of its framework.
    Reconciliation = "RECONCILIATION",
    /// Its framework has as many tasks as it may, or too many ends that it has not acknowledged.
    FrameworkLimit = "FRAMEWORK_LIMIT",
    /// The executor broke; no fault of the task's.
    ExecutorTerminated = "EXECUTOR_TERMINATED",
    /// Another task of its group could not be launched, or came to an end that is no success.
    TaskGroup = "TASK_GROUP",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a task used up, from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time, of the guest and of the host on its behalf.
    pub cpu: Duration,
    /// Wall-clock time.
    pub wall: Duration,
    /// Executed instructions.
    pub fuel: Fuel,
    /// The most memory it held at once.
    pub peak_mem: Bytes,
    /// The most its scratch folder held at once.
    pub peak_disk: Bytes,
    /// What it wrote to standard output and standard error, and was not dropped.
    pub output: Bytes,
    /// What it sent and received over the network.
    pub net: Bytes,
    /// How long it wanted to run and was held back, because it had used what it may have.
    pub throttled: Duration,
}

/// A limit that was reached: both numbers in the unit of the limit (bytes, fuel or milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exceeded {
    /// What was granted.
    pub limit: u64,
    /// What was used or asked for when the limit acted.
    pub used: u64,
}

/// How a task came to its end, as the one who saw it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// A terminal state.
    pub state: TaskState,
    /// Why; `None` for a plain success.
    pub reason: Option<Reason>,
    /// One line for people.
    pub message: String,
    /// The guest's own exit code, where it came to give one.
    pub exit_code: Option<i32>,
    /// The limit that ended it, where one did.
    pub exceeded: Option<Exceeded>,
    /// What it used.
    pub usage: Usage,
}

/// What is said of a task, to its framework and to anybody who watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// Which of the task's updates this is.
    pub update: UpdateId,
    /// Where it stands.
    pub state: TaskState,
    /// Why.
    pub reason: Option<Reason>,
    /// Who says so.
    pub source: Source,
    /// One line for people; may be empty.
    pub message: String,
    /// Where it is or was.
    pub agent: Option<AgentId>,
    /// The guest's own exit code.
    pub exit_code: Option<i32>,
    /// The limit that ended it.
    pub exceeded: Option<Exceeded>,
    /// What it used; on terminal updates of tasks that ran.
    pub usage: Option<Usage>,
    /// What its agent did before it could run.
    pub prepared: Prepared,
}

impl TaskStatus {
    /// A bare status with everything optional left out.
    pub fn new(task: TaskId, update: UpdateId, state: TaskState, source: Source) -> Self {
        Self {
            task,
            update,
            state,
            reason: None,
            source,
            message: String::new(),
            agent: None,
            exit_code: None,
            exceeded: None,
            usage: None,
            prepared: Prepared::default(),
        }
    }

    /// The status that tells of an ending.
    pub fn ended(task: TaskId, update: UpdateId, source: Source, ending: Ending) -> Self {
        Self {
            reason: ending.reason,
            message: ending.message,
            exit_code: ending.exit_code,
            exceeded: ending.exceeded,
            usage: Some(ending.usage),
            ..Self::new(task, update, ending.state, source)
        }
    }
}
