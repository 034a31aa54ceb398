//! One compilation, as its parent sees it: a child is started, waited for, and judged by how it ended.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use haggle_core::{Digest, MilliCpu};

use super::cache::Cache;
use super::config::Allowed;
use super::limits::{self, Order};
use super::{COMPILE_COMMAND, CompileLimits, child, intake, priority};
use crate::event::Meter;
use crate::module::{Exhausted, ModuleError};
use crate::process::system;

/// Bytes of what a child says that are kept: a line, or the head of a panic.
const SAID_MAX: u64 = 4096;

/// When a child is looked at again that says nothing any more and has not ended. Doubles with every time, up to the
/// second.
const LOOK_AGAIN: Duration = Duration::from_micros(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(20);

/// What reaches the one who waits for a child.
pub(super) enum News {
    /// It has closed its standard error, as it does when it ends, and said this.
    Said(String),
    /// Nobody waits for the module any more.
    Unwanted,
    /// The compiler shuts down.
    Stop,
}

/// What is compiled, by whom, into what.
pub(super) struct Job<'a> {
    pub(super) module: Digest,
    /// Its bytes.
    pub(super) path: &'a Path,
    pub(super) meter: Meter,
    /// CPU that it may have beside others that want it.
    pub(super) share: MilliCpu,
    pub(super) program: &'a Path,
    pub(super) limits: CompileLimits,
    pub(super) cache: &'a Cache,
}

impl Job<'_> {
    /// Compiles. `news` ends it early; its sender is what the child's end comes through.
    pub(super) fn run(&self, tell: &Sender<News>, news: &Receiver<News>) -> Result<PathBuf, ModuleError> {
        let unreadable =
            |error: io::Error| ModuleError::Unreadable { path: self.path.to_owned(), reason: error.to_string() };
        let module = File::open(self.path).map_err(unreadable)?;
        let size = module.metadata().map_err(unreadable)?.len();
        intake::check_file(size, self.limits.module)?;
        let limits = self.limits.of(size);
        let unwritable = |error: io::Error| ModuleError::Interrupted(format!("cannot keep what is compiled: {error}"));
        let (unfinished, compiled) = self.cache.begin().map_err(unwritable)?;
        let given = compiled.try_clone().map_err(unwritable)?;
        let mut child = self.start(module, given, limits)?;
        let _tied = system::tie(&child).inspect_err(|error| tracing::warn!(%error, "a compiler may outlive its agent"));
        let ended = wait(&mut child, limits.wall(), tell, news);
        let ended = ended.map_err(|error| ModuleError::Interrupted(format!("its compiler was lost: {error}")))?;
        ended.judge(&limits)?;
        if compiled.metadata().map_err(unwritable)?.len() > limits.code.get() {
            return Err(ModuleError::CompileLimit(Exhausted::Code(limits.code)));
        }
        unfinished.keep(&compiled, self.module, self.meter).map_err(unwritable)
    }

    fn start(&self, module: File, compiled: File, limits: Allowed) -> Result<Child, ModuleError> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let niceness = priority::niceness(self.share, threads);
        let order = Order { meter: self.meter, limits, threads, niceness, parent: std::process::id() };
        let mut command = Command::new(self.program);
        command
            .arg(COMPILE_COMMAND)
            .args(order.to_args())
            .stdin(Stdio::from(module))
            .stdout(Stdio::from(compiled))
            .stderr(Stdio::piped());
        // It has no business with the agent's environment, and a Ctrl-C at the terminal is for the agent.
        system::clear_environment(&mut command, &[]);
        system::set_apart(&mut command);
        // The program's allocator (mimalloc) reserves no arenas. What it commits ahead of them would count as memory that is
        // used, and of one that it commits later it hands out pieces of many MiB even where the system refuses them.
        command.env("MIMALLOC_ARENA_RESERVE", "0");
        command.spawn().map_err(|error| {
            ModuleError::Interrupted(format!("cannot start the compiler {}: {error}", self.program.display()))
        })
    }
}

/// How a child came to its end.
struct Ended {
    status: ExitStatus,
    said: String,
    cut: Option<Cut>,
}

/// Why its parent ended it.
enum Cut {
    TimeIsUp,
    ShutDown,
}

/// Waits until the child has ended, whatever it does.
fn wait(child: &mut Child, wall: Duration, tell: &Sender<News>, news: &Receiver<News>) -> io::Result<Ended> {
    let deadline = Instant::now() + wall;
    let reader = child.stderr.take().map(|stderr| {
        let tell = tell.clone();
        // It ends with the child, so nobody waits for it.
        thread::Builder::new().name("haggle-compiled".to_owned()).spawn(move || {
            let _ = tell.send(News::Said(hear(stderr)));
        })
    });
    if let Some(Err(error)) = reader {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    let (said, mut cut) = loop {
        match news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(News::Said(said)) => break (said, None),
            Ok(News::Unwanted) => system::give_way(child, priority::NICEST),
            Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => break (String::new(), Some(Cut::ShutDown)),
            Err(RecvTimeoutError::Timeout) => break (String::new(), Some(Cut::TimeIsUp)),
        }
    };
    let mut pause = LOOK_AGAIN;
    let status = loop {
        if cut.is_some() {
            child.kill()?;
            break child.wait()?;
        }
        // Whoever is silent is as good as gone, unless it closed its mouth on purpose.
        if let Some(status) = child.try_wait()? {
            break status;
        }
        match news.recv_timeout(pause) {
            Ok(News::Stop) => cut = Some(Cut::ShutDown),
            _ if Instant::now() >= deadline => cut = Some(Cut::TimeIsUp),
            _ => pause = (pause * 2).min(LOOK_AGAIN_MAX),
        }
    };
    Ok(Ended { status, said, cut })
}

/// What is said, up to a bound; what is said beyond it is heard, too, so that nobody blocks on it.
fn hear(mut stderr: impl Read) -> String {
    let mut said = Vec::new();
    let _ = stderr.by_ref().take(SAID_MAX).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&said).trim().to_owned()
}

impl Ended {
    fn judge(self, limits: &Allowed) -> Result<(), ModuleError> {
        let limit = |exhausted| Err(ModuleError::CompileLimit(exhausted));
        match self.cut {
            Some(Cut::TimeIsUp) => return limit(Exhausted::Wall(limits.wall())),
            Some(Cut::ShutDown) => return Err(ModuleError::Interrupted("the compiler was shut down".to_owned())),
            None => {}
        }
        // What the standard library says before it aborts.
        let says = |words| self.said.lines().any(|line| line.contains(words));
        match self.status.code().map(u8::try_from) {
            Some(Ok(0)) => return Ok(()),
            Some(Ok(child::REFUSED)) => return Err(ModuleError::Invalid(self.said)),
            Some(Ok(child::OUT_OF_MEMORY)) => return limit(Exhausted::Memory(Some(limits.mem))),
            Some(Ok(child::BROKEN)) => return Err(ModuleError::Interrupted(self.said)),
            _ if says("memory allocation of ") => return limit(Exhausted::Memory(Some(limits.mem))),
            _ if says(" has overflowed its stack") => return limit(Exhausted::Stack),
            _ => {}
        }
        if let Some(error) = limits::verdict(self.status, limits) {
            return Err(error);
        }
        let status = self.status;
        Err(ModuleError::Crashed(if self.said.is_empty() {
            status.to_string()
        } else {
            format!("{status}: {}", self.said)
        }))
    }
}
