//! One executor for all inputs of a fuzz target, and what must hold of every task that it runs.

#![cfg(feature = "guests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use haggle_core::{
    Bytes, Digest, Ending, FrameworkId, Fuel, Grants, Limits, MilliCpu, Reason, Resources, Sharing, TaskId, TaskSpec,
    TaskState,
};
use haggle_executor::{Config, Event, Executor, Launch, Meter, ModuleError, Stream, compile_here};
use tempfile::TempDir;

/// A task ends within this much of its time limit, however busy the machine is.
const LATE_AT_MOST: Duration = Duration::from_secs(5);

/// The imports and helpers of the hostile guests' tests.
pub const PRELUDE: &str = include_str!("../../tests/hostile/prelude.wat");

/// Small quotas, so that they are met.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    pub mem: Bytes,
    pub disk: Bytes,
    pub output: Bytes,
    /// None: preempted by epochs and ended by its time.
    pub fuel: Option<Fuel>,
    pub time: Duration,
}

impl Quotas {
    /// Which form of a module can hold them.
    pub fn meter(&self) -> Meter {
        if self.fuel.is_some() { Meter::Fuel } else { Meter::Epochs }
    }
}

impl<'a> Arbitrary<'a> for Quotas {
    fn arbitrary(random: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const FUEL: [Option<u64>; 8] =
            [Some(0), Some(1), Some(1_000), Some(50_000), Some(50_000), Some(1_500_000), Some(1_500_000), None];
        let mut choose = |from: &[u64]| Ok::<_, arbitrary::Error>(*random.choose(from)?);
        Ok(Self {
            mem: Bytes::new(choose(&[64 << 10, 65_537, 1 << 20, 16 << 20])?),
            disk: Bytes::new(choose(&[0, 1, 4096, 100_000, 1 << 20])?),
            output: Bytes::new(choose(&[0, 1, 1000, 70_000])?),
            time: Duration::from_millis(choose(&[20, 60])?),
            fuel: random.choose(&FUEL)?.map(Fuel::new),
        })
    }
}

/// An executor with one worker, and a folder of its own.
pub struct Bench {
    executor: Executor,
    events: Receiver<Event>,
    dir: TempDir,
    launched: u64,
}

impl Bench {
    /// # Panics
    /// When this machine cannot run one.
    pub fn start() -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        let (sender, events) = channel();
        let config = Config {
            workers: 1,
            scratch_dir: dir.path().join("scratch"),
            max_tasks: 4,
            meter: Meter::Fuel,
            allow_network: false,
            idle_only: false,
        };
        let executor = Executor::start(config, move |event| {
            // Nobody listens any more when the process ends.
            let _ = sender.send(event);
        });
        Self { executor: executor.expect("an executor can be started"), events, dir, launched: 0 }
    }

    /// A module that can be launched, and a place of its own in every cache.
    ///
    /// # Errors
    /// When it is not compiled.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn module(&mut self, bytes: &[u8], meter: Meter) -> Result<Module, ModuleError> {
        let code = compile_here(bytes, meter)?;
        self.launched += 1;
        let mut digest = Digest([0; 32]);
        digest.0[..8].copy_from_slice(&self.launched.to_le_bytes());
        let path = self.dir.path().join(format!("module-{}", self.launched));
        std::fs::write(&path, code).expect("the module can be written");
        Ok(Module { digest, path, meter })
    }

    /// Runs a module to its end, which is the only one, and within its quotas. `heard` is told what it writes.
    ///
    /// # Panics
    /// When the executor did not keep a promise.
    pub fn run(
        &mut self,
        module: &Module,
        quotas: Quotas,
        stdin: Vec<u8>,
        mut heard: impl FnMut(&Self, TaskId, &[u8]),
    ) -> Ending {
        self.launched += 1;
        let id = TaskId { framework: FrameworkId(1), number: self.launched };
        let spec = spec(id, module.digest, quotas, stdin);
        self.executor.launch(Launch {
            spec: Arc::new(spec),
            module: module.path.clone(),
            meter: module.meter,
            folders: Vec::new(),
            volumes: Vec::new(),
            copies: None,
            env: Vec::new(),
        });
        let (mut starts, mut output) = (0, 0);
        let ending = loop {
            match self.events.recv().expect("the executor lives") {
                Event::Started { task } => {
                    assert_eq!(task, id, "an event after the end");
                    starts += 1;
                }
                Event::Output { task, bytes, stream: Stream::Stdout | Stream::Stderr } => {
                    assert_eq!(task, id, "an event after the end");
                    output += bytes.len() as u64;
                    heard(self, id, &bytes);
                }
                Event::Ended { task, ending } => {
                    assert_eq!(task, id, "a task ended twice");
                    break ending;
                }
            }
        };
        assert!(starts <= 1, "a task started twice");
        assert_eq!(ending.usage.output.get(), output, "{ending:?}");
        within(&ending, quotas);
        ending
    }

    /// Ends a task.
    pub fn kill(&self, task: TaskId) {
        self.executor.kill(task);
    }

    /// Where its tasks' scratch folders are.
    pub fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// The host's bytes and entries of all scratch folders.
    pub fn on_disk(&self) -> (u64, u64) {
        let mut sum = (0, 0);
        for task in std::fs::read_dir(self.scratch()).into_iter().flatten().flatten() {
            measure(&task.path().join("scratch"), &mut sum);
        }
        sum
    }
}

