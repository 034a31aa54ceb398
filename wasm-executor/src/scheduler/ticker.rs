//! Does what is due while workers ask for it, and sleeps otherwise: a new epoch every few milliseconds, where a guest runs
//! that is preempted by epochs, and the end of the wait of news that was held back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use haggle_core::Now;
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

/// No news is held back.
const NO_NEWS: u64 = u64::MAX;

/// Shared between the workers, who say that they need it, and its one thread.
pub(super) struct Ticker {
    /// A worker polled a guest that is preempted by epochs since the last one began.
    needed: AtomicBool,
    /// Workers that poll one now.
    slices: AtomicUsize,
    /// When news that was held back is to be passed on, in nanoseconds of the executor's clock; [`NO_NEWS`] without any.
    news: AtomicU64,
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
            news: AtomicU64::new(NO_NEWS),
            asleep: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Epochs go on from now until what this gives is dropped, and for a while after that. To be held in each slice that they are to
    /// end: the system may hold its thread up for any time before the guest knows which epoch it may run to.
    pub(super) fn epochs(&self) -> Epochs<'_> {
        self.slices.fetch_add(1, Ordering::SeqCst);
        self.needed.store(true, Ordering::SeqCst);
        self.wake();
        Epochs(self)
    }

    /// News is held back. It is passed on then, if no worker does so before.
    pub(super) fn holds_news(&self, until: Now) {
        // Who is woken for what is due sooner does the rest as well.
        let until = nanos(until);
        if until < self.news.fetch_min(until, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Has the news passed on now, or what can wait then.
    pub(super) fn pass_on(&self, site: &Site) {
        if let Some(waits) = pause(&*site.listener) {
            self.holds_news(site.clock.now() + waits);
        }
    }

    /// After what it is to do was stored: whoever stores first sees the other's, so either the thread finds it, or is woken here.
    fn wake(&self) {
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
            let needed = self.needed.swap(false, Ordering::SeqCst) || self.is_in_slice();
            idle = if needed { 0 } else { idle.saturating_add(1) };
            if idle > IDLE_EPOCHS {
                self.asleep.store(true, Ordering::SeqCst);
                let until = self.news.load(Ordering::SeqCst);
                if !self.needed.load(Ordering::SeqCst) && !self.is_in_slice() {
                    match until {
                        NO_NEWS => self.wake.wait(&mut stopped),
                        _ => {
                            let waits = until.saturating_sub(nanos(site.clock.now()));
                            self.wake.wait_for(&mut stopped, Duration::from_nanos(waits));
                        }
                    }
                }
                self.asleep.store(false, Ordering::SeqCst);
            } else {
                self.wake.wait_for(&mut stopped, EPOCH);
                site.engines.of(Meter::Epochs).for_each(Engine::increment_epoch);
            }
            if self.news.load(Ordering::SeqCst) <= nanos(site.clock.now()) {
                self.news.store(NO_NEWS, Ordering::SeqCst);
                self.pass_on(site);
            }
        }
    }

    fn is_in_slice(&self) -> bool {
        self.slices.load(Ordering::SeqCst) > 0
    }
}

/// Since the executor started.
fn nanos(at: Now) -> u64 {
    u64::try_from(at.since(Now::ZERO).as_nanos()).unwrap_or(NO_NEWS)
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
