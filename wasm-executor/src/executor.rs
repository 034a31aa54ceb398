//! The handle: starts everything, passes messages on, ends everything.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use haggle_core::{Digest, TaskId, Usage};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::charge;
use crate::clock::Clock;
use crate::config::{Config, StartError};
use crate::engine::Engines;
use crate::event::{Launch, Listener, Meter};
use crate::module::{Loader, Modules};
use crate::scheduler::{self, Scheduler, Starter};
use crate::scratch;
use crate::site::Site;
use crate::wasi::Files;

/// Threads for the little file work that a guest's `poll` cannot do on its own thread.
const BLOCKING_THREADS: usize = 2;

/// A handle to a running executor; clones share it. The executor ends, and its tasks with it, when the last
/// handle is dropped or [`Executor::shutdown`] is called.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

/// Figures for people and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Tasks that were launched and have not ended.
    pub tasks: usize,
    /// Threads that wait for a task to run.
    pub idle_workers: usize,
}

struct Inner {
    scheduler: Arc<Scheduler>,
    idle_only: bool,
    timers: Handle,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    workers: Vec<JoinHandle<()>>,
    /// Dropping it ends the thread that drives timers.
    timers: Option<oneshot::Sender<()>>,
}

impl Executor {
    /// Starts the worker threads, and what they need. Needs no runtime of the caller's.
    ///
    /// # Errors
    /// When the folders cannot be used or the machine cannot provide for so many tasks.
    pub fn start(config: Config, listener: impl Listener) -> Result<Self, StartError> {
        let Config { workers, scratch_dir, max_tasks, meter, allow_network, idle_only } = config;
        scratch::clear(&scratch_dir).map_err(|source| StartError::Folder {
            folder: scratch_dir.clone(),
            purpose: "a place for scratch folders",
            source,
        })?;
        let broken = |error: wasmtime::Error| StartError::Engine { max_tasks, reason: format!("{error:#}") };
        let engines = Arc::new(Engines::new(meter, max_tasks, workers).map_err(broken)?);
        let modules = Modules::new(Loader::start(Arc::clone(&engines))?);

        let scheduler = Scheduler::new(
            Site {
                clock: Clock::start(),
                engines,
                modules: Arc::new(modules),
                scratch_dir,
                files: Arc::new(Files::of_this_process()),
                allow_network,
                listener: Arc::new(listener),
            },
            workers.max(1),
        );
        let (stop, stopped) = oneshot::channel();
        let timers = start_timers(stopped)?;
        let threads = Mutex::new(Threads { workers: Vec::new(), timers: Some(stop) });
        let inner = Inner { scheduler, idle_only, timers, threads };
        let workers = scheduler::start(&inner.scheduler, idle_only, &inner.timers)?;
        inner.threads.lock().workers = workers;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// For a thread that launches tasks one by one and waits for news in between: it may begin them by itself. `None` where tasks
    /// run in idle times only, which such a thread does not.
    pub fn starter(&self) -> Option<Starter> {
        let Inner { scheduler, idle_only, timers, .. } = &*self.inner;
        (!idle_only).then(|| Starter::new(scheduler, timers.clone()))
    }

    /// Runs a task. Never blocks; every launch ends in exactly one [`Ended`](crate::Event::Ended). A task that has not
    /// ended yet is not launched again: the second message changes nothing.
    pub fn launch(&self, launch: Launch) {
        self.inner.scheduler.launch(launch);
    }

    /// Stops a task, wherever it is: waiting, computing or asleep. Nothing happens when it is not here.
    pub fn kill(&self, task: TaskId) {
        self.inner.scheduler.kill(task);
    }

    /// What a task has used so far, without the turn that it may have now; `None` when it is not here, or has ended.
    pub fn usage(&self, task: TaskId) -> Option<Usage> {
        self.inner.scheduler.usage(task)
    }

    /// Loads ahead what will be launched soon; the arguments are as in a [`Launch`].
    pub fn prepare(&self, module: Digest, meter: Meter, path: &Path) {
        let site = self.inner.scheduler.site();
        site.modules.prepare(module, site.engines.first(meter), path);
    }

    /// How things stand.
    pub fn stats(&self) -> Stats {
        Stats { tasks: self.inner.scheduler.tasks(), idle_workers: self.inner.scheduler.idle_workers() }
    }

    /// Kills every task and waits until all have ended and the workers are gone. Further launches end at once.
    /// Must not be called by the listener.
    pub fn shutdown(&self) {
        self.inner.shut_down();
    }
}

impl Inner {
    fn shut_down(&self) {
        self.scheduler.shut_down();
        let Threads { workers, timers } = std::mem::take(&mut *self.threads.lock());
        let me = thread::current().id();
        for worker in workers {
            // The last handle may be dropped by the listener, on a worker; it cannot wait for itself.
            if worker.thread().id() != me && worker.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
        self.scheduler.finish();
        drop(timers);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// A runtime for the timers that guests sleep on. It is driven by a thread of its own and polls no guest, so
/// no guest can hold it up.
fn start_timers(stopped: oneshot::Receiver<()>) -> Result<Handle, StartError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("haggle-timers".to_owned()).spawn(move || {
        charge::help();
        // Ends either way: by a message or by the loss of its sender.
        let _ = runtime.block_on(stopped);
    })?;
    Ok(handle)
}
