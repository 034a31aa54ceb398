//! The end of tasks that held much: the system needs longer than a slice to take that back, and other tasks would wait
//! for their worker meanwhile. So a thread of its own does it. The task pays, and is over when it is done: its memory
//! and its files are then free for the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SendError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use haggle_core::TaskId;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::Scheduler;
use super::cell::Cell;
use crate::clock::thread_cpu_time;
use crate::outcome::Outcome;
use crate::run::Remains;

/// A task that had its last turn, and what it held.
pub(super) struct Heavy {
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) cell: Arc<Cell>,
    pub(super) outcome: Outcome,
    pub(super) remains: Remains,
    /// CPU time of all turns.
    pub(super) cpu: Duration,
    /// Of the last one.
    pub(super) used: Duration,
}

/// Where workers leave them, for a thread that is started for the first one.
#[derive(Default)]
pub(super) struct Releases(Mutex<Releasing>);

#[derive(Default)]
struct Releasing {
    thread: Option<(Sender<Heavy>, JoinHandle<()>)>,
    over: bool,
}

impl Releases {
    /// Called where there are timers: what is released may need them.
    pub(super) fn leave(&self, heavy: Heavy) {
        let mut releasing = self.0.lock();
        if releasing.thread.is_none() && !releasing.over {
            releasing.thread =
                start().inspect_err(|error| tracing::warn!(%error, "workers release by themselves")).ok();
        }
        let refused = match &releasing.thread {
            Some((thread, _)) => thread.send(heavy).err().map(|SendError(heavy)| heavy),
            None => Some(heavy),
        };
        drop(releasing);
        if let Some(heavy) = refused {
            heavy.end();
        }
    }

    /// Waits until all that was left is released.
    pub(super) fn finish(&self) {
        let thread = {
            let mut releasing = self.0.lock();
            releasing.over = true;
            releasing.thread.take()
        };
        let Some((sender, thread)) = thread else { return };
        drop(sender);
        // The last handle may be dropped by the listener, on this thread.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that releases had panicked");
        }
    }
}

fn start() -> std::io::Result<(Sender<Heavy>, JoinHandle<()>)> {
    let (sender, left) = channel();
    let timers = Handle::current();
    let thread = thread::Builder::new().name("haggle-release".to_owned()).spawn(move || {
        let _timers = timers.enter();
        left.into_iter().for_each(Heavy::end);
    })?;
    Ok((sender, thread))
}

impl Heavy {
    fn end(self) {
        let Self { scheduler, cell, outcome, remains, cpu, used } = self;
        let since = thread_cpu_time();
        release(cell.task(), remains);
        let releasing = thread_cpu_time() - since;
        scheduler.end_left(&cell, used + releasing);
        scheduler.tell_end(&cell, outcome, cpu + releasing);
        // The next one may take long.
        scheduler.ticker.pass_on(&scheduler.site);
    }
}

/// Releases all that the guest held.
pub(super) fn release(task: TaskId, remains: Remains) {
    if catch_unwind(AssertUnwindSafe(|| drop(remains))).is_err() {
        tracing::error!(%task, "releasing a guest panicked");
    }
}
