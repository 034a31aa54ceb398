//! The handle: one compilation for all who want the same module, and what became of it.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use haggle_core::{Digest, FrameworkId, MilliCpu};
use parking_lot::{Condvar, Mutex};

use super::cache::Cache;
use super::job::{Job, News};
use super::queue::Queue;
use super::{CompileLimits, CompilerConfig};
use crate::StartError;
use crate::event::Meter;
use crate::module::ModuleError;

/// Modules of which it is known in memory what became of them. A cluster's frameworks run a handful each.
const KNOWN_MAX: usize = 4096;

/// How long a compiled module is believed to be where it was: others who share the folder may have made room. Looking
/// again costs some microseconds, on no thread that anybody waits for.
const BELIEVED: Duration = Duration::from_secs(60);

/// A compiled module's file, or why there is none.
type Verdict = Result<PathBuf, ModuleError>;
type Done = Box<dyn FnOnce(Verdict) + Send>;
type Key = (Digest, Meter);

/// Compiles modules in child processes, under limits; clones share it. When the last is dropped, children that run
/// are killed, and whoever waits is told.
#[derive(Clone)]
pub struct Compiler {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Taken when it ends, so that the threads do.
    requests: Option<Sender<Request>>,
    /// The one that looks on disk.
    looks: Option<JoinHandle<()>>,
}

struct Shared {
    program: PathBuf,
    limits: CompileLimits,
    at_once: usize,
    /// One for each child that may run at once, started when there is something for it to compile.
    threads: Mutex<Vec<JoinHandle<()>>>,
    cache: Cache,
    state: Mutex<State>,
    missing: Mutex<Missing>,
    /// Something is missing, or may have a child now, or nothing more will be.
    changed: Condvar,
    compilations: AtomicU64,
    closed: AtomicBool,
}

/// Modules that are not on disk.
struct Missing {
    queue: Queue<Wanted>,
    /// Nothing more comes.
    is_all: bool,
}

#[derive(Default)]
struct State {
    modules: HashMap<Key, Module>,
    /// Counts uses; a module remembers its last.
    uses: u64,
    /// What each child's parent hears.
    running: HashMap<Key, Sender<News>>,
}

enum Module {
    /// Nobody knows yet.
    Awaited(Awaited),
    Known {
        verdict: Verdict,
        /// When it was last seen where it is.
        seen: Instant,
        used: u64,
    },
}

/// A module that somebody wants to have compiled.
struct Awaited {
    /// Called when it is known.
    waiting: Vec<Done>,
    /// Who has asked for it. Each stands in its own line, and whose turn comes first has it compiled for all: so nobody's
    /// module is held up by what others want besides.
    asked: Vec<FrameworkId>,
    /// Of these, who has a task that waits for it.
    waits: Vec<FrameworkId>,
    /// A child has it.
    begun: bool,
}

enum Request {
    /// Look for it on disk, and compile it if it is not there.
    Compile(Wanted),
    /// It was there; forget it if it is not there any more.
    LookAgain(Key),
}

/// A module that a framework wants to have compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// In whose turn.
    pub framework: FrameworkId,
    /// Its name.
    pub module: Digest,
    /// The file that has its bytes.
    pub path: PathBuf,
    /// In which form.
    pub meter: Meter,
    /// CPU that was promised to the task which waits for it. The compilation has so much of it, if nobody else asked before.
    pub share: MilliCpu,
}

impl Wanted {
    fn key(&self) -> Key {
        (self.module, self.meter)
    }
}

