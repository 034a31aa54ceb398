//! Compiles on threads of its own, never on one that runs guests: a compilation cannot be interrupted.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use haggle_core::Digest;
use parking_lot::Mutex;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::{Code, Compiled, ModuleError, Store, Verdict, intake};
use crate::engine::{self, Engines};
use crate::event::Meter;
use crate::inspect::Kind;
use crate::wasi::Linkers;

/// One large module must not hold up all small ones behind it. Each compilation uses all CPUs anyway.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Turns files into linked modules. The threads end when it is dropped.
pub(crate) struct Compiler {
    jobs: Sender<Job>,
    bench: Arc<Bench>,
}

struct Bench {
    engines: Arc<Engines>,
    fuel: OnceLock<Result<Form, ModuleError>>,
    epochs: OnceLock<Result<Form, ModuleError>>,
    store: Store,
    compilations: AtomicU64,
}

/// What modules of one form are made with.
struct Form {
    engine: Engine,
    linkers: Linkers,
    /// In the names of its compiled files.
    compatibility: String,
}

impl Compiler {
    pub(crate) fn start(engines: Arc<Engines>, store: Store) -> std::io::Result<Self> {
        let (fuel, epochs) = (OnceLock::new(), OnceLock::new());
        let bench = Arc::new(Bench { engines, fuel, epochs, store, compilations: AtomicU64::new(0) });
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("haggle-compile-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, bench })
    }

    /// How often wasm became machine code, and was not found on disk.
    pub(crate) fn compilations(&self) -> u64 {
        self.bench.compilations.load(Ordering::Relaxed)
    }

    /// Gets the module ready and calls `done`, on a thread of the compiler. If the compiler breaks, `done` is
    /// dropped without being called.
    pub(super) fn submit(
        &self,
        digest: Digest,
        meter: Meter,
        path: &Path,
        done: impl FnOnce(Verdict, usize) + Send + 'static,
    ) {
        let bench = Arc::clone(&self.bench);
        let path = path.to_owned();
        let job = Box::new(move || {
            let made = bench.form(meter).and_then(|form| Ok((form, bench.code(form, digest, &path)?)));
            match made {
                Ok((form, code)) => done(code.link(&form.linkers).map(Arc::<Compiled>::new), code.size()),
                Err(error) => done(Err(error), 0),
            }
        });
        // Fails only when every thread is gone; then `done` was dropped and says so.
        let _ = self.jobs.send(job);
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("the compiler panicked; the module that it was given is reported as broken");
        }
    }
}

impl Bench {
    fn form(&self, meter: Meter) -> Result<&Form, ModuleError> {
        let form = match meter {
            Meter::Fuel => &self.fuel,
            Meter::Epochs => &self.epochs,
        };
        let made = form.get_or_init(|| {
            let engine = self.engines.get(meter).map_err(|reason| ModuleError::NoEngine(reason.to_owned()))?.clone();
            let linkers = Linkers::new(&engine).map_err(|error| ModuleError::NoEngine(format!("{error:#}")))?;
            Ok(Form { compatibility: engine::compatibility(&engine), engine, linkers })
        });
        made.as_ref().map_err(ModuleError::clone)
    }

    fn code(&self, form: &Form, digest: Digest, path: &Path) -> Result<Code, ModuleError> {
        if let Some(code) = self.store.load(&form.engine, &form.compatibility, digest) {
            return Ok(code);
        }
        let unreadable =
            |error: std::io::Error| ModuleError::Unreadable { path: path.to_owned(), reason: error.to_string() };
        intake::check_size(std::fs::metadata(path).map_err(unreadable)?.len())?;
        let file = std::fs::read(path).map_err(unreadable)?;
        let code = self.compile(&form.engine, &intake::binary(&file)?)?;
        self.store.save(&form.compatibility, digest, &code);
        Ok(code)
    }

    fn compile(&self, engine: &Engine, binary: &[u8]) -> Result<Code, ModuleError> {
        let kind = intake::check(binary)?;
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let code = match kind {
            Kind::Core => Module::from_binary(engine, binary).map(Code::Core),
            Kind::Component => Component::from_binary(engine, binary).map(Code::Component),
        };
        code.map_err(|error| ModuleError::Invalid(error.root_cause().to_string()))
    }
}
