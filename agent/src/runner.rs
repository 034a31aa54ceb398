//! What every task needs before it runs, and who gets it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use haggle_core::{Bytes, Digest, FrameworkId, Reason, TaskId, TaskSpec};
use haggle_executor::{Compiler, Launch, Meter, ModuleError};

use crate::artifacts::Artifacts;
use crate::fetch::FetchError;
use crate::folders::{Folders, NoFolders};

/// Where tasks run. The executors, but for tests.
pub(crate) trait Runs {
    /// Runs it. News of it follow.
    fn launch(&mut self, launch: Launch);
    /// Ends it. Its end follows.
    fn kill(&mut self, task: TaskId);
    /// Its end was told and acknowledged.
    fn forget(&mut self, task: TaskId);
}

/// What knows compiled modules. The compiler, but for tests.
pub(crate) trait Compiles {
    /// The compiled module or why there is none, if that is known already.
    fn known(&self, module: Digest, meter: Meter) -> Option<Result<PathBuf, ModuleError>>;
}

impl Compiles for Compiler {
    fn known(&self, module: Digest, meter: Meter) -> Option<Result<PathBuf, ModuleError>> {
        Self::known(self, module, meter)
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
    Compile {
        /// Who wants it.
        framework: FrameworkId,
        module: Digest,
        /// Its bytes.
        path: PathBuf,
        meter: Meter,
    },
}

/// What follows from news about what tasks wait for.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Began {
    /// To be begun.
    pub(crate) work: Vec<Work>,
    /// Tasks that will never run.
    pub(crate) never_ran: Vec<NeverRan>,
}

/// The tasks between the order to run them and their end. It belongs to the driver.
pub(crate) struct Runner<E> {
    executor: E,
    compiler: Box<dyn Compiles + Send>,
    artifacts: Artifacts,
    folders: Folders,
    agent_name: String,
    /// The form of modules, unless a task needs the other one.
    usual: Meter,
    tasks: HashMap<TaskId, Running>,
    /// Who waits for which artifact; one fetch for each.
    fetching: HashMap<Digest, Vec<TaskId>>,
    /// Who waits for the compilation of which module. Each framework has asked for it by itself, since each stands in a line
    /// of its own for the compiler.
    compiling: HashMap<(FrameworkId, Digest, Meter), Vec<TaskId>>,
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
}

impl<E: Runs> Runner<E> {
    pub(crate) fn new(
        executor: E,
        compiler: Box<dyn Compiles + Send>,
        artifacts: Artifacts,
        folders: Folders,
        agent_name: String,
        usual: Meter,
    ) -> Self {
        let (tasks, fetching, compiling) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { executor, compiler, artifacts, folders, agent_name, usual, tasks, fetching, compiling }
    }