impl Compiler {
    /// Opens the cache and starts the threads that wait for children.
    ///
    /// # Errors
    /// When the cache's folder cannot be made private to this user, or the machine lacks something.
    pub fn start(config: CompilerConfig) -> Result<Self, StartError> {
        let CompilerConfig { program, cache_dir, limits, at_once } = config;
        let shared = Arc::new(Shared {
            program,
            limits,
            at_once: at_once.max(1),
            threads: Mutex::default(),
            cache: Cache::open(&cache_dir)?,
            state: Mutex::default(),
            missing: Mutex::new(Missing { queue: Queue::new(at_once), is_all: false }),
            changed: Condvar::new(),
            compilations: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let (requests, asked) = channel();
        let looking = Arc::clone(&shared);
        // What is on disk already is found by a thread of its own, never behind a compilation.
        let looks = thread::Builder::new().name("haggle-compiled".to_owned()).spawn(move || looking.look_up(&asked))?;
        Ok(Self { inner: Arc::new(Inner { shared, requests: Some(requests), looks: Some(looks) }) })
    }

    /// What became of the module, when that is known already. Touches no disk.
    pub fn known(&self, module: Digest, meter: Meter) -> Option<Result<PathBuf, ModuleError>> {
        let Shared { state, .. } = &*self.inner.shared;
        let mut state = state.lock();
        state.uses += 1;
        let now = state.uses;
        let Module::Known { verdict, seen, used } = state.modules.get_mut(&(module, meter))? else { return None };
        *used = now;
        let verdict = verdict.clone();
        if verdict.is_ok() && seen.elapsed() > BELIEVED {
            *seen = Instant::now();
            self.ask(Request::LookAgain((module, meter)));
        }
        Some(verdict)
    }

    /// Compiles the module unless that was done before; then calls `done` with the path of what an [`Executor`](crate::Executor) loads. Never blocks. One compilation serves
    /// all who ask for the same, in the turn that comes first. Frameworks take turns, and none has more than all children
    /// but one.
    ///
    /// `done` is called once: at once and on this thread when the answer is [`known`](Self::known), else on a thread
    /// of the compiler, which it must not block.
    pub fn compile(&self, wanted: Wanted, done: impl FnOnce(Result<PathBuf, ModuleError>) + Send + 'static) {
        if let Some(verdict) = self.known(wanted.module, wanted.meter) {
            return done(verdict);
        }
        let (framework, key) = (wanted.framework, wanted.key());
        let mut state = self.inner.shared.state.lock();
        match state.modules.get_mut(&key) {
            Some(Module::Awaited(awaited)) => {
                awaited.waiting.push(Box::new(done));
                if !awaited.waits.contains(&framework) {
                    awaited.waits.push(framework);
                }
                if awaited.begun || awaited.asked.contains(&framework) {
                    return;
                }
                awaited.asked.push(framework);
            }
            // It became known between the two locks.
            Some(Module::Known { verdict, .. }) => {
                let verdict = verdict.clone();
                drop(state);
                return done(verdict);
            }
            None => {
                let (asked, waits) = (vec![framework], vec![framework]);
                let awaited = Awaited { waiting: vec![Box::new(done)], asked, waits, begun: false };
                state.modules.insert(key, Module::Awaited(awaited));
            }
        }
        drop(state);
        self.ask(Request::Compile(wanted));
    }

    /// The framework has no task any more that waits for this module. It is compiled all the same, but when nobody has, then
    /// behind whoever has something to do, and so is what a child has of it already.
    pub fn unwanted(&self, framework: FrameworkId, module: Digest, meter: Meter) {
        let mut state = self.inner.shared.state.lock();
        let Some(Module::Awaited(awaited)) = state.modules.get_mut(&(module, meter)) else { return };
        awaited.waits.retain(|waits| *waits != framework);
        if awaited.waits.is_empty()
            && let Some(child) = state.running.get(&(module, meter))
        {
            // It may just have ended.
            let _ = child.send(News::Unwanted);
        }
    }

    /// How often a child was started to compile something.
    pub fn compilations(&self) -> u64 {
        self.inner.shared.compilations.load(Ordering::Relaxed)
    }

    fn ask(&self, request: Request) {
        // Both are there for as long as a handle is.
        if let Some(requests) = &self.inner.requests {
            let _ = requests.send(request);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        for child in self.shared.state.lock().running.values() {
            // Whoever waited for it may just have been told.
            let _ = child.send(News::Stop);
        }
        drop(self.requests.take());
        // The last handle may be dropped inside `done`, on such a thread: it cannot wait for itself, nor for those that it ends.
        let me = thread::current().id();
        let join = |thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!("a thread of the compiler had panicked");
            }
        };
        match self.looks.take() {
            Some(looks) if looks.thread().id() != me => join(looks),
            _ => return,
        }
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        threads.into_iter().filter(|thread| thread.thread().id() != me).for_each(join);
    }
}

impl Shared {
    fn look_up(self: &Arc<Self>, asked: &Receiver<Request>) {
        for request in asked {
            let key = match &request {
                Request::Compile(wanted) => wanted.key(),
                Request::LookAgain(key) => *key,
            };
            match (self.cache.find(key.0, key.1), request) {
                (Some(path), _) => self.settle(key, &Ok(path)),
                (None, Request::Compile(wanted)) => match self.provide_thread() {
                    Ok(()) => {
                        self.missing.lock().queue.push(wanted.framework, wanted);
                        self.changed.notify_one();
                    }
                    Err(error) => {
                        let why = format!("the agent has no thread for it: {error}");
                        self.settle(key, &Err(ModuleError::Interrupted(why)));
                    }
                },
                (None, Request::LookAgain(_)) => self.forget(key),
            }
        }
        self.missing.lock().is_all = true;
        self.changed.notify_all();
    }

