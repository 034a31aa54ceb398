//! What every task needs before it runs, and who gets it.

mod batches;
mod launch;
mod layouts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use haggle_core::queue::Index;
use haggle_core::{
    AllocationSpec, Bytes, Digest, FrameworkId, QueueEnd, QueuedTasks, Reason, Stop, TaskId, TaskSpec, TaskState,
};
use haggle_executor::{Compiler, Launch, Meter, ModuleError, MountedVolume, Wanted};

use self::batches::Batch;
use self::layouts::Layouts;
use crate::artifacts::Artifacts;
use crate::counters::{Counters, Prepared};
use crate::fetch::FetchError;
use crate::folders::{Folders, Layout, NoFolders};
use crate::traces::{self, Traces};
use crate::volumes::Volumes;

/// Where tasks run. The executors, but for tests.
pub(crate) trait Runs {
    /// Adds what is counted of the processes.
    fn count(&mut self, counters: &mut Counters);
    /// Runs it. News of it follow.
    fn launch(&mut self, launch: Launch);
    /// Ends it, and keeps why. Its end follows.
    fn kill(&mut self, task: TaskId, why: Stop);
    /// Its end was told and acknowledged.
    fn forget(&mut self, task: TaskId);
    /// Holds a queue for this allocation, whose tasks may mount these volumes.
    fn open(&mut self, spec: &AllocationSpec, volumes: &[MountedVolume]);
    /// Puts tasks of a batch into the queue of an allocation: so many, from this one of it on. News of them follow.
    fn enqueue(&mut self, allocation: TaskId, launch: Launch, index: Option<Index>, at: u64, count: u64);
    /// Ends one task in the queue of an allocation, wherever it stands. Its end follows.
    fn kill_queued(&mut self, allocation: TaskId, task: TaskId);
}

/// What knows compiled modules. The compiler, but for tests.
pub(crate) trait Compiles {
    /// The compiled module or why there is none, if that is known already.
    fn known(&self, module: Digest, meter: Meter) -> Option<Result<PathBuf, ModuleError>>;
    /// The framework has no task any more that waits for this module.
    fn unwanted(&self, framework: FrameworkId, module: Digest, meter: Meter);
}

impl Compiles for Compiler {
    fn known(&self, module: Digest, meter: Meter) -> Option<Result<PathBuf, ModuleError>> {
        Self::known(self, module, meter)
    }

    fn unwanted(&self, framework: FrameworkId, module: Digest, meter: Meter) {
        Self::unwanted(self, framework, module, meter);
    }
}

/// A task that never ran.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeverRan {
    pub(crate) task: TaskId,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// What has to be done before tasks can run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Get it from the master.
    Fetch(Digest),
    /// Make machine code of it.
    Compile(Wanted),
    /// Lay out the inputs of these tasks, one after the other.
    LayOut(Vec<(TaskId, Layout)>),
}

/// What follows from news about what tasks wait for.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Began {
    /// To be begun.
    pub(crate) work: Vec<Work>,
    /// Tasks that will never run.
    pub(crate) never_ran: Vec<NeverRan>,
    /// The same of tasks in queues.
    pub(crate) never_queued: Vec<NeverQueued>,
    /// Tasks for which everything has come that they waited for.
    pub(crate) fetched: Vec<TaskId>,
    /// Tasks whose module is compiled that waited for that.
    pub(crate) compiled: Vec<TaskId>,
}

/// Tasks for a queue that never came to an executor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeverQueued {
    /// In the queue of which allocation.
    pub(crate) allocation: TaskId,
    /// How they ended.
    pub(crate) ended: Vec<QueueEnd>,
}

/// The tasks between the order to run them and their end. It belongs to the driver.
pub(crate) struct Runner<E> {
    executor: E,
    compiler: Box<dyn Compiles + Send>,
    artifacts: Artifacts,
    folders: Folders,
    volumes: Volumes,
    agent_name: String,
    /// The form of modules, unless a task needs the other one.
    usual: Meter,
    tasks: HashMap<TaskId, Running>,
    /// Who waits for which artifact; one fetch for each.
    fetching: HashMap<Digest, Vec<TaskId>>,
    /// Who waits for the compilation of which module. Each framework has asked for it by itself, since each stands in a line
    /// of its own for the compiler.
    compiling: HashMap<(FrameworkId, Digest, Meter), Vec<TaskId>>,
    /// Batches in queues of which some tasks have not ended, by the first task of each. What they need is in `tasks`.
    batches: BTreeMap<TaskId, Batch>,
    layouts: Layouts,
    prepared: Prepared,
    /// Records what becomes of them, if anybody wants that.
    traces: Option<Traces>,
}

