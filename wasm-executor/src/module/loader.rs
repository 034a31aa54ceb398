//! Loads on threads of its own, never on one that runs guests: large modules take milliseconds.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
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
    bench: Arc<Bench>,
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
    pub(crate) fn start(engines: Arc<Engines>) -> std::io::Result<Self> {
        let mut made = Vec::new();
        made.resize_with(engines.count(), OnceLock::new);
        let bench = Arc::new(Bench { engines, made });
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("haggle-load-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, bench })
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
        // Fails only when every thread is gone; then `done` was dropped and says so.
        let _ = self.jobs.send(job);
    }

    /// Makes the pool, on a thread of the loader. Whether that went well is known by whoever needs it.
    pub(super) fn make(&self, pool: Pool) {
        let bench = Arc::clone(&self.bench);
        let job = Box::new(move || {
            if let Err(error) = bench.site(pool) {
                tracing::warn!(%error, "there will be no pool of instances for one of the workers");
            }
        });
        let _ = self.jobs.send(job);
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("the loader panicked; the module that it was given is reported as broken");
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
