//! One executor, as its agent sees it: what it is told, and the task that hears it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haggle_core::{QueueEnd, Source, TaskId};
use haggle_executor::Stream;
use haggle_executor::process::{Blank, Connection, Folder, Order, Process, Report, StartFailure, WireError, Writer};
use tokio::runtime::Handle;

use super::{Mount, Plan, recovery};
use crate::aside::aside;
use crate::blank::Starting;
use crate::inbox::Inbox;
use crate::logs::Logs;
use crate::message::{Key, Message};

/// Who is told what an executor says.
#[derive(Clone, Debug)]
pub(super) struct Ears {
    pub(super) inbox: Arc<Inbox<Message>>,
    pub(super) logs: Arc<Logs>,
}

/// One executor.
#[derive(Debug)]
pub(super) struct Peer {
    line: Arc<Line>,
    /// The volumes that it reaches. What one of an earlier agent reaches is not known, unless it is none: then it is given nothing
    /// more.
    pub(super) reaches: Option<Vec<Mount>>,
    /// Its tasks that have not ended.
    pub(super) running: HashSet<TaskId>,
    /// Its tasks that are not forgotten.
    pub(super) held: usize,
    /// Its framework has left.
    pub(super) unwanted: bool,
    /// It was told to end.
    pub(super) ends: bool,
    /// Whether its tasks run on what is idle only.
    pub(super) is_idle_only: bool,
    /// CPU time that it had used when it was last looked at.
    cpu: Duration,
}

/// What the peer and its task share.
#[derive(Debug)]
struct Line {
    orders: Arc<Writer<Order>>,
    /// Known once it is connected.
    process: OnceLock<Arc<Process>>,
    /// It is left to another agent: that it hangs up is not its end.
    left: AtomicBool,
}

impl Peer {
    /// Has a process started, or takes the one that waits already. It may be told things at once. Whatever goes wrong is told as its
    /// end.
    #[expect(clippy::too_many_arguments, reason = "each is what another part of the agent knows")]
    pub(super) fn start(
        key: Key,
        is_idle_only: bool,
        plan: Arc<Plan>,
        reaches: Vec<Mount>,
        first: Option<Starting>,
        ears: Ears,
        living: Sender<()>,
        runtime: &Handle,
    ) -> Self {
        let peer = Self::new(is_idle_only, Some(reaches.clone()), Arc::default());
        let line = Arc::clone(&peer.line);
        runtime.spawn(async move {
            let end = match aside(move || start(key, is_idle_only, &plan, &reaches, first)).await {
                Ok(connection) => attend(key, connection, &line, &ears).await,
                Err(failure) => Some(format!("the executor did not start: {failure}")),
            };
            over(key, end, &line, &ears, living);
        });
        peer
    }

    /// Goes on with one that is connected already.
    pub(super) fn adopted(
        key: Key,
        is_idle_only: bool,
        connection: Connection,
        orders: Arc<Writer<Order>>,
        ears: Ears,
        living: Sender<()>,
        runtime: &Handle,
    ) -> Self {
        let reaches = (!marker(connection.process.folder()).exists()).then(Vec::new);
        let peer = Self::new(is_idle_only, reaches, orders);
        let line = Arc::clone(&peer.line);
        runtime.spawn(async move {
            let end = attend(key, connection, &line, &ears).await;
            over(key, end, &line, &ears, living);
        });
        peer
    }

    fn new(is_idle_only: bool, reaches: Option<Vec<Mount>>, orders: Arc<Writer<Order>>) -> Self {
        Self {
            line: Arc::new(Line { orders, process: OnceLock::new(), left: AtomicBool::new(false) }),
            reaches,
            running: HashSet::new(),
            held: 0,
            unwanted: false,
            ends: false,
            is_idle_only,
            cpu: Duration::ZERO,
        }
    }