struct Running {
    /// Artifacts that it keeps from being evicted.
    held: Vec<Digest>,
    /// Whether its inputs may be laid out.
    has_inputs: bool,
    /// Until it is launched. Then its spec is the executor's: arguments, environment and input may have a MiB.
    waiting: Option<Waiting>,
}

/// A task that is not launched yet.
struct Waiting {
    spec: Arc<TaskSpec>,
    meter: Meter,
    /// Artifacts that are being fetched for it.
    missing: usize,
    /// Its compiled module.
    compiled: Option<PathBuf>,
    /// Everything is here, and its inputs are laid out.
    lays_out: bool,
}

impl<E: Runs> Runner<E> {
    pub(crate) fn new(
        executor: E,
        compiler: Box<dyn Compiles + Send>,
        artifacts: Artifacts,
        folders: Folders,
        volumes: Volumes,
        agent_name: String,
        usual: Meter,
    ) -> Self {
        let (tasks, fetching, compiling, batches) = (HashMap::new(), HashMap::new(), HashMap::new(), BTreeMap::new());
        let traces = None;
        Self {
            executor,
            compiler,
            artifacts,
            folders,
            volumes,
            agent_name,
            usual,
            tasks,
            fetching,
            compiling,
            batches,
            layouts: Layouts::default(),
            prepared: Prepared::default(),
            traces,
        }
    }

    /// Launches the task: now when everything is there, else when it has been fetched and compiled. Or it will never
    /// run, because it may not touch what it asks for, or cannot be given it.
    pub(crate) fn run(&mut self, mut spec: Arc<TaskSpec>) -> Began {
        if !self.batches.contains_key(&spec.id) {
            if let Some(traces) = &mut self.traces {
                traces.received(&mut spec);
            }
            traces::hand_over(&mut spec, self.traces.is_some());
        }
        let mut began = Began::default();
        // Nothing is fetched for a task that may not run.
        let may_run = self.folders.granted(&spec).and_then(|_| self.volumes.granted(&spec));
        if let Err(NoFolders { reason, message }) = may_run {
            self.never_ran(spec.id, reason, &message, &mut began);
            return began;
        }
        let (task, module) = (spec.id, spec.module);
        let meter = self.meter(&spec);
        let (mut held, mut missing) = (Vec::new(), 0);
        for digest in needed(&spec) {
            if self.artifacts.hold(digest) {
                held.push(digest);
                self.prepared.artifacts_found += 1;
                continue;
            }
            missing += 1;
            let waiting = self.fetching.entry(digest).or_default();
            if waiting.is_empty() {
                self.artifacts.fetching(digest);
                began.work.push(Work::Fetch(digest));
            }
            waiting.push(task);
        }
        if missing > 0
            && let Some(traces) = &mut self.traces
        {
            traces.fetches(task);
        }
        let module_is_here = held.contains(&module);
        let has_inputs = !spec.inputs.is_empty();
        let waiting = Some(Waiting { spec, meter, missing, compiled: None, lays_out: false });
        self.tasks.insert(task, Running { held, has_inputs, waiting });
        if module_is_here {
            self.compile(task, &mut began);
        }
        began
    }

    /// Holds a queue for this allocation. Gives it back when it cannot be given what its tasks are to have.
    #[must_use]
    pub(crate) fn open(&mut self, spec: &AllocationSpec) -> Option<NeverRan> {
        match self.volumes.allotted(spec) {
            Ok(volumes) => {
                self.executor.open(spec, &volumes);
                None
            }
            Err(NoFolders { reason, message }) => Some(NeverRan { task: spec.id, reason, message }),
        }
    }

