//! What every task needs before it runs, and who gets it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use haggle_core::{Bytes, Digest, Reason, TaskId, TaskSpec};
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
    /// Who waits for the compilation of which module.
    compiling: HashMap<(Digest, Meter), Vec<TaskId>>,
}

struct Running {
    spec: Arc<TaskSpec>,
    meter: Meter,
    /// Artifacts that it keeps from being evicted.
    held: Vec<Digest>,
    /// Artifacts that are being fetched for it.
    missing: usize,
    /// Its compiled module.
    compiled: Option<PathBuf>,
    launched: bool,
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
        let mut running = Running { held: Vec::new(), missing: 0, compiled: None, launched: false, meter, spec };
        for digest in needed(&running.spec) {
            if self.artifacts.hold(digest) {
                running.held.push(digest);
                continue;
            }
            running.missing += 1;
            let waiting = self.fetching.entry(digest).or_default();
            if waiting.is_empty() {
                self.artifacts.fetching(digest);
                began.work.push(Work::Fetch(digest));
            }
            waiting.push(task);
        }
        let module_is_here = running.held.contains(&module);
        self.tasks.insert(task, running);
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
            running.missing -= 1;
            if digest == running.spec.module {
                self.compile(task, &mut began);
            } else {
                self.launch_if_ready(task, &mut began);
            }
        }
        began
    }

    /// A compilation is over.
    pub(crate) fn compiled(&mut self, module: Digest, meter: Meter, outcome: &Result<PathBuf, ModuleError>) -> Began {
        let mut began = Began::default();
        for task in self.compiling.remove(&(module, meter)).unwrap_or_default() {
            self.go_on(task, outcome.clone(), &mut began);
        }
        began
    }

    /// Its module has come. It is compiled even while inputs are still under way.
    fn compile(&mut self, task: TaskId, began: &mut Began) {
        let Some(running) = self.tasks.get(&task) else { return };
        let (module, meter) = (running.spec.module, running.meter);
        if let Some(outcome) = self.compiler.known(module, meter) {
            return self.go_on(task, outcome, began);
        }
        let waiting = self.compiling.entry((module, meter)).or_default();
        if waiting.is_empty() {
            began.work.push(Work::Compile { module, path: self.artifacts.path(module), meter });
        }
        waiting.push(task);
    }

    fn go_on(&mut self, task: TaskId, outcome: Result<PathBuf, ModuleError>, began: &mut Began) {
        match outcome {
            Ok(path) => {
                let Some(running) = self.tasks.get_mut(&task) else { return };
                running.compiled = Some(path);
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
        if self.tasks.get(&task)?.launched {
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

    /// A task that an earlier agent launched runs on.
    pub(crate) fn recovered(&mut self, spec: Arc<TaskSpec>) {
        let meter = self.meter(&spec);
        let running = Running { held: Vec::new(), missing: 0, compiled: None, launched: true, meter, spec };
        self.tasks.insert(running.spec.id, running);
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
        self.folders.remove(&running.spec);
        Some(running)
    }

    fn launch_if_ready(&mut self, task: TaskId, began: &mut Began) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        if running.missing > 0 {
            return;
        }
        let Some(module) = running.compiled.take() else { return };
        running.launched = true;
        let (spec, meter) = (Arc::clone(&running.spec), running.meter);
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
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::rc::Rc;
    use std::sync::Mutex;

    use haggle_core::{Folder, FolderSource, FrameworkId, Fuel, Grants, Input, Limits, Resources, Sharing};

    use super::*;

    #[derive(Clone, Default)]
    struct Recorder(Rc<RefCell<Vec<String>>>);

    impl Recorder {
        fn take(&self) -> Vec<String> {
            self.0.take()
        }
    }

    impl Runs for Recorder {
        fn launch(&mut self, launch: Launch) {
            assert!(launch.module.exists(), "the module is there");
            assert!(launch.folders.iter().all(|folder| folder.host.exists()), "the inputs are there");
            self.0.borrow_mut().push(format!("launch {}", launch.spec.id));
        }

        fn kill(&mut self, task: TaskId) {
            self.0.borrow_mut().push(format!("kill {task}"));
        }

        fn forget(&mut self, task: TaskId) {
            self.0.borrow_mut().push(format!("forget {task}"));
        }
    }

    /// Knows this of every module.
    #[derive(Clone)]
    struct Knows(Arc<Mutex<Option<PathBuf>>>);

    impl Compiles for Knows {
        fn known(&self, _: Digest, _: Meter) -> Option<Result<PathBuf, ModuleError>> {
            self.0.lock().unwrap().clone().map(Ok)
        }
    }

    struct Fixture {
        runner: Runner<Recorder>,
        executor: Recorder,
        known: Arc<Mutex<Option<PathBuf>>>,
        /// A compiled module.
        file: PathBuf,
        dir: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let (inputs, allowed) = (dir.path().join("inputs"), dir.path().join("allowed"));
        fs::create_dir_all(allowed.join("below")).unwrap();
        let artifacts = dir.path().join("artifacts");
        fs::create_dir(&artifacts).unwrap();
        let artifacts = Artifacts::open(artifacts, Bytes::new(100)).unwrap();
        let folders = Folders::new(inputs, &[allowed]).unwrap();
        let executor = Recorder::default();
        let file = dir.path().join("compiled");
        fs::write(&file, "machine code").unwrap();
        let known = Arc::new(Mutex::new(Some(file.clone())));
        let compiler = Box::new(Knows(Arc::clone(&known)));
        let runner = Runner::new(executor.clone(), compiler, artifacts, folders, "a".to_owned(), Meter::Epochs);
        Fixture { runner, executor, known, file, dir }
    }

    impl Fixture {
        fn fetched(&mut self, number: u8, size: u64) -> Vec<NeverRan> {
            fs::write(self.runner.artifacts.path(digest(number)), vec![0; size as usize]).unwrap();
            self.runner.fetched(digest(number), Ok(Bytes::new(size))).never_ran
        }

        /// What has to be fetched for it.
        fn run(&mut self, task: Arc<TaskSpec>) -> Vec<Digest> {
            let Began { work, never_ran } = self.runner.run(task);
            assert_eq!(never_ran, []);
            let to_fetch = |work| match work {
                Work::Fetch(digest) => digest,
                compile @ Work::Compile { .. } => panic!("everything is compiled already, but for {compile:?}"),
            };
            work.into_iter().map(to_fetch).collect()
        }

        /// From now on no module is known to be compiled.
        fn knows_nothing(&self) {
            *self.known.lock().unwrap() = None;
        }

        fn compiled(&mut self, number: u8, meter: Meter, outcome: &Result<PathBuf, ModuleError>) -> Vec<NeverRan> {
            self.runner.compiled(digest(number), meter, outcome).never_ran
        }
    }

    fn digest(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn id(number: u64) -> TaskId {
        TaskId { framework: FrameworkId(1), number }
    }

    fn task(number: u64, module: u8, inputs: &[u8]) -> Arc<TaskSpec> {
        let input =
            |(at, &content): (usize, &u8)| Input { guest_path: format!("/{at}.{content}"), content: digest(content) };
        Arc::new(TaskSpec {
            id: id(number),
            name: String::new(),
            module: digest(module),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            resources: Resources::default(),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: inputs.iter().enumerate().map(input).collect(),
            grants: Grants::default(),
        })
    }

    #[test]
    fn one_fetch_serves_every_task_that_waits_for_it() {
        let mut fixture = fixture();
        assert_eq!(fixture.run(task(1, 7, &[])), [digest(7)]);
        assert_eq!(fixture.run(task(2, 7, &[])), []);

        assert_eq!(fixture.fetched(7, 10), []);

        assert_eq!(fixture.executor.take(), ["launch task-1.1", "launch task-1.2"]);
    }

    #[test]
    fn a_task_whose_artifacts_are_there_is_launched_at_once() {
        let mut fixture = fixture();
        fixture.run(task(1, 7, &[]));
        let _ = fixture.fetched(7, 10);
        fixture.executor.take();

        assert_eq!(fixture.run(task(2, 7, &[])), []);

        assert_eq!(fixture.executor.take(), ["launch task-1.2"]);
    }

    #[test]
    fn a_task_waits_for_its_last_artifact() {
        let mut fixture = fixture();
        assert_eq!(fixture.run(task(1, 1, &[2, 3, 2, 1])), [digest(1), digest(2), digest(3)]);

        let _ = fixture.fetched(2, 10);
        let _ = fixture.fetched(1, 10);
        assert_eq!(fixture.executor.take(), [""; 0]);
        let _ = fixture.fetched(3, 10);

        assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
    }

    #[test]
    fn a_missing_artifact_ends_everyone_who_waits_for_it() {
        let mut fixture = fixture();
        fixture.run(task(1, 1, &[2]));
        fixture.run(task(2, 2, &[]));
        fixture.run(task(3, 1, &[]));

        let never_ran = fixture.runner.fetched(digest(2), Err(FetchError::NotFound(digest(2)))).never_ran;

        let told: Vec<_> = never_ran.iter().map(|task| (task.task, task.reason)).collect();
        assert_eq!(told, [(id(1), Reason::ArtifactUnavailable), (id(2), Reason::ArtifactUnavailable)]);
        assert!(never_ran[0].message.contains("has no artifact sha256:0202"), "{}", never_ran[0].message);
        let _ = fixture.fetched(1, 10);
        assert_eq!(fixture.executor.take(), ["launch task-1.3"]);
    }

    #[test]
    fn a_task_stopped_while_it_waits_is_never_launched() {
        let mut fixture = fixture();
        fixture.run(task(1, 1, &[]));

        let stopped = fixture.runner.stop(id(1)).unwrap();

        assert_eq!((stopped.task, stopped.reason), (id(1), Reason::KillRequested));
        assert_eq!(fixture.fetched(1, 10), []);
        assert_eq!(fixture.executor.take(), [""; 0]);
    }

    #[test]
    fn a_launched_task_is_stopped_by_the_executor() {
        let mut fixture = fixture();
        fixture.run(task(1, 1, &[]));
        let _ = fixture.fetched(1, 10);
        fixture.executor.take();

        assert_eq!(fixture.runner.stop(id(1)), None);
        assert_eq!(fixture.runner.stop(id(9)), None);

        assert_eq!(fixture.executor.take(), ["kill task-1.1"]);
    }

    #[test]
    fn artifacts_may_go_once_their_tasks_have_ended() {
        let mut fixture = fixture();
        fixture.run(task(1, 1, &[]));
        let _ = fixture.fetched(1, 60);
        fixture.run(task(2, 2, &[]));
        let refused = fixture.fetched(2, 60);
        assert!(refused[0].message.contains("do not fit"), "{}", refused[0].message);

        fixture.runner.ended(id(1));

        fixture.run(task(3, 2, &[]));
        assert_eq!(fixture.fetched(2, 60), []);
        assert_eq!(fixture.executor.take(), ["launch task-1.1", "launch task-1.3"]);
    }

    #[test]
    fn one_compilation_serves_every_task_that_waits_for_it() {
        let mut fixture = fixture();
        fixture.knows_nothing();
        let _ = fixture.run(task(1, 7, &[]));
        let _ = fixture.run(task(2, 7, &[8]));
        fs::write(fixture.runner.artifacts.path(digest(7)), "wasm").unwrap();

        let began = fixture.runner.fetched(digest(7), Ok(Bytes::new(4)));

        let path = fixture.runner.artifacts.path(digest(7));
        assert_eq!(began.work, [Work::Compile { module: digest(7), path, meter: Meter::Epochs }]);
        assert_eq!(fixture.executor.take(), [""; 0]);
        let file = fixture.file.clone();
        assert_eq!(fixture.compiled(7, Meter::Epochs, &Ok(file)), []);
        assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
        assert_eq!(fixture.fetched(8, 10), []);
        assert_eq!(fixture.executor.take(), ["launch task-1.2"]);
    }

    #[test]
    fn a_task_with_a_fuel_limit_has_a_module_that_counts_it() {
        let mut fixture = fixture();
        let _ = fixture.run(task(1, 7, &[]));
        let _ = fixture.fetched(7, 10);
        fixture.knows_nothing();
        let mut spec = TaskSpec::clone(&task(2, 7, &[]));
        spec.limits.fuel = Some(Fuel::new(1));

        let began = fixture.runner.run(Arc::new(spec));

        let path = fixture.runner.artifacts.path(digest(7));
        assert_eq!(began.work, [Work::Compile { module: digest(7), path, meter: Meter::Fuel }]);
    }

    #[test]
    fn a_module_that_is_refused_ends_everyone_who_waits_for_it() {
        let mut fixture = fixture();
        fixture.knows_nothing();
        let _ = fixture.run(task(1, 7, &[]));
        let _ = fixture.fetched(7, 10);
        let error = ModuleError::Invalid("not a valid module: no".to_owned());

        let never_ran = fixture.compiled(7, Meter::Epochs, &Err(error));

        let message = "not a valid module: no".to_owned();
        assert_eq!(never_ran, [NeverRan { task: id(1), reason: Reason::ModuleInvalid, message }]);
    }

    #[test]
    fn a_task_stopped_while_its_module_is_compiled_is_never_launched() {
        let mut fixture = fixture();
        fixture.knows_nothing();
        let _ = fixture.run(task(1, 7, &[]));
        let _ = fixture.fetched(7, 10);

        let stopped = fixture.runner.stop(id(1)).unwrap();

        assert_eq!((stopped.task, stopped.reason), (id(1), Reason::KillRequested));
        let file = fixture.file.clone();
        assert_eq!(fixture.compiled(7, Meter::Epochs, &Ok(file)), []);
        assert_eq!(fixture.executor.take(), [""; 0]);
    }

    #[test]
    fn inputs_are_laid_out_for_a_task_and_gone_with_it() {
        let mut fixture = fixture();
        let place = fixture.dir.path().join("inputs/framework-1/task-1.1");
        fixture.run(task(1, 1, &[2]));
        let _ = fixture.fetched(1, 10);

        let _ = fixture.fetched(2, 10);

        assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
        assert_eq!(fs::read(place.join("0/0.2")).unwrap(), [0; 10]);
        fixture.runner.ended(id(1));
        assert!(!place.exists());
    }

    fn wants_to_read(path: &str) -> Arc<TaskSpec> {
        let mut spec = TaskSpec::clone(&task(1, 1, &[]));
        let source = FolderSource::Host(path.to_owned());
        spec.grants.folders.push(Folder { guest_path: "/host".to_owned(), source });
        Arc::new(spec)
    }

    #[test]
    fn a_task_may_read_below_folders_that_an_operator_allows() {
        let mut fixture = fixture();
        let allowed = fixture.dir.path().join("allowed");

        for path in [allowed.join("below"), allowed] {
            assert_eq!(fixture.run(wants_to_read(path.to_str().unwrap())), [digest(1)]);
            let _ = fixture.runner.stop(id(1));
            let _ = fixture.fetched(1, 10);
            fixture.runner.artifacts.unfetchable(digest(1));
        }
    }

    #[test]
    fn a_task_that_wants_to_read_elsewhere_never_runs() {
        let mut fixture = fixture();
        let above = fixture.dir.path().to_str().unwrap().to_owned();
        let detour = format!("{above}/allowed/link");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&above, &detour).unwrap();

        for path in [above.clone(), detour, format!("{above}/allowed-not"), "/nowhere".to_owned()] {
            let began = fixture.runner.run(wants_to_read(&path));
            let never_ran = &began.never_ran[0];

            assert_eq!((never_ran.task, never_ran.reason), (id(1), Reason::TaskInvalid));
            let told =
                format!("folder {path:?} of the agent's machine is not allowed by its operator (--allow-folder)");
            assert_eq!(never_ran.message, told);
        }
    }
}
