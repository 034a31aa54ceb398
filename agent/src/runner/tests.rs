mod compiling;
mod inputs;

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;
use std::sync::Mutex;

use haggle_core::{
    AgentId, Folder, FolderSource, FrameworkId, Fuel, Grants, Input, Limits, MilliCpu, Resources, Sharing, VolumeId,
};

use super::*;

mod life;

#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<String>>>);

impl Recorder {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Runs for Recorder {
    fn count(&mut self, _: &mut Counters) {}

    fn launch(&mut self, launch: Launch) {
        assert!(launch.module.exists(), "the module is there");
        assert!(launch.folders.iter().all(|folder| folder.host.exists()), "the inputs are there");
        self.0.borrow_mut().push(format!("launch {}", launch.spec.id));
    }

    fn kill(&mut self, task: TaskId, _: Stop) {
        self.0.borrow_mut().push(format!("kill {task}"));
    }

    fn forget(&mut self, task: TaskId) {
        self.0.borrow_mut().push(format!("forget {task}"));
    }

    fn open(&mut self, spec: &AllocationSpec, _: &[MountedVolume]) {
        self.0.borrow_mut().push(format!("open {}", spec.id));
    }

    fn enqueue(&mut self, allocation: TaskId, launch: Launch, _: Option<Index>, at: u64, count: u64) {
        assert!(launch.module.exists(), "the module is there");
        self.0.borrow_mut().push(format!("{allocation} takes {count} like {} from {at} on", launch.spec.id));
    }

    fn kill_queued(&mut self, allocation: TaskId, task: TaskId) {
        self.0.borrow_mut().push(format!("kill {task} in {allocation}"));
    }
}

/// Knows this of every module, and remembers what nobody wants any more.
#[derive(Clone)]
struct Knows {
    verdict: Arc<Mutex<Option<PathBuf>>>,
    unwanted: Unwanted,
}

type Unwanted = Arc<Mutex<Vec<(FrameworkId, Digest, Meter)>>>;

impl Compiles for Knows {
    fn known(&self, _: Digest, _: Meter) -> Option<Result<PathBuf, ModuleError>> {
        self.verdict.lock().unwrap().clone().map(Ok)
    }

    fn unwanted(&self, framework: FrameworkId, module: Digest, meter: Meter) {
        self.unwanted.lock().unwrap().push((framework, module, meter));
    }
}

struct Fixture {
    runner: Runner<Recorder>,
    executor: Recorder,
    known: Arc<Mutex<Option<PathBuf>>>,
    unwanted: Unwanted,
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
    let unwanted = Unwanted::default();
    let compiler = Box::new(Knows { verdict: Arc::clone(&known), unwanted: Arc::clone(&unwanted) });
    let volumes = dir.path().join("volumes");
    std::fs::create_dir(&volumes).unwrap();
    let volumes = Volumes::open(volumes).unwrap();
    let runner = Runner::new(executor.clone(), compiler, artifacts, folders, volumes, "a".to_owned(), Meter::Epochs);
    Fixture { runner, executor, known, unwanted, file, dir }
}

impl Fixture {
    /// Lays out what is to be laid out, and what follows from that.
    fn lay_out(&mut self, mut began: Began) -> Began {
        while let Some(at) = began.work.iter().position(|work| matches!(work, Work::LayOut(_))) {
            let Work::LayOut(turn) = began.work.remove(at) else { unreachable!("it was just found") };
            for (task, layout) in turn {
                let next = self.runner.laid_out(task, layout.make());
                began.work.extend(next.work);
                began.never_ran.extend(next.never_ran);
                began.never_queued.extend(next.never_queued);
                began.fetched.extend(next.fetched);
                began.compiled.extend(next.compiled);
            }
        }
        began
    }

    fn fetched(&mut self, number: u8, size: u64) -> Vec<NeverRan> {
        fs::write(self.runner.artifacts.path(digest(number)), vec![0; size as usize]).unwrap();
        let began = self.runner.fetched(digest(number), Ok(Bytes::new(size)));
        self.lay_out(began).never_ran
    }