    /// Tells it something, with the next [`Self::flush`].
    ///
    /// # Errors
    /// When a path in it is not Unicode.
    pub(super) fn tell(&self, order: &Order) -> Result<(), WireError> {
        self.line.orders.push(order)
    }

    /// Sends what it is to be told.
    pub(super) fn flush(&self) {
        self.line.orders.flush();
    }

    /// CPU time that it has used since this was asked last, with all its threads.
    pub(super) fn cpu_since_last(&mut self) -> Duration {
        let told = self.line.process.get().and_then(|process| process.cpu_time());
        let now = told.unwrap_or(self.cpu);
        now.saturating_sub(std::mem::replace(&mut self.cpu, now))
    }

    /// Has it end with its tasks.
    pub(super) fn end(&mut self) {
        if !self.ends {
            self.ends = true;
            let _ = self.tell(&Order::End);
            self.flush();
        }
    }

    /// Whether nothing is lost when it ends.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && !self.ends
    }

    /// Has it end if there is nothing to keep it for.
    pub(super) fn end_if_done(&mut self) {
        if self.unwanted && self.held == 0 {
            self.end();
        }
    }

    /// Leaves it to another agent.
    pub(super) fn leave(&mut self) {
        self.line.left.store(true, Ordering::Release);
        let _ = self.tell(&Order::Leave);
        self.flush();
    }

    /// Leaves its end to whoever kills it, and its folder to whoever removes that of the agent. False when it is not connected yet:
    /// then nothing was done.
    pub(super) fn forget(&mut self) -> bool {
        let is_connected = self.line.process.get().is_some();
        self.line.left.fetch_or(is_connected, Ordering::AcqRel);
        is_connected
    }

    /// Ends it, and does not wait for that.
    pub(super) fn send_kill(&self) {
        if let Some(process) = self.line.process.get() {
            process.send_kill();
        }
    }

    /// Ends it, and waits for that.
    pub(super) fn kill(&self) {
        if let Some(process) = self.line.process.get() {
            process.kill();
        }
    }
}

/// In the folder of an executor that reaches volumes, so that the next agent knows.
fn marker(folder: &Folder) -> PathBuf {
    folder.path().join("reaches-volumes")
}

fn start(
    key: Key,
    is_idle_only: bool,
    plan: &Plan,
    reaches: &[Mount],
    first: Option<Starting>,
) -> Result<Connection, StartFailure> {
    let started = first.map(Starting::started).transpose().unwrap_or_else(|error| {
        tracing::debug!(%error, "a process did not start that was to be the first executor");
        None
    });
    let blank = match started {
        Some(blank) => blank,
        None => {
            let path = plan.dir.join(recovery::folder_name(key, is_idle_only));
            let folder = Folder::create(&path).map_err(|source| StartFailure::Folder { folder: path, source })?;
            Blank::start(&plan.program, &folder)?
        }
    };
    let folder = blank.folder().clone();
    if !reaches.is_empty() {
        fs::write(marker(&folder), [])
            .map_err(|source| StartFailure::Folder { folder: folder.path().to_owned(), source })?;
    }
    let mut setup = plan.setup.clone();
    for (volume, writable) in reaches {
        let lockdown = &mut setup.lockdown;
        if *writable { &mut lockdown.write } else { &mut lockdown.read }.push(volume.clone());
    }
    setup.executor.scratch_dir = folder.scratch();
    setup.executor.idle_only = is_idle_only;
    blank.become_executor(&setup)
}

/// Hears it until it hangs up. Says how it came to its end, unless it lives on.
async fn attend(key: Key, connection: Connection, line: &Arc<Line>, ears: &Ears) -> Option<String> {
    let process = Arc::clone(&connection.process);
    let _ = line.process.set(Arc::clone(&process));
    let mut end = None;
    match connection.follow(&line.orders) {
        Ok(mut incoming) => {
            let mut reports = Vec::new();
            loop {
                match incoming.hear(&mut reports).await {
                    Ok(true) => ears.hear_as_a_task(key, &mut reports, line).await,
                    Ok(false) => break,
                    Err(error) => {
                        end = Some(format!("the connection to the executor broke: {error}"));
                        break;
                    }
                }
            }
        }
        Err(error) => end = Some(format!("cannot follow what the executor says: {error}")),
    }
    if line.left.load(Ordering::Acquire) {
        return None;
    }
    Some(aside(move || bury(&process, end)).await)
}

