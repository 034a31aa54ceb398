//! An executor in this process, without a cluster, and the tasks it runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use haggle_core::{Bytes, Digest, Ending, FrameworkId, Grants, Limits, MilliCpu, Resources, Sharing, TaskId, TaskSpec};
use haggle_executor::{Config, Event, Executor, Launch, Meter, compile_here};
use tempfile::TempDir;

/// Longer than anything here takes on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

/// An executor and what it tells.
pub(crate) struct Local {
    pub(crate) executor: Executor,
    events: Receiver<Event>,
    modules: Modules,
    next: u64,
}

impl Local {
    /// One that runs up to this many tasks at once, in the usual form.
    pub(crate) fn start(workers: usize, max_tasks: usize) -> anyhow::Result<Self> {
        Self::metered(Meter::default(), workers, max_tasks)
    }

    /// The same in this form.
    pub(crate) fn metered(meter: Meter, workers: usize, max_tasks: usize) -> anyhow::Result<Self> {
        let modules = Modules::new(meter)?;
        let (sender, events) = mpsc::channel();
        let executor = modules.executor(workers, max_tasks, move |event| {
            // The receiver is gone only when the measurement is over.
            let _ = sender.send(event);
        })?;
        Ok(Self { executor, events, modules, next: 0 })
    }

    /// A task that runs this module with a core, 16 MiB, and no end but its own.
    pub(crate) fn task(&mut self, module: &[u8]) -> anyhow::Result<TaskSpec> {
        self.modules.task(module)
    }

    /// Gives the task a number of its own, and launches it.
    pub(crate) fn launch(&mut self, spec: &TaskSpec) -> TaskId {
        self.next += 1;
        let launch = self.modules.launch(spec, self.next);
        let id = launch.spec.id;
        self.executor.launch(launch);
        id
    }

    /// The next thing that happens.
    ///
    /// # Errors
    /// When nothing happens for a minute.
    pub(crate) fn event(&self) -> anyhow::Result<Event> {
        Ok(self.events.recv_timeout(PATIENCE)?)
    }

    /// Waits until this many tasks have started.
    pub(crate) fn started(&self, count: usize) -> anyhow::Result<()> {
        let mut started = 0;
        while started < count {
            match self.event()? {
                Event::Started { .. } => started += 1,
                Event::Output { .. } => {}
                Event::Ended { task, ending } => anyhow::bail!("{task} ended early: {ending:?}"),
            }
        }
        Ok(())
    }

    /// Waits until this many tasks have ended, and returns their ends.
    pub(crate) fn ended(&self, count: usize) -> anyhow::Result<Vec<(TaskId, Ending)>> {
        let mut endings = Vec::with_capacity(count);
        while endings.len() < count {
            if let Event::Ended { task, ending } = self.event()? {
                endings.push((task, ending));
            }
        }
        Ok(endings)
    }

    /// Runs a task to its end, alone.
    pub(crate) fn run(&mut self, spec: &TaskSpec) -> anyhow::Result<Ending> {
        self.launch(spec);
        Ok(self.ended(1)?.remove(0).1)
    }
}

/// Modules in the reach of an executor of this process.
pub(crate) struct Modules {
    meter: Meter,
    dir: TempDir,
    paths: HashMap<Digest, PathBuf>,
}

impl Modules {
    pub(crate) fn new(meter: Meter) -> anyhow::Result<Self> {
        Ok(Self { meter, dir: TempDir::new()?, paths: HashMap::new() })
    }

    pub(crate) fn executor(
        &self,
        workers: usize,
        max_tasks: usize,
        events: impl Fn(Event) + Send + Sync + 'static,
    ) -> anyhow::Result<Executor> {
        let config = Config {
            workers,
            scratch_dir: self.dir.path().join("scratch"),
            max_tasks,
            meter: self.meter,
            allow_network: false,
            idle_only: false,
        };
        Ok(Executor::start(config, events)?)
    }

    /// A task that runs this module with a core, 16 MiB, and no end but its own.
    pub(crate) fn task(&mut self, module: &[u8]) -> anyhow::Result<TaskSpec> {
        // Modules are few, so their number stands for their digest.
        let number = u8::try_from(self.paths.len() + 1)?;
        let digest = Digest([number; 32]);
        let path = self.dir.path().join(format!("{number}.cwasm"));
        std::fs::write(&path, compile_here(module, self.meter)?)?;
        self.paths.insert(digest, path);
        Ok(TaskSpec {
            id: TaskId { framework: FrameworkId(1), number: 0 },
            name: "bench".to_owned(),
            role: String::new(),
            module: digest,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            resources: Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(16), Bytes::ZERO),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: Vec::new(),
            grants: Grants::default(),
            group: None,
            waited: None,
            trace: None,
        })
    }

    /// The message that launches a task of [`Modules::task`] under this number.
    pub(crate) fn launch(&self, spec: &TaskSpec, number: u64) -> Launch {
        let mut spec = spec.clone();
        spec.id.number = number;
        let module = self.paths[&spec.module].clone();
        Launch {
            spec: Arc::new(spec),
            module,
            meter: self.meter,
            folders: Vec::new(),
            volumes: Vec::new(),
            copies: None,
            env: Vec::new(),
        }
    }
}
