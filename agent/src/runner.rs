//! What every task needs before it runs, and who gets it.

use std::collections::HashMap;
use std::sync::Arc;

use haggle_core::{Bytes, Digest, Reason, TaskId, TaskSpec};
use haggle_executor::{Launch, Meter};

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

/// A task that never ran.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeverRan {
    pub(crate) task: TaskId,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// The tasks between the order to run them and their end. It belongs to the driver.
pub(crate) struct Runner<E> {
    executor: E,
    artifacts: Artifacts,
    folders: Folders,
    agent_name: String,
    tasks: HashMap<TaskId, Running>,
    /// Who waits for which artifact; one fetch for each.
    awaited: HashMap<Digest, Vec<TaskId>>,
}

struct Running {
    spec: Arc<TaskSpec>,
    /// Artifacts that it keeps from being evicted.
    held: Vec<Digest>,
    /// Artifacts that are being fetched for it. It runs when there are none.
    missing: usize,
}

impl<E: Runs> Runner<E> {
    pub(crate) fn new(executor: E, artifacts: Artifacts, folders: Folders, agent_name: String) -> Self {
        Self { executor, artifacts, folders, agent_name, tasks: HashMap::new(), awaited: HashMap::new() }
    }

    /// Launches the task, now when everything is there, else when it has been fetched. Gives the artifacts of which
    /// the fetching has to begin.
    ///
    /// # Errors
    /// When it may not touch what it asks for, or cannot be given it.
    pub(crate) fn run(&mut self, spec: Arc<TaskSpec>) -> Result<Vec<Digest>, NeverRan> {
        // Nothing is fetched for a task that may not run.
        self.folders.granted(&spec).map_err(|why| NeverRan::without(&spec, why))?;
        let mut to_fetch = Vec::new();
        let mut running = Running { held: Vec::new(), missing: 0, spec };
        for digest in needed(&running.spec) {
            if self.artifacts.hold(digest) {
                running.held.push(digest);
                continue;
            }
            running.missing += 1;
            let waiting = self.awaited.entry(digest).or_default();
            if waiting.is_empty() {
                self.artifacts.fetching(digest);
                to_fetch.push(digest);
            }
            waiting.push(running.spec.id);
        }
        let (ready, spec) = (running.missing == 0, Arc::clone(&running.spec));
        self.tasks.insert(spec.id, running);
        if ready {
            self.launch(&spec)?;
        }
        Ok(to_fetch)
    }

    /// A fetch is over. Launches the tasks that waited for nothing else, or gives those that will never run.
    #[must_use]
    pub(crate) fn fetched(&mut self, digest: Digest, outcome: Result<Bytes, FetchError>) -> Vec<NeverRan> {
        let stored = match outcome {
            Ok(size) => self.artifacts.fetched(digest, size).map_err(|full| full.to_string()),
            Err(error) => {
                self.artifacts.unfetchable(digest);
                Err(error.to_string())
            }
        };
        let waiting = self.awaited.remove(&digest).unwrap_or_default();
        if let Err(message) = stored {
            let never_ran = |task| {
                self.forget(task).map(|_| NeverRan {
                    task,
                    reason: Reason::ArtifactUnavailable,
                    message: message.clone(),
                })
            };
            return waiting.into_iter().filter_map(never_ran).collect();
        }
        let mut never_ran = Vec::new();
        for task in waiting {
            let Some(running) = self.tasks.get_mut(&task) else { continue };
            self.artifacts.hold(digest);
            running.held.push(digest);
            running.missing -= 1;
            if running.missing == 0 {
                let spec = Arc::clone(&running.spec);
                never_ran.extend(self.launch(&spec).err());
            }
        }
        never_ran
    }

    /// Ends the task. Gives it back at once when it had not been launched; else its end follows from the executor.
    #[must_use]
    pub(crate) fn stop(&mut self, task: TaskId) -> Option<NeverRan> {
        if self.tasks.get(&task)?.missing == 0 {
            self.executor.kill(task);
            return None;
        }
        self.forget(task)?;
        let message = "killed while its module or inputs were being fetched".to_owned();
        Some(NeverRan { task, reason: Reason::KillRequested, message })
    }