    /// The same for tasks of one kind in the queue of an allocation, which need the same.
    pub(crate) fn enqueue(&mut self, allocation: TaskId, QueuedTasks { spec, count, index }: QueuedTasks) -> Began {
        let (count, left) = (u64::from(count), u64::from(count));
        self.batches.insert(spec.id, Batch::new(allocation, index, count, left));
        if let Some(traces) = &mut self.traces {
            traces.queued(&spec);
        }
        self.run(spec)
    }

    /// A fetch is over.
    pub(crate) fn fetched(&mut self, digest: Digest, outcome: Result<Bytes, FetchError>) -> Began {
        let stored = match outcome {
            Ok(size) => {
                self.prepared.fetched_bytes += size.get();
                self.artifacts.fetched(digest, size).map_err(|full| full.to_string())
            }
            Err(error) => {
                self.artifacts.unfetchable(digest);
                Err(error.to_string())
            }
        };
        let counted = &mut self.prepared;
        *if stored.is_ok() { &mut counted.artifacts_fetched } else { &mut counted.artifacts_failed } += 1;
        let mut began = Began::default();
        for task in self.fetching.remove(&digest).unwrap_or_default() {
            if let Err(message) = &stored {
                self.give_up(task, Reason::ArtifactUnavailable, message, &mut began);
                continue;
            }
            let Some(running) = self.tasks.get_mut(&task) else { continue };
            self.artifacts.hold(digest);
            running.held.push(digest);
            let Some(waiting) = &mut running.waiting else { continue };
            waiting.missing -= 1;
            if waiting.missing == 0 {
                began.fetched.extend((!self.batches.contains_key(&task)).then_some(task));
                if let Some(traces) = &mut self.traces {
                    traces.fetched(task);
                }
            }
            if digest == waiting.spec.module {
                self.compile(task, &mut began);
            } else {
                self.launch_if_ready(task, &mut began);
            }
        }
        began
    }

    /// A compilation is over that this framework asked for.
    pub(crate) fn compiled(
        &mut self,
        framework: FrameworkId,
        module: Digest,
        meter: Meter,
        outcome: &Result<PathBuf, ModuleError>,
    ) -> Began {
        let mut began = Began::default();
        let counted = &mut self.prepared;
        *if outcome.is_ok() { &mut counted.modules_compiled } else { &mut counted.modules_failed } += 1;
        for task in self.compiling.remove(&(framework, module, meter)).unwrap_or_default() {
            let waits = outcome.is_ok() && self.waiting(task).is_some() && !self.batches.contains_key(&task);
            began.compiled.extend(waits.then_some(task));
            self.go_on(task, outcome.clone(), &mut began);
        }
        began
    }

    /// Its module has come. It is compiled even while inputs are still under way.
    fn compile(&mut self, task: TaskId, began: &mut Began) {
        let Some(waiting) = self.waiting(task) else { return };
        let (module, meter, share) = (waiting.spec.module, waiting.meter, waiting.spec.resources.cpus);
        if let Some(outcome) = self.compiler.known(module, meter) {
            self.prepared.modules_found += u64::from(outcome.is_ok());
            return self.go_on(task, outcome, began);
        }
        if let Some(traces) = &mut self.traces {
            traces.compiles(task);
        }
        let framework = task.framework;
        let waiting = self.compiling.entry((framework, module, meter)).or_default();
        if waiting.is_empty() {
            let path = self.artifacts.path(module);
            began.work.push(Work::Compile(Wanted { framework, module, path, meter, share }));
        }
        waiting.push(task);
    }

    fn go_on(&mut self, task: TaskId, outcome: Result<PathBuf, ModuleError>, began: &mut Began) {
        match outcome {
            Ok(path) => {
                let Some(waiting) = self.waiting(task) else { return };
                waiting.compiled = Some(path);
                if let Some(traces) = &mut self.traces {
                    traces.compiled(task);
                }
                self.launch_if_ready(task, began);
            }
            Err(error) => self.give_up(task, error.reason(), &error.to_string(), began),
        }
    }

    fn give_up(&mut self, task: TaskId, reason: Reason, message: &str, began: &mut Began) {
        if self.forget(task).is_some() {
            self.never_ran(task, reason, message, began);
        }
    }