/// A file with a compiled module in it, which goes with its value.
pub struct Module {
    digest: Digest,
    path: PathBuf,
    meter: Meter,
}

impl Drop for Module {
    fn drop(&mut self) {
        // What is not there any more is as good as removed.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn measure(folder: &Path, sum: &mut (u64, u64)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = std::fs::symlink_metadata(entry.path()) else { continue };
        sum.1 += 1;
        if meta.is_dir() {
            measure(&entry.path(), sum);
        } else {
            sum.0 += meta.len();
        }
    }
}

fn spec(id: TaskId, module: Digest, quotas: Quotas, stdin: Vec<u8>) -> TaskSpec {
    TaskSpec {
        id,
        name: "guest".to_owned(),
        role: String::new(),
        module,
        args: vec!["argument".to_owned()],
        env: vec![("KEY".to_owned(), "value".to_owned())],
        stdin,
        resources: Resources::new(MilliCpu::from_cores(1), quotas.mem, quotas.disk),
        sharing: Sharing::default(),
        limits: Limits { fuel: quotas.fuel, time: Some(quotas.time), output: quotas.output, ..Limits::default() },
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}

/// No quota was exceeded, and what went wrong is the guest's own fault.
fn within(ending: &Ending, quotas: Quotas) {
    let Ending { usage, .. } = ending;
    assert!(
        matches!(ending.state, TaskState::Finished | TaskState::Failed | TaskState::Killed),
        "an end that nobody gave it: {ending:?}"
    );
    assert_ne!(ending.reason, Some(Reason::ExecutorTerminated), "{ending:?}");
    assert_ne!(ending.reason, Some(Reason::ArtifactUnavailable), "{ending:?}");
    assert_eq!(ending.state == TaskState::Finished, ending.reason.is_none(), "{ending:?}");
    // A task that holds too much from the start says so by its peak.
    assert!(usage.peak_mem <= quotas.mem || usage.fuel.is_zero(), "{ending:?} of {quotas:?}");
    assert!(usage.peak_disk <= quotas.disk, "{ending:?} of {quotas:?}");
    assert!(usage.output <= quotas.output, "{ending:?} of {quotas:?}");
    assert!(quotas.fuel.is_none_or(|fuel| usage.fuel <= fuel), "{ending:?} of {quotas:?}");
    assert!(usage.wall <= quotas.time + LATE_AT_MOST, "{ending:?} of {quotas:?}");
}