    /// A task that an earlier agent launched runs on.
    pub(crate) fn recovered(&mut self, spec: Arc<TaskSpec>) {
        self.tasks.insert(spec.id, Running { spec, held: Vec::new(), missing: 0 });
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

    fn launch(&mut self, spec: &Arc<TaskSpec>) -> Result<(), NeverRan> {
        let laid_out = self.folders.granted(spec).and_then(|granted| {
            let laid_out = self.folders.lay_out(spec, |content| self.artifacts.path(content))?;
            Ok((laid_out.folders.into_iter().chain(granted).collect(), laid_out.copies))
        });
        let (folders, copies) = laid_out.map_err(|why| {
            self.forget(spec.id);
            NeverRan::without(spec, why)
        })?;
        self.executor.launch(Launch {
            module: self.artifacts.path(spec.module),
            meter: Meter::Fuel,
            folders,
            copies,
            env: told(spec, &self.agent_name),
            spec: Arc::clone(spec),
        });
        Ok(())
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

    use haggle_core::{Folder, FolderSource, FrameworkId, Grants, Input, Limits, Resources, Sharing};

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

    struct Fixture {
        runner: Runner<Recorder>,
        executor: Recorder,
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
        Fixture { runner: Runner::new(executor.clone(), artifacts, folders, "a".to_owned()), executor, dir }
    }

    impl Fixture {
        fn fetched(&mut self, number: u8, size: u64) -> Vec<NeverRan> {
            fs::write(self.runner.artifacts.path(digest(number)), vec![0; size as usize]).unwrap();
            self.runner.fetched(digest(number), Ok(Bytes::new(size)))
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
        assert_eq!(fixture.runner.run(task(1, 7, &[])).unwrap(), [digest(7)]);
        assert_eq!(fixture.runner.run(task(2, 7, &[])).unwrap(), []);

        assert_eq!(fixture.fetched(7, 10), []);

        assert_eq!(fixture.executor.take(), ["launch task-1.1", "launch task-1.2"]);
    }

    #[test]
    fn a_task_whose_artifacts_are_there_is_launched_at_once() {
        let mut fixture = fixture();
        fixture.runner.run(task(1, 7, &[])).unwrap();
        let _ = fixture.fetched(7, 10);
        fixture.executor.take();

        assert_eq!(fixture.runner.run(task(2, 7, &[])).unwrap(), []);

        assert_eq!(fixture.executor.take(), ["launch task-1.2"]);
    }

    #[test]
    fn a_task_waits_for_its_last_artifact() {
        let mut fixture = fixture();
        assert_eq!(fixture.runner.run(task(1, 1, &[2, 3, 2, 1])).unwrap(), [digest(1), digest(2), digest(3)]);

        let _ = fixture.fetched(2, 10);
        let _ = fixture.fetched(1, 10);
        assert_eq!(fixture.executor.take(), [""; 0]);
        let _ = fixture.fetched(3, 10);

        assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
    }

    #[test]
    fn a_missing_artifact_ends_everyone_who_waits_for_it() {
        let mut fixture = fixture();
        fixture.runner.run(task(1, 1, &[2])).unwrap();
        fixture.runner.run(task(2, 2, &[])).unwrap();
        fixture.runner.run(task(3, 1, &[])).unwrap();

        let never_ran = fixture.runner.fetched(digest(2), Err(FetchError::NotFound(digest(2))));

        let told: Vec<_> = never_ran.iter().map(|task| (task.task, task.reason)).collect();
        assert_eq!(told, [(id(1), Reason::ArtifactUnavailable), (id(2), Reason::ArtifactUnavailable)]);
        assert!(never_ran[0].message.contains("has no artifact sha256:0202"), "{}", never_ran[0].message);
        let _ = fixture.fetched(1, 10);
        assert_eq!(fixture.executor.take(), ["launch task-1.3"]);
    }

    #[test]
    fn a_task_stopped_while_it_waits_is_never_launched() {
        let mut fixture = fixture();
        fixture.runner.run(task(1, 1, &[])).unwrap();

        let stopped = fixture.runner.stop(id(1)).unwrap();

        assert_eq!((stopped.task, stopped.reason), (id(1), Reason::KillRequested));
        assert_eq!(fixture.fetched(1, 10), []);
        assert_eq!(fixture.executor.take(), [""; 0]);
    }

    #[test]
    fn a_launched_task_is_stopped_by_the_executor() {
        let mut fixture = fixture();
        fixture.runner.run(task(1, 1, &[])).unwrap();
        let _ = fixture.fetched(1, 10);
        fixture.executor.take();

        assert_eq!(fixture.runner.stop(id(1)), None);
        assert_eq!(fixture.runner.stop(id(9)), None);

        assert_eq!(fixture.executor.take(), ["kill task-1.1"]);
    }

    #[test]
    fn artifacts_may_go_once_their_tasks_have_ended() {
        let mut fixture = fixture();
        fixture.runner.run(task(1, 1, &[])).unwrap();
        let _ = fixture.fetched(1, 60);
        fixture.runner.run(task(2, 2, &[])).unwrap();
        let refused = fixture.fetched(2, 60);
        assert!(refused[0].message.contains("do not fit"), "{}", refused[0].message);

        fixture.runner.ended(id(1));

        fixture.runner.run(task(3, 2, &[])).unwrap();
        assert_eq!(fixture.fetched(2, 60), []);
        assert_eq!(fixture.executor.take(), ["launch task-1.1", "launch task-1.3"]);
    }
    #[test]
    fn inputs_are_laid_out_for_a_task_and_gone_with_it() {
        let mut fixture = fixture();
        let place = fixture.dir.path().join("inputs/framework-1/task-1.1");
        fixture.runner.run(task(1, 1, &[2])).unwrap();
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
            assert_eq!(fixture.runner.run(wants_to_read(path.to_str().unwrap())).unwrap(), [digest(1)]);
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
            let never_ran = fixture.runner.run(wants_to_read(&path)).unwrap_err();

            assert_eq!((never_ran.task, never_ran.reason), (id(1), Reason::TaskInvalid));
            let told =
                format!("folder {path:?} of the agent's machine is not allowed by its operator (--allow-folder)");
            assert_eq!(never_ran.message, told);
        }
    }
}