    /// It will never run; of a batch, none of those that are left.
    fn never_ran(&mut self, task: TaskId, reason: Reason, message: &str, began: &mut Began) {
        match self.batches.remove(&task) {
            Some(batch) => {
                let never_ran = batch.never_ran(task, TaskState::Failed, reason, message);
                self.trace_never_ran(task, &never_ran);
                began.never_queued.push(never_ran);
            }
            None => began.never_ran.push(NeverRan { task, reason, message: message.to_owned() }),
        }
    }

    /// Has what becomes of tasks recorded.
    pub(crate) fn trace(&mut self, traces: Traces) {
        self.traces = Some(traces);
    }

    /// What records that, if anybody wants it.
    pub(crate) fn traces(&mut self) -> Option<&mut Traces> {
        self.traces.as_mut()
    }

    /// Ends the task. Gives it back at once when it had not been launched; else its end follows from the executor.
    #[must_use]
    pub(crate) fn stop(&mut self, task: TaskId, why: Stop) -> Option<NeverRan> {
        if self.tasks.get(&task)?.waiting.is_none() {
            self.executor.kill(task, why);
            return None;
        }
        self.forget(task)?;
        Some(NeverRan { task, reason: Reason::KillRequested, message: KILLED.to_owned() })
    }

    fn meter(&self, spec: &TaskSpec) -> Meter {
        if spec.limits.fuel.is_some() { Meter::Fuel } else { self.usual }
    }

    /// A task that an earlier agent launched runs on. Whether it has inputs is not known.
    pub(crate) fn recovered(&mut self, task: TaskId) {
        self.tasks.insert(task, Running { held: Vec::new(), has_inputs: true, waiting: None });
    }

    /// Whether something is fetched or compiled before it is launched.
    pub(crate) fn prepares(&self, task: TaskId) -> bool {
        let waiting = self.tasks.get(&task).and_then(|running| running.waiting.as_ref());
        waiting.is_some_and(|waiting| !waiting.lays_out)
    }

    /// The volumes that they may mount.
    pub(crate) fn volumes(&mut self) -> &mut Volumes {
        &mut self.volumes
    }

    /// What is counted of all that tasks need.
    pub(crate) fn counters(&mut self) -> Counters {
        let (artifacts, artifact_bytes, artifact_bytes_max) = self.artifacts.fill();
        let prepared = self.prepared;
        let mut counters = Counters { prepared, artifacts, artifact_bytes, artifact_bytes_max, ..Counters::default() };
        self.executor.count(&mut counters);
        counters
    }

    /// Where the tasks run.
    pub(crate) fn executor(&mut self) -> &mut E {
        &mut self.executor
    }

    /// The task has ended: what it held may go.
    pub(crate) fn ended(&mut self, task: TaskId) {
        self.forget(task);
    }

    fn forget(&mut self, task: TaskId) -> Option<Running> {
        let running = self.tasks.remove(&task)?;
        for &digest in &running.held {
            self.artifacts.release(digest);
        }
        if running.has_inputs {
            self.layouts.forget(task);
            // Else it goes when it is whole: nobody makes it again behind us then.
            if !self.layouts.is_under_way(task) {
                self.folders.remove(task);
            }
        }
        if let Some(Waiting { spec, meter, compiled: None, .. }) = &running.waiting {
            self.waits_no_longer(task.framework, spec.module, *meter);
        }
        Some(running)
    }

    /// Tells the compiler when no task of the framework is left that waits for this module.
    fn waits_no_longer(&self, framework: FrameworkId, module: Digest, meter: Meter) {
        let Some(waiting) = self.compiling.get(&(framework, module, meter)) else { return };
        if !waiting.iter().any(|task| self.tasks.contains_key(task)) {
            self.compiler.unwanted(framework, module, meter);
        }
    }

    fn waiting(&mut self, task: TaskId) -> Option<&mut Waiting> {
        self.tasks.get_mut(&task)?.waiting.as_mut()
    }
}

/// What people are told of a task that was killed before it came to an executor.
const KILLED: &str = "killed while its module or inputs were being fetched or compiled";

/// The artifacts of a task, each once.
fn needed(spec: &TaskSpec) -> Vec<Digest> {
    let mut needed = Vec::with_capacity(1 + spec.inputs.len());
    needed.push(spec.module);
    needed.extend(spec.inputs.iter().map(|input| input.content));
    needed.sort_unstable();
    needed.dedup();
    needed
}
