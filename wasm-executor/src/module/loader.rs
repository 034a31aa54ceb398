//! Loads on threads of its own, never on one that runs guests: large modules take milliseconds.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::Mutex;
use wasmtime::{Engine, Precompiled};

use super::{Code, CodeForm, Compiled, ModuleError, Verdict};
use crate::engine::{Engines, Pool};
use crate::instances::{self, Instances};
use crate::wasi::Linkers;

/// One large module must not hold up all small ones behind it.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Turns files of machine code into linked modules. The threads end when it is dropped.
pub(crate) struct Loader {
    jobs: Sender<Job>,
    threads: Arc<Threads>,
    bench: Arc<Bench>,
}

/// The threads of a loader.
struct Threads {
    jobs: Mutex<Receiver<Job>>,
    /// How many there are.
    started: Mutex<usize>,
    /// Jobs that are not done.
    undone: AtomicUsize,
}

struct Bench {
    engines: Arc<Engines>,
    made: Vec<OnceLock<Result<Site, ModuleError>>>,
}

/// What the modules of one pool are made with.
struct Site {
    engine: Engine,
    linkers: Linkers,
}

impl Loader {
    pub(crate) fn start(engines: Arc<Engines>) -> io::Result<Self> {
        let mut made = Vec::new();
        made.resize_with(engines.count(), OnceLock::new);
        let bench = Arc::new(Bench { engines, made });
        let (jobs, queue) = channel::<Job>();
        let threads = Threads { jobs: Mutex::new(queue), started: Mutex::new(0), undone: AtomicUsize::new(0) };
        let threads = Arc::new(threads);
        // The others when there is more than one thing to do at once.
        threads.start_one()?;
        Ok(Self { jobs, threads, bench })
    }

    fn give(&self, job: Job) {
        let undone = self.threads.undone.fetch_add(1, Ordering::Relaxed) + 1;
        if undone > *self.threads.started.lock()
            && let Err(error) = self.threads.start_one()
        {
            tracing::warn!(%error, "modules wait for each other to be loaded");
        }
        // Cannot fail: where it is received is held here.
        let _ = self.jobs.send(job);
    }

    /// Gets the module ready and calls `done`, on a thread of the loader. If the loader breaks, `done` is dropped
    /// without being called.
    pub(super) fn submit(&self, pool: Pool, path: &Path, done: impl FnOnce(Verdict, usize) + Send + 'static) {
        let bench = Arc::clone(&self.bench);
        let path = path.to_owned();
        let job = Box::new(move || {
            let made = bench.site(pool).and_then(|site| Ok((site, load(&site.engine, &path)?)));
            match made {
                Ok((site, code)) => done(code.link(&site.linkers).map(Arc::<Compiled>::new), code.size()),
                Err(error) => done(Err(error), 0),
            }
        });
        self.give(job);
    }

    /// Makes the pool, on a thread of the loader. Whether that went well is known by whoever needs it.
    pub(super) fn make(&self, pool: Pool) {
        let bench = Arc::clone(&self.bench);
        let job = Box::new(move || {
            if let Err(error) = bench.site(pool) {
                tracing::warn!(%error, "there will be no pool of instances for one of the workers");
            }
        });
        self.give(job);
    }
}

impl Threads {
    /// Starts another one, unless there are enough.
    fn start_one(self: &Arc<Self>) -> io::Result<()> {
        let mut started = self.started.lock();
        if *started < THREADS {
            let threads = Arc::clone(self);
            thread::Builder::new().name(format!("haggle-load-{started}")).spawn(move || threads.work())?;
            *started += 1;
        }
        Ok(())
    }

    fn work(&self) {
        loop {
            let job = self.jobs.lock().recv();
            let Ok(job) = job else { return };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                tracing::error!("the loader panicked; the module that it was given is reported as broken");
            }
            self.undone.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Bench {
    fn site(&self, pool: Pool) -> Result<&Site, ModuleError> {
        let made = self.made[self.engines.index(pool)].get_or_init(|| {
            let engine = self.engines.get(pool).map_err(|reason| ModuleError::NoEngine(reason.to_owned()))?.clone();
            let linkers = Linkers::new(&engine).map_err(|error| ModuleError::NoEngine(format!("{error:#}")))?;
            Ok(Site { engine, linkers })
        });
        made.as_ref().map_err(ModuleError::clone)
    }
}

fn load(engine: &Engine, path: &Path) -> Result<Code, ModuleError> {
    let unloadable = |why: &dyn Display| ModuleError::Unloadable(format!("{}: {why}", path.display()));
    let kind = Engine::detect_precompiled_file(path).map_err(|error| unloadable(&format_args!("{error:#}")))?;
    let kind = kind.ok_or_else(|| unloadable(&"is no compiled module"))?;
    let instances = told(path).map_err(|error| unloadable(&error))?;
    let instances = instances.ok_or_else(|| unloadable(&"is of another version"))?;
    #[expect(unsafe_code, reason = "machine code cannot be checked; whoever launches a task answers for the file")]
    // SAFETY: the file was renamed into place by a `Compiler` of this user after it was written and synced in full, in
    // a folder that only this user can write, as `Launch::module` demands.
    let form = unsafe {
        match kind {
            Precompiled::Module => files::module(engine, path).map(CodeForm::Core),
            Precompiled::Component => files::component(engine, path).map(CodeForm::Component),
        }
    };
    let form = form.map_err(|error| unloadable(&format_args!("{error:#}")))?;
    Ok(Code { form, instances })
}

/// Machine code is mapped from its file, so that processes share it and take what they use.
#[cfg(not(windows))]
mod files {
    use std::path::Path;

    use wasmtime::component::Component;
    use wasmtime::{Engine, Module, Result};

    #[expect(unsafe_code, reason = "as whoever calls it")]
    pub(super) unsafe fn module(engine: &Engine, path: &Path) -> Result<Module> {
        // SAFETY: as the caller says.
        unsafe { Module::deserialize_file(engine, path) }
    }

    #[expect(unsafe_code, reason = "as whoever calls it")]
    pub(super) unsafe fn component(engine: &Engine, path: &Path) -> Result<Component> {
        // SAFETY: as the caller says.
        unsafe { Component::deserialize_file(engine, path) }
    }
}

/// Machine code is read. A file that is mapped can be neither replaced nor removed on Windows, and what is mapped to be
/// changed by relocations counts as used there anyway.
#[cfg(windows)]
mod files {
    use std::fs;
    use std::path::Path;

    use wasmtime::component::Component;
    use wasmtime::{Engine, Module, Result};

    #[expect(unsafe_code, reason = "as whoever calls it")]
    pub(super) unsafe fn module(engine: &Engine, path: &Path) -> Result<Module> {
        // SAFETY: as the caller says.
        unsafe { Module::deserialize(engine, fs::read(path)?) }
    }

    #[expect(unsafe_code, reason = "as whoever calls it")]
    pub(super) unsafe fn component(engine: &Engine, path: &Path) -> Result<Component> {
        // SAFETY: as the caller says.
        unsafe { Component::deserialize(engine, fs::read(path)?) }
    }
}

/// What stands at the end of the file.
fn told(path: &Path) -> io::Result<Option<Instances>> {
    let mut file = File::open(path)?;
    let mut trailer = [0; instances::TRAILER];
    let Some(start) = file.metadata()?.len().checked_sub(instances::TRAILER as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut trailer)?;
    Ok(instances::read(&trailer))
}
