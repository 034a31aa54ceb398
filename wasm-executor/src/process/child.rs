//! The child: an executor behind a socket.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::folder::Folder;
use super::lockdown::raise_open_files;
use super::records::{Listening, TaskRecords};
use super::socket::{Listener, Socket};
use super::system;
use super::watch::watch;
use super::wire::{self, Incoming, Order, WireError};
use super::{COMMAND, Setup};
use crate::config::StartError;
use crate::executor::Executor;

/// Bytes of a setup. It is some paths.
const SETUP_MAX: u64 = 1 << 20;

/// How long tasks may take to end when the process does. They end at their next slice; this is for one that is deep
/// in the system.
const END_GRACE: Duration = Duration::from_secs(5);

/// How long an agent that has connected may take to say who it is. Whoever does not is no agent.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// Why an executor's process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Started by somebody else than an agent.
    #[error("`haggle {COMMAND}` is started by agents, and is told on its standard input what to be: {0}")]
    NoSetup(String),
    /// The folder that it was started in.
    #[error("cannot {action}: {source}")]
    Folder {
        /// What was tried there.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The executor.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Is an executor, in the folder that it was started in, until it is told to end or has been left alone for too long.
/// Leaves nothing in the folder.
///
/// # Errors
/// When it cannot start. Its agent reads why in its log.
pub fn serve() -> Result<(), ServeError> {
    #[cfg(unix)]
    super::signals::reset_all_signals();
    let mut setup = setup()?;
    let folder = |action| move |source| ServeError::Folder { action, source };
    let here = std::env::current_dir().map(Folder::at).map_err(folder("find the folder that it was started in"))?;
    let claim = here.claim().map_err(folder("claim the folder that it was started in"))?;
    let listener = Folder::listen().map_err(folder("listen"))?;
    system::say_ready();

    raise_open_files();
    setup.lockdown.write.push(here.path().to_owned());
    // In one line, once: what this system does not take from a process is the same for all of them.
    let kept = setup.lockdown.apply().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if !kept.is_empty() {
        tracing::warn!("{kept}");
    }

    let records = Arc::new(TaskRecords::new());
    let executor = Executor::start(setup.executor, Listening(Arc::clone(&records)))?;
    records.launch_with(executor.clone());
    let agents = {
        let (records, executor) = (Arc::clone(&records), executor.clone());
        move || records.end(meet_agents(&listener, &records, &executor))
    };
    spawn("haggle-agents", agents)?;

    let why = watch(&records, &here, setup.recovery_timeout, setup.idle_after);
    tracing::info!(why, "the executor ends");
    records.end_queues();
    end_tasks(executor);
    if let Err(error) = here.empty() {
        tracing::warn!(%error, "the folder cannot be emptied");
    }
    drop(claim);
    Ok(())
}

fn setup() -> Result<Setup, ServeError> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(SETUP_MAX).read_to_end(&mut bytes);
    read.map_err(|error| ServeError::NoSetup(error.to_string()))?;
    postcard::from_bytes(&bytes).map_err(|error| ServeError::NoSetup(error.to_string()))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), ServeError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(ServeError::Thread)
}

/// Kills every task and waits for that, but not for ever: what is left ends with the process.
fn end_tasks(executor: Executor) {
    let (done, waiting) = mpsc::channel();
    let end = move || {
        executor.shutdown();
        let _ = done.send(());
    };
    if spawn("haggle-end", end).is_err() || waiting.recv_timeout(END_GRACE).is_err() {
        tracing::warn!("tasks are still running, and end with their process");
    }
}

/// Serves one agent after the other. Returns when one wants it to end.
fn meet_agents(listener: &Listener, records: &Arc<TaskRecords>, executor: &Executor) -> &'static str {
    loop {
        let agent = match listener.accept() {
            Ok(agent) => agent,
            Err(error) => {
                tracing::warn!(%error, "an agent cannot connect");
                // Out of descriptors or memory: that passes, or the watch ends it.
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        match converse(agent, records, executor) {
            Ok(true) => return "its agent wants it to",
            Ok(false) => tracing::info!("the agent has gone"),
            Err(error) => tracing::warn!(%error, "the agent is lost"),
        }
    }
}

/// Serves one agent. True when it wants this process to end.
fn converse(mut agent: Socket, records: &Arc<TaskRecords>, executor: &Executor) -> Result<bool, WireError> {
    wire::greet(&mut agent)?;
    agent.set_patience(Some(GREETING_MAX))?;
    let pid = wire::be_greeted(&mut agent)?;
    agent.set_patience(None)?;
    let (incarnation, writer) = records.connect();
    tracing::info!(pid, incarnation, "an agent has come");
    writer.open(agent.clone());
    let ends = listen(agent, records, executor);
    records.disconnect();
    ends
}

/// Does what the agent says until it hangs up. True when the last word was to end.
fn listen(from: impl Read, records: &TaskRecords, executor: &Executor) -> Result<bool, WireError> {
    let mut incoming = Incoming::<_, Order>::new(from);
    let mut orders = Vec::new();
    let starter = executor.starter();
    while incoming.read(&mut orders)? {
        let mut orders = orders.drain(..);
        while let Some(order) = orders.next() {
            match order {
                Order::Launch(launch) => {
                    if records.open(&launch.spec) {
                        // The next order may be to end it, so only the last one may begin here.
                        match starter.as_ref().filter(|_| orders.len() == 0) {
                            Some(starter) => starter.launch(launch),
                            None => executor.launch(launch),
                        }
                    }
                }
                Order::Open(spec) => records.open_queue(spec),
                Order::Enqueue { allocation, launch, index, at, count } => {
                    records.enqueue(allocation, launch, index, at, count);
                }
                Order::Close(allocation) => records.close_queue(allocation),
                Order::Kill(task, why) => records.kill(task, why),
                Order::Settled { allocation, ends } => records.settle(allocation, ends),
                Order::Forget(task) => records.forget(task),
                Order::Taken { task, stream, received, stored } => records.taken(task, stream, received, stored),
                Order::TellUsage { request, task } => records.tell_usage(request, executor.usage(task)),
                Order::Leave => return Ok(false),
                Order::End => return Ok(true),
            }
        }
    }
    Ok(false)
}