/// Waits for its end, removes its folder, and says how it ended.
fn bury(process: &Process, end: Option<String>) -> String {
    if end.is_some() {
        // It lives, and cannot be spoken to.
        process.kill();
    }
    let obituary = process.obituary();
    if let Err(error) = process.folder().remove() {
        tracing::warn!(folder = %process.folder().path().display(), %error, "an executor's folder cannot be removed");
    }
    end.unwrap_or(obituary)
}

/// Nobody hears it any more.
fn over(key: Key, end: Option<String>, line: &Line, ears: &Ears, living: Sender<()>) {
    line.orders.close();
    if let Some(why) = end {
        ears.inbox.push(Message::ExecutorGone(key, why));
    }
    drop(living);
}

impl Ears {
    /// As [`Self::hear`]. What is to be kept of it may have to wait for a disk, and its executor with it; nobody else does.
    async fn hear_as_a_task(&self, key: Key, reports: &mut Vec<Report>, line: &Arc<Line>) {
        if !reports.iter().any(|report| matches!(report, Report::Output { .. })) {
            return self.hear(key, reports.drain(..), &line.orders);
        }
        let (ears, line, reports) = (self.clone(), Arc::clone(line), std::mem::take(reports));
        aside(move || ears.hear(key, reports.into_iter(), &line.orders)).await;
    }

    /// Passes on what an executor says. Output is kept before an end is told: who hears of an end can read
    /// everything that came before it.
    pub(super) fn hear(&self, key: Key, reports: impl Iterator<Item = Report>, orders: &Arc<Writer<Order>>) {
        let mut news = Vec::new();
        let mut taken: HashMap<(TaskId, Stream), (u64, u64)> = HashMap::new();
        for report in reports {
            match report {
                Report::Started(task) => news.push(Message::Started(task)),
                Report::Output { task, stream, offset, bytes } => {
                    if offset == 0 {
                        // One in a queue has a log from its first output on: most never write anything.
                        self.logs.open(task);
                    }
                    let stored = self.logs.append(task, stream, offset, &bytes);
                    taken.insert((task, stream), (offset + bytes.len() as u64, stored));
                }
                Report::Ended(task, ending) => {
                    self.logs.end(task);
                    // Nobody waits for room any more.
                    taken.remove(&(task, Stream::Stdout));
                    taken.remove(&(task, Stream::Stderr));
                    news.push(Message::Ended(task, ending));
                }
                Report::QueueNews { allocation, started, ended } => {
                    for &(number, ..) in ended.iter().filter(|(_, count, _)| *count == 1) {
                        let task = TaskId { number, ..allocation };
                        self.logs.end(task);
                        taken.retain(|(of, _), _| *of != task);
                    }
                    let end = |(first, count, ending)| QueueEnd { first, count, source: Source::Executor, ending };
                    let ended = ended.into_iter().map(end).collect();
                    news.push(Message::QueueNews { allocation, started, ended });
                }
                Report::Usage { request, usage } => news.push(Message::Usage(request, usage)),
                Report::Idle => news.push(Message::ExecutorIdle(key)),
                // What it held was taken stock of when it was found.
                Report::Held(_) | Report::HeldQueue { .. } | Report::Stopped(..) | Report::Complete { .. } => {}
            }
        }
        self.inbox.push_all(news);
        for ((task, stream), (received, stored)) in taken {
            // It holds no path.
            let _ = orders.push(&Order::Taken { task, stream, received, stored });
        }
        orders.flush();
    }
}
