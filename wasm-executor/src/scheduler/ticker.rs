//! Does what is due every few milliseconds while workers ask for it, and sleeps otherwise: a new epoch, where a guest runs
//! that is preempted by epochs, and the end of the wait of news that a worker holds back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;

use super::Scheduler;
use super::worker::pause;
use crate::event::Meter;
use crate::site::Site;

/// An epoch. Each costs some 40 µs of CPU, by a thread that is woken: 3 % of a core when there was one in every millisecond.
pub(crate) const EPOCH: Duration = Duration::from_micros(2500);

/// Epochs without a worker that needs them before the ticker sleeps. Waking it costs a call of the kernel, which a guest that
/// sleeps and computes by turns should not pay for each time.
const IDLE_EPOCHS: u32 = 8;

/// Shared between the workers, who say that they need it, and its one thread.
pub(super) struct Ticker {
    /// A worker polled a guest that is preempted by epochs since the last one began.
    needed: AtomicBool,
    /// Workers that poll one now.
    slices: AtomicUsize,
    /// A worker has held news back since the last epoch began.
    holds_news: AtomicBool,
    /// The thread sleeps. Changes under the lock.
    asleep: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self {
            needed: AtomicBool::new(false),
            slices: AtomicUsize::new(0),
            holds_news: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Epochs go on from now until what this gives is dropped, and for a while after that. To be held in each slice that they are to
    /// end: the system may hold its thread up for any time before the guest knows which epoch it may run to.
    pub(super) fn epochs(&self) -> Epochs<'_> {
        self.slices.fetch_add(1, Ordering::SeqCst);
        self.wanted(&self.needed);
        Epochs(self)
    }

    /// News is held back. It is passed on within two epochs, if no worker does so before.
    pub(super) fn holds_news(&self) {
        self.wanted(&self.holds_news);
    }

    fn wanted(&self, what: &AtomicBool) {
        what.store(true, Ordering::SeqCst);
        // Whoever stores first sees the other's: either the thread finds that it is needed, or it is woken here.
        if self.asleep.load(Ordering::SeqCst) {
            let _stopped = self.stopped.lock();
            self.wake.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_one();
    }

    fn run(&self, site: &Site) {
        let mut idle = IDLE_EPOCHS;
        let mut stopped = self.stopped.lock();
        while !*stopped {
            let news = self.holds_news.swap(false, Ordering::SeqCst);
            let needed = self.needed.swap(false, Ordering::SeqCst) || self.is_in_slice() || news;
            idle = if needed { 0 } else { idle + 1 };
            if idle > IDLE_EPOCHS {
                self.asleep.store(true, Ordering::SeqCst);
                if !self.is_wanted() {
                    self.wake.wait(&mut stopped);
                }
                self.asleep.store(false, Ordering::SeqCst);
                continue;
            }
            self.wake.wait_for(&mut stopped, EPOCH);
            site.engines.of(Meter::Epochs).for_each(Engine::increment_epoch);
            if news && pause(&*site.listener) {
                self.holds_news.store(true, Ordering::SeqCst);
            }
        }
    }

    fn is_wanted(&self) -> bool {
        self.needed.load(Ordering::SeqCst) || self.is_in_slice() || self.holds_news.load(Ordering::SeqCst)
    }

    fn is_in_slice(&self) -> bool {
        self.slices.load(Ordering::SeqCst) > 0
    }
}

/// See [`Ticker::epochs`].
pub(super) struct Epochs<'a>(&'a Ticker);

impl Drop for Epochs<'_> {
    fn drop(&mut self) {
        self.0.slices.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts the thread. It ends when the executor does.
pub(super) fn start(scheduler: &Arc<Scheduler>) -> std::io::Result<JoinHandle<()>> {
    let scheduler = Arc::clone(scheduler);
    thread::Builder::new().name("haggle-epochs".to_owned()).spawn(move || scheduler.ticker.run(&scheduler.site))
}