    /// Launches the task: now when everything is there, else when it has been fetched and compiled. Or it will never
    /// run, because it may not touch what it asks for, or cannot be given it.
    pub(crate) fn run(&mut self, spec: Arc<TaskSpec>) -> Began {
        let mut began = Began::default();
        // Nothing is fetched for a task that may not run.
        if let Err(why) = self.folders.granted(&spec) {
            began.never_ran.push(NeverRan::without(&spec, why));
            return began;
        }
        let (task, module) = (spec.id, spec.module);
        let meter = self.meter(&spec);
        let (mut held, mut missing) = (Vec::new(), 0);
        for digest in needed(&spec) {
            if self.artifacts.hold(digest) {
                held.push(digest);
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
        let module_is_here = held.contains(&module);
        let has_inputs = !spec.inputs.is_empty();
        let waiting = Some(Waiting { spec, meter, missing, compiled: None });
        self.tasks.insert(task, Running { held, has_inputs, waiting });
        if module_is_here {
            self.compile(task, &mut began);
        }
        began
    }

    /// A fetch is over.
    pub(crate) fn fetched(&mut self, digest: Digest, outcome: Result<Bytes, FetchError>) -> Began {
        let stored = match outcome {
            Ok(size) => self.artifacts.fetched(digest, size).map_err(|full| full.to_string()),
            Err(error) => {
                self.artifacts.unfetchable(digest);
                Err(error.to_string())
            }
        };
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
        for task in self.compiling.remove(&(framework, module, meter)).unwrap_or_default() {
            self.go_on(task, outcome.clone(), &mut began);
        }
        began
    }

    /// Its module has come. It is compiled even while inputs are still under way.
    fn compile(&mut self, task: TaskId, began: &mut Began) {
        let Some(waiting) = self.waiting(task) else { return };
        let (module, meter) = (waiting.spec.module, waiting.meter);
        if let Some(outcome) = self.compiler.known(module, meter) {
            return self.go_on(task, outcome, began);
        }
        let framework = task.framework;
        let waiting = self.compiling.entry((framework, module, meter)).or_default();
        if waiting.is_empty() {
            began.work.push(Work::Compile { framework, module, path: self.artifacts.path(module), meter });
        }
        waiting.push(task);
    }

    fn go_on(&mut self, task: TaskId, outcome: Result<PathBuf, ModuleError>, began: &mut Began) {
        match outcome {
            Ok(path) => {
                let Some(waiting) = self.waiting(task) else { return };
                waiting.compiled = Some(path);
                self.launch_if_ready(task, began);
            }
            Err(error) => self.give_up(task, error.reason(), &error.to_string(), began),
        }
    }

    fn give_up(&mut self, task: TaskId, reason: Reason, message: &str, began: &mut Began) {
        if self.forget(task).is_some() {
            began.never_ran.push(NeverRan { task, reason, message: message.to_owned() });
        }
    }

    /// Ends the task. Gives it back at once when it had not been launched; else its end follows from the executor.
    #[must_use]
    pub(crate) fn stop(&mut self, task: TaskId) -> Option<NeverRan> {
        if self.tasks.get(&task)?.waiting.is_none() {
            self.executor.kill(task);
            return None;
        }
        self.forget(task)?;
        let message = "killed while its module or inputs were being fetched or compiled".to_owned();
        Some(NeverRan { task, reason: Reason::KillRequested, message })
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
        self.tasks.get(&task).is_some_and(|running| running.waiting.is_some())
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
            self.folders.remove(task);
        }
        Some(running)
    }

    fn waiting(&mut self, task: TaskId) -> Option<&mut Waiting> {
        self.tasks.get_mut(&task)?.waiting.as_mut()
    }

    fn launch_if_ready(&mut self, task: TaskId, began: &mut Began) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        let ready = running.waiting.take_if(|waiting| waiting.missing == 0 && waiting.compiled.is_some());
        let Some(Waiting { spec, meter, compiled: Some(module), .. }) = ready else { return };
        let laid_out = self.folders.granted(&spec).and_then(|granted| {
            let laid_out = self.folders.lay_out(&spec, |content| self.artifacts.path(content))?;
            Ok((laid_out.folders.into_iter().chain(granted).collect(), laid_out.copies))
        });
        match laid_out {
            Ok((folders, copies)) => {
                let env = told(&spec, &self.agent_name);
                self.executor.launch(Launch { module, meter, folders, copies, env, spec });
            }
            Err(NoFolders { reason, message }) => self.give_up(task, reason, &message, began),
        }
    }
}

impl NeverRan {
    fn without(spec: &TaskSpec, NoFolders { reason, message }: NoFolders) -> Self {
        Self { task: spec.id, reason, message }
    }
}

/// What a task is told of where it runs, unless it wants to be told nothing.
fn told(spec: &TaskSpec, agent_name: &str) -> Vec<(String, String)> {
    if spec.grants.anonymous {
        return Vec::new();
    }
    vec![("HAGGLE_TASK_ID".to_owned(), spec.id.to_string()), ("HAGGLE_AGENT".to_owned(), agent_name.to_owned())]
}

/// The artifacts of a task, each once.
fn needed(spec: &TaskSpec) -> Vec<Digest> {
    let mut needed = Vec::with_capacity(1 + spec.inputs.len());
    needed.push(spec.module);
    needed.extend(spec.inputs.iter().map(|input| input.content));
    needed.sort_unstable();
    needed.dedup();
    needed
}

#[cfg(test)]
mod tests;
