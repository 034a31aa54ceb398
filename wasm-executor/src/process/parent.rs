//! The agent's side: starts an executor's process, or finds one that is there, and speaks to it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::folder::Folder;
use super::socket::{Reader, Socket};
use super::system::{self, Readiness};
use super::wire::{self, Incoming, Order, Report, WireError};
use super::writer::Writer;
use super::{COMMAND, Setup};

/// How long a process may take from its start to its first word. It takes some hundredths of a second.
const START_MAX: Duration = Duration::from_secs(30);

/// How long one that runs may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What the child may know of the agent's environment: how to log.
const ENVIRONMENT: [&str; 2] = ["RUST_LOG", "RUST_BACKTRACE"];

/// Why there is no executor.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// The folder cannot be made or used.
    #[error("cannot use {}: {source}", folder.display())]
    Folder {
        /// Which folder.
        folder: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start {}: {source}", program.display())]
    Program {
        /// Which program.
        program: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be told what to be.
    #[error("cannot be told what to be: {0}")]
    Setup(String),
    /// It ended before it said a word.
    #[error("{0}")]
    Ended(String),
    /// It does not answer, or not in a way that can be understood.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// An executor's process, and how to end it.
#[derive(Debug)]
pub struct Process {
    folder: Folder,
    id: u32,
    /// Of one that this process started.
    child: Mutex<Option<Child>>,
}

/// A conversation with an executor's process.
#[derive(Debug)]
pub struct Connection {
    /// The other side.
    pub process: Arc<Process>,
    /// What it says.
    pub reports: Incoming<Socket, Report>,
    /// What it is told.
    to: Socket,
}

/// A process that was started and waits to be told what to be: half of its start is over by then. Dropped, it is ended.
#[derive(Debug)]
pub struct Blank {
    process: Arc<Process>,
    /// Where it waits for its setup; `None` once it has that.
    setup: Option<ChildStdin>,
    readiness: Readiness,
}

impl Blank {
    /// Starts `program` in the folder, which is empty.
    ///
    /// # Errors
    /// When it does not start. Nothing is left behind then.
    pub fn start(program: &Path, folder: &Folder) -> Result<Self, StartFailure> {
        let started = start(program, folder);
        let (mut child, readiness) = started.inspect_err(|_| _ = folder.remove())?;
        let setup = child.stdin.take();
        let process = Process { folder: folder.clone(), id: child.id(), child: Mutex::new(Some(child)) };
        Ok(Self { process: Arc::new(process), setup, readiness })
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.process.folder
    }

    /// Has it become an executor, and connects to it. Takes as long as that takes.
    ///
    /// # Errors
    /// When it does not become one. Nothing is left behind then.
    pub fn become_executor(mut self, setup: &Setup) -> Result<Connection, StartFailure> {
        let told = postcard::to_stdvec(setup).map_err(|error| StartFailure::Setup(error.to_string()))?;
        let mut stdin = self.setup.take().expect("it is told once");
        if let Err(error) = stdin.write_all(&told) {
            // It did not wait for it; its log says why, and whoever connects next finds it gone.
            tracing::debug!(%error, "an executor did not listen");
        }
        // It reads to the end.
        drop(stdin);
        let (process, deadline) = (Arc::clone(&self.process), Instant::now() + START_MAX);
        self.readiness.wait(START_MAX);
        let connected = process.folder.connect(deadline, || process.runs());
        connected.map_err(WireError::Io).and_then(|stream| converse(stream, &process, START_MAX)).map_err(|error| {
            let obituary = (!process.runs()).then(|| process.obituary());
            process.kill();
            // Nobody is in it any more.
            let _ = process.folder.remove();
            obituary.map_or(error.into(), StartFailure::Ended)
        })
    }
}

impl Drop for Blank {
    fn drop(&mut self) {
        if self.setup.is_some() {
            self.process.kill();
            let _ = self.process.folder.remove();
        }
    }
}

/// Connects to a process that another agent started.
///
/// # Errors
/// When it does not answer, or speaks another version: it is killed then.
pub fn adopt(folder: &Folder) -> Result<Connection, StartFailure> {
    let id = folder.owner().unwrap_or_default();
    let process = Arc::new(Process { folder: folder.clone(), id, child: Mutex::new(None) });
    let connected = folder.connect(Instant::now() + ANSWER_MAX, || folder.is_claimed());
    connected.map_err(WireError::Io).and_then(|socket| converse(socket, &process, ANSWER_MAX)).map_err(|error| {
        process.kill();
        error.into()
    })
}

fn start(program: &Path, folder: &Folder) -> Result<(Child, Readiness), StartFailure> {
    let unusable = |source| StartFailure::Folder { folder: folder.path().to_owned(), source };
    let log = File::create(folder.log()).map_err(unusable)?;
    let failed = |source| StartFailure::Program { program: program.to_owned(), source };
    let (says_ready, readiness) = system::readiness().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg(COMMAND).current_dir(folder.path());
    system::clear_environment(&mut command, &ENVIRONMENT);
    command.stdin(Stdio::piped()).stdout(says_ready).stderr(log);
    Ok((system::start_outliving(&mut command).map_err(failed)?, readiness))
}

fn converse(mut socket: Socket, process: &Arc<Process>, patience: Duration) -> Result<Connection, WireError> {
    wire::greet(&mut socket)?;
    socket.set_patience(Some(patience))?;
    wire::be_greeted(&mut socket)?;
    socket.set_patience(None)?;
    Ok(Connection { process: Arc::clone(process), reports: Incoming::new(socket.clone()), to: socket })
}

impl Connection {
    /// While it is hurried, it is given up when it says nothing for a while.
    ///
    /// # Errors
    /// When the system cannot do that.
    pub fn hurry(&self, yes: bool) -> io::Result<()> {
        self.to.set_patience(yes.then_some(ANSWER_MAX))
    }

    /// Tells it what is in `orders`, and whatever will be, as long as the connection holds. Reports are for a task from here on.
    ///
    /// # Errors
    /// When the system cannot watch the connection.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub fn follow(self, orders: &Arc<Writer<Order>>) -> io::Result<Incoming<Reader, Report>> {
        orders.open(self.to.clone());
        Ok(self.reports.by(Reader::new(self.to)?))
    }
}

impl Process {
    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Whether it runs.
    fn runs(&self) -> bool {
        match &mut *self.child.lock() {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.folder.is_claimed(),
        }
    }

    /// Ends it on the spot. One that this process started is gone when this returns.
    pub fn kill(&self) {
        self.send_kill();
        if let Some(child) = &mut *self.child.lock() {
            let _ = child.wait();
        }
    }

    /// Ends it on the spot, and does not wait until it is gone.
    pub fn send_kill(&self) {
        match &mut *self.child.lock() {
            // One that has ended already is what we want.
            Some(child) => _ = child.kill(),
            None => self.kill_by_id(),
        }
    }

    /// An id may be somebody else's by now, unless its process lives: then the claim is held.
    fn kill_by_id(&self) {
        if self.folder.is_claimed()
            && let Err(error) = system::kill(self.id)
        {
            tracing::warn!(pid = self.id, %error, "an executor cannot be killed");
        }
    }

    /// Whether [`Self::cpu_time`] is told on this system.
    pub const fn tells_cpu_time() -> bool {
        cfg!(any(target_os = "linux", windows))
    }

    /// CPU time that it has used so far with all its threads; `None` once it is gone.
    pub fn cpu_time(&self) -> Option<Duration> {
        system::cpu_time(self.id)
    }

    /// Waits for its end for so long.
    fn ends_within(&self, at_most: Duration) -> bool {
        if !self.runs() {
            return true;
        }
        let is_child = self.child.lock().is_some();
        if is_child && let Some(ended) = system::ends_within(self.id, at_most) {
            return ended;
        }
        let deadline = Instant::now() + at_most;
        while self.runs() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// How it came to its end, in one line. Waits for that end for a moment, and then brings it about.
    pub fn obituary(&self) -> String {
        const MOMENT: Duration = Duration::from_secs(10);
        if !self.ends_within(MOMENT) {
            self.kill();
            return "the executor hung up and did not end; it was killed".to_owned();
        }
        let status = self.child.lock().as_mut().and_then(|child| child.try_wait().ok().flatten());
        let Some(status) = status else { return "the executor is gone".to_owned() };
        let how = format!("the executor {}", system::manner(status));
        match self.folder.last_words() {
            words if words.is_empty() || status.success() => how,
            words => format!("{how}: {words}"),
        }
    }
}
