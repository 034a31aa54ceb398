//! An executor in this process, without a cluster, and the tasks it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use haggle_core::{Bytes, Digest, FrameworkId, Grants, Limits, MilliCpu, Resources, Sharing, TaskId, TaskSpec};
use haggle_executor::{Config, Event, Executor, Launch, Meter};
use tempfile::TempDir;

/// An executor and what it tells.
pub(crate) struct Local {
    pub(crate) executor: Executor,
    pub(crate) events: Receiver<Event>,
    dir: TempDir,
    next: u64,
}

impl Local {
    pub(crate) fn start(workers: usize) -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        let (sender, events) = mpsc::channel();
        let config = Config {
            workers,
            cache_dir: dir.path().join("modules"),
            scratch_dir: dir.path().join("scratch"),
            max_tasks: 1000,
            meter: Meter::Fuel,
            allow_network: false,
        };
        let executor = Executor::start(config, move |event| {
            // The receiver is gone only when the measurement is over.
            let _ = sender.send(event);
        })?;
        Ok(Self { executor, events, dir, next: 0 })
    }

    /// Stores a module; the number stands for its digest.
    pub(crate) fn store(&self, number: u8, module: &[u8]) -> anyhow::Result<Module> {
        let path = self.dir.path().join(format!("{number}.wasm"));
        std::fs::write(&path, module)?;
        Ok(Module { digest: Digest([number; 32]), path })
    }

    pub(crate) fn launch(&mut self, module: &Module, cpus: MilliCpu, limits: Limits) -> TaskId {
        self.next += 1;
        let id = TaskId { framework: FrameworkId(1), number: self.next };
        let spec = TaskSpec {
            id,
            name: "bench".to_owned(),
            module: module.digest,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            resources: Resources::new(cpus, Bytes::from_mib(16), Bytes::ZERO),
            sharing: Sharing::default(),
            limits,
            inputs: Vec::new(),
            grants: Grants::default(),
        };
        self.executor.launch(Launch {
            spec: Arc::new(spec),
            module: module.path.clone(),
            meter: Meter::Fuel,
            folders: Vec::new(),
            copies: None,
            env: Vec::new(),
        });
        id
    }

    /// Waits until this many tasks have ended, and returns their ends.
    pub(crate) fn ended(&self, count: usize) -> anyhow::Result<Vec<haggle_core::Ending>> {
        let mut endings = Vec::with_capacity(count);
        while endings.len() < count {
            if let Event::Ended { ending, .. } = self.events.recv()? {
                endings.push(ending);
            }
        }
        Ok(endings)
    }
}

/// A module in the executor's reach.
pub(crate) struct Module {
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
}