    /// Starts one more thread for what is missing, unless there are as many as there may be.
    ///
    /// # Errors
    /// When there is none and none can be started.
    fn provide_thread(self: &Arc<Self>) -> io::Result<()> {
        let mut threads = self.threads.lock();
        if threads.len() == self.at_once {
            return Ok(());
        }
        let shared = Arc::clone(self);
        match thread::Builder::new().name(format!("haggle-compile-{}", threads.len())).spawn(move || shared.compile()) {
            Ok(thread) => threads.push(thread),
            Err(error) if threads.is_empty() => return Err(error),
            Err(error) => tracing::warn!(%error, "fewer modules are compiled at once"),
        }
        Ok(())
    }

    /// Unless somebody has asked for it anew.
    fn forget(&self, key: Key) {
        let mut state = self.state.lock();
        if let Some(Module::Known { .. }) = state.modules.get(&key) {
            state.modules.remove(&key);
        }
    }

    fn compile(&self) {
        while let Some(wanted) = self.next() {
            let verdict = catch_unwind(AssertUnwindSafe(|| self.compile_one(&wanted)));
            let verdict = verdict.unwrap_or_else(|_| {
                tracing::error!(module = %wanted.module, "the compiler panicked; this is a bug in Haggle");
                Err(ModuleError::Interrupted("the agent's part of the compiler panicked".to_owned()))
            });
            self.missing.lock().queue.done(wanted.framework);
            self.changed.notify_all();
            self.settle(wanted.key(), &verdict);
        }
    }

    /// The next module to be compiled, as soon as there is one; `None` when there will be none any more.
    fn next(&self) -> Option<Wanted> {
        let mut missing = self.missing.lock();
        loop {
            if let Some(wanted) = missing.queue.next(|wanted| self.begin(wanted.key())) {
                return Some(wanted);
            }
            if missing.is_all && missing.queue.is_empty() {
                return None;
            }
            self.changed.wait(&mut missing);
        }
    }

    /// Whether a child is to have it: it is still awaited, and none has it.
    fn begin(&self, key: Key) -> bool {
        match self.state.lock().modules.get_mut(&key) {
            Some(Module::Awaited(awaited)) => !std::mem::replace(&mut awaited.begun, true),
            _ => false,
        }
    }

    fn compile_one(&self, wanted: &Wanted) -> Verdict {
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let (tell, news) = channel();
        let is_awaited = self.running(wanted.key(), tell.clone());
        let share = if is_awaited { wanted.share } else { MilliCpu::ZERO };
        let Wanted { module, path, meter, .. } = wanted;
        let (program, limits, cache) = (&self.program, self.limits, &self.cache);
        let job = Job { module: *module, path, meter: *meter, share, program, limits, cache };
        // Asked only now: who closes it tells everybody who is listed by then.
        let verdict = if self.closed.load(Ordering::Acquire) {
            Err(ModuleError::Interrupted("the compiler was shut down".to_owned()))
        } else {
            job.run(&tell, &news)
        };
        self.state.lock().running.remove(&wanted.key());
        verdict
    }

    /// A child is about to have it. Whether anybody waits for that.
    fn running(&self, key: Key, tell: Sender<News>) -> bool {
        let mut state = self.state.lock();
        state.running.insert(key, tell);
        matches!(state.modules.get(&key), Some(Module::Awaited(awaited)) if !awaited.waits.is_empty())
    }

    /// Tells everybody who waits. What may be right the next time is forgotten.
    fn settle(&self, key: Key, verdict: &Verdict) {
        let mut state = self.state.lock();
        let before = match verdict {
            Err(error) if error.is_passing() => state.modules.remove(&key),
            _ => {
                state.uses += 1;
                let known = Module::Known { verdict: verdict.clone(), seen: Instant::now(), used: state.uses };
                let before = state.modules.insert(key, known);
                state.evict();
                before
            }
        };
        drop(state);
        let Some(Module::Awaited(awaited)) = before else { return };
        for done in awaited.waiting {
            let verdict = verdict.clone();
            if catch_unwind(AssertUnwindSafe(|| done(verdict))).is_err() {
                tracing::error!("whoever waited for a compiled module panicked");
            }
        }
    }
}

impl State {
    fn evict(&mut self) {
        while self.modules.len() > KNOWN_MAX {
            let used = |module: &Module| match module {
                Module::Known { used, .. } => Some(*used),
                Module::Awaited(_) => None,
            };
            let known = self.modules.iter().filter_map(|(key, module)| Some((used(module)?, *key)));
            let Some((_, oldest)) = known.min_by_key(|(used, _)| *used) else { return };
            self.modules.remove(&oldest);
        }
    }
}