    /// What has to be fetched for it.
    fn run(&mut self, task: Arc<TaskSpec>) -> Vec<Digest> {
        let began = self.runner.run(task);
        let Began { work, never_ran, .. } = self.lay_out(began);
        assert_eq!(never_ran, []);
        let to_fetch = |work| match work {
            Work::Fetch(digest) => digest,
            other => panic!("everything is compiled already, but for {other:?}"),
        };
        work.into_iter().map(to_fetch).collect()
    }

    /// From now on no module is known to be compiled.
    fn knows_nothing(&self) {
        *self.known.lock().unwrap() = None;
    }

    fn compiled(&mut self, number: u8, meter: Meter, outcome: &Result<PathBuf, ModuleError>) -> Vec<NeverRan> {
        let began = self.runner.compiled(FrameworkId(1), digest(number), meter, outcome);
        self.lay_out(began).never_ran
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
        role: String::new(),
        module: digest(module),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::default(),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: inputs.iter().enumerate().map(input).collect(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    })
}

#[test]
fn one_fetch_serves_every_task_that_waits_for_it() {
    let mut fixture = fixture();
    assert_eq!(fixture.run(task(1, 7, &[])), [digest(7)]);
    assert_eq!(fixture.run(task(2, 7, &[])), []);
    assert!(fixture.runner.prepares(id(1)) && fixture.runner.prepares(id(2)));

    assert_eq!(fixture.fetched(7, 10), []);

    assert_eq!(fixture.executor.take(), ["launch task-1.1", "launch task-1.2"]);
    assert!(!fixture.runner.prepares(id(1)) && !fixture.runner.prepares(id(2)));
}

#[test]
fn what_tasks_need_is_counted_by_where_it_came_from() {
    let mut fixture = fixture();
    fixture.run(task(1, 7, &[8]));
    let _ = fixture.fetched(7, 10);
    let _ = fixture.runner.fetched(digest(8), Err(FetchError::NotFound(digest(8))));
    fixture.run(task(2, 7, &[]));
    fixture.knows_nothing();
    let _ = fixture.runner.run(task(3, 7, &[]));
    let _ = fixture.compiled(7, Meter::Epochs, &Ok(fixture.file.clone()));

    let counted = fixture.runner.counters();

    let prepared = Prepared {
        artifacts_found: 2,
        artifacts_fetched: 1,
        artifacts_failed: 1,
        fetched_bytes: 10,
        modules_found: 2,
        modules_compiled: 1,
        modules_failed: 0,
    };
    assert_eq!(counted.prepared, prepared);
    assert_eq!((counted.artifacts, counted.artifact_bytes, counted.artifact_bytes_max), (1, 10, 100));
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

    let stopped = fixture.runner.stop(id(1), Stop::REQUESTED).unwrap();

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

    assert_eq!(fixture.runner.stop(id(1), Stop::REQUESTED), None);
    assert_eq!(fixture.runner.stop(id(9), Stop::REQUESTED), None);

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

    let stopped = fixture.runner.stop(id(1), Stop::REQUESTED).unwrap();

    assert_eq!((stopped.task, stopped.reason), (id(1), Reason::KillRequested));
    let file = fixture.file.clone();
    assert_eq!(fixture.compiled(7, Meter::Epochs, &Ok(file)), []);
    assert_eq!(fixture.executor.take(), [""; 0]);
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
        let _ = fixture.runner.stop(id(1), Stop::REQUESTED);
        let _ = fixture.fetched(1, 10);
        fixture.runner.artifacts.unfetchable(digest(1));
    }
}

