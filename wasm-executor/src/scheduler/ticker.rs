//! Begins a new epoch every few milliseconds while a guest runs that is preempted by epochs, and sleeps otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;

use super::Scheduler;
use crate::engine::Engines;
use crate::event::Meter;

/// An epoch. Each costs some 40 µs of CPU, by a thread that is woken: 3 % of a core when there was one in every millisecond.
pub(crate) const EPOCH: Duration = Duration::from_micros(2500);

/// Epochs without such a guest before the ticker sleeps. Waking it costs a call of the kernel, which a guest that
/// sleeps and computes by turns should not pay for each time.
const IDLE_EPOCHS: u32 = 8;

/// Shared between the workers, who say that they need it, and its one thread.
pub(super) struct Ticker {
    engines: Arc<Engines>,
    /// A worker polled such a guest since the last epoch began.
    needed: AtomicBool,
    /// The thread sleeps. Changes under the lock.
    asleep: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Ticker {
    pub(super) fn new(engines: Arc<Engines>) -> Self {
        Self {
            engines,
            needed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Epochs go on from now for a while. To be said before each slice that they are to end.
    pub(super) fn needed(&self) {
        self.needed.store(true, Ordering::SeqCst);
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

    fn run(&self) {
        let mut idle = IDLE_EPOCHS;
        let mut stopped = self.stopped.lock();
        while !*stopped {
            idle = if self.needed.swap(false, Ordering::SeqCst) { 0 } else { idle + 1 };
            if idle > IDLE_EPOCHS {
                self.asleep.store(true, Ordering::SeqCst);
                if !self.needed.load(Ordering::SeqCst) {
                    self.wake.wait(&mut stopped);
                }
                self.asleep.store(false, Ordering::SeqCst);
                continue;
            }
            self.wake.wait_for(&mut stopped, EPOCH);
            self.engines.of(Meter::Epochs).for_each(Engine::increment_epoch);
        }
    }
}

/// Starts the thread. It ends when the executor does.
pub(super) fn start(scheduler: &Arc<Scheduler>) -> std::io::Result<JoinHandle<()>> {
    let scheduler = Arc::clone(scheduler);
    thread::Builder::new().name("haggle-epochs".to_owned()).spawn(move || scheduler.ticker.run())
}