#[test]
fn a_task_whose_volume_is_not_here_never_runs_and_one_whose_is_mounts_it() {
    let mut fixture = fixture();
    let volume = VolumeId { agent: AgentId(1), number: 3 };
    let mut spec = TaskSpec::clone(&task(1, 1, &[]));
    let source = FolderSource::Volume { volume, writable: true };
    spec.grants.folders.push(Folder { guest_path: "/data".to_owned(), source });
    let spec = Arc::new(spec);

    let began = fixture.runner.run(Arc::clone(&spec));
    let missing = &began.never_ran[0];
    assert_eq!(missing.reason, Reason::ArtifactUnavailable);
    assert_eq!(missing.message, "volume-1.3 is not on this agent any more");

    fixture.runner.volumes().make(volume, "eng", Bytes::new(9)).unwrap();
    let mounted = fixture.runner.volumes().granted(&spec).unwrap();
    assert_eq!(mounted[0].host, fixture.dir.path().join("volumes/volume-1.3/data"));
    assert_eq!((mounted[0].size, mounted[0].writable), (Bytes::new(9), true));
    assert_eq!(fixture.run(spec), [digest(1)]);
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
        let told = format!("folder {path:?} of the agent's machine is not allowed by its operator (--allow-folder)");
        assert_eq!(never_ran.message, told);
    }
}

fn batch(first: u64, count: u32, module: u8) -> QueuedTasks {
    QueuedTasks { spec: task(first, module, &[]), count, index: None }
}

/// First, how many, and how they ended.
fn ends(never_queued: &[NeverQueued]) -> Vec<(u64, u64, TaskState)> {
    let ended = never_queued.iter().flat_map(|never_queued| &never_queued.ended);
    ended.map(|end| (end.first, end.count, end.ending.state)).collect()
}

#[test]
fn what_a_batch_needs_is_fetched_once_and_goes_with_its_last_task() {
    let mut fixture = fixture();
    let began = fixture.runner.enqueue(id(1), batch(10, 3, 7));
    assert_eq!(began.work, [Work::Fetch(digest(7))]);

    let _ = fixture.fetched(7, 60);
    assert_eq!(fixture.executor.take(), ["task-1.1 takes 3 like task-1.10 from 0 on"]);

    fixture.runner.queued_ended(id(11), 1);
    fixture.runner.queued_ended(id(10), 1);
    fixture.run(task(2, 8, &[]));
    assert!(fixture.fetched(8, 60)[0].message.contains("do not fit"), "the module is still in use");
    fixture.runner.queued_ended(id(12), 1);
    fixture.run(task(3, 8, &[]));
    assert_eq!(fixture.fetched(8, 60), []);
}

#[test]
fn a_task_killed_out_of_a_batch_that_is_fetched_is_left_out() {
    let mut fixture = fixture();
    let _ = fixture.runner.enqueue(id(1), batch(10, 4, 7));

    let killed = fixture.runner.stop_queued(id(1), id(11));

    assert_eq!(ends(killed.as_slice()), [(11, 1, TaskState::Killed)]);
    let _ = fixture.fetched(7, 10);
    let told = fixture.executor.take();
    assert_eq!(told, ["task-1.1 takes 1 like task-1.10 from 0 on", "task-1.1 takes 2 like task-1.10 from 2 on"]);
    assert_eq!(fixture.runner.stop_queued(id(1), id(12)), None);
    assert_eq!(fixture.executor.take(), ["kill task-1.12 in task-1.1"]);
}

#[test]
fn with_its_allocation_a_batch_that_is_fetched_ends() {
    let mut fixture = fixture();
    let _ = fixture.runner.enqueue(id(1), batch(10, 4, 7));
    let _ = fixture.runner.stop_queued(id(1), id(10));

    let ended = fixture.runner.stop_queue(id(1), Stop::REQUESTED);

    assert_eq!(ends(&ended), [(11, 3, TaskState::Killed)]);
    assert_eq!(fixture.fetched(7, 10), []);
    assert_eq!(fixture.executor.take(), ["kill task-1.1"]);
}

#[test]
fn a_module_that_cannot_be_had_fails_all_of_its_batch() {
    let mut fixture = fixture();
    let _ = fixture.runner.enqueue(id(1), batch(10, 4, 7));

    let began = fixture.runner.fetched(digest(7), Err(FetchError::NotFound(digest(7))));

    assert_eq!((began.never_ran.len(), ends(&began.never_queued)), (0, vec![(10, 4, TaskState::Failed)]));
    assert_eq!(began.never_queued[0].ended[0].ending.reason, Some(Reason::ArtifactUnavailable));
}
