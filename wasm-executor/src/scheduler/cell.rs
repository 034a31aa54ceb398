//! One task between its turns: its future, its meters, and who may touch it when.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Wake;
use std::time::Duration;

use haggle_core::{Bytes, Fuel, MilliCpu, Now, TaskId, TaskSpec, Usage};
use parking_lot::Mutex;

use super::Scheduler;
use super::queue::Share;
use super::turn::Key;
use crate::charge::{Debt, helped};
use crate::engine::Pool;
use crate::event::{Event, Launch, Listener, Meter};
use crate::meters::Meters;
use crate::outcome::Outcome;
use crate::run::{Remains, run};
use crate::site::Site;
use crate::wasi::Output;

/// The guest, suspended.
pub(super) type Guest = Pin<Box<dyn Future<Output = (Outcome, Remains)> + Send>>;

/// Bytes of memory that a worker gives back within a millisecond: the system needs 0.1 ms for each MiB that was touched.
const HEAVY: u64 = 8 << 20;

/// In the queue, waiting for a turn. Being woken changes nothing.
const QUEUED: u8 = 0;
/// A worker polls it.
const RUNNING: u8 = 1;
/// A worker polls it, and it was woken meanwhile: it wants to go on.
const WOKEN: u8 = 2;
/// It waits for something. Being woken puts it in the queue.
const ASLEEP: u8 = 3;

/// A task as its workers see it.
pub(super) struct Cell {
    pub(super) key: Key,
    launch: Launch,
    state: AtomicU8,
    killed: AtomicBool,
    admitted: AtomicBool,
    pool: OnceLock<Pool>,
    started: OnceLock<Now>,
    /// Made by the first turn.
    output: OnceLock<Arc<Output>>,
    meters: Arc<Meters>,
    /// Locked by the one worker that has the turn; never waited for.
    pub(super) body: Mutex<Body>,
    /// Where it is woken, once it has slept.
    scheduler: OnceLock<Weak<Scheduler>>,
}

/// What only the worker with the turn touches.
#[derive(Default)]
pub(super) struct Body {
    /// Made by the first turn, gone after the last.
    pub(super) guest: Option<Guest>,
    /// Of all turns.
    pub(super) cpu: Duration,
    /// Whether the queue knows when the task has to end.
    pub(super) deadline_set: bool,
}

impl Cell {
    pub(super) fn new(key: Key, launch: Launch) -> Self {
        Self {
            key,
            state: AtomicU8::new(QUEUED),
            killed: AtomicBool::new(false),
            admitted: AtomicBool::new(false),
            pool: OnceLock::new(),
            started: OnceLock::new(),
            output: OnceLock::new(),
            meters: Arc::default(),
            body: Mutex::default(),
            scheduler: OnceLock::new(),
            launch,
        }
    }

    pub(super) fn task(&self) -> TaskId {
        self.launch.spec.id
    }

    pub(super) fn meter(&self) -> Meter {
        self.launch.meter
    }

    /// CPU time that others spent for the task.
    pub(super) fn debt(&self) -> &Arc<Debt> {
        self.meters.debt()
    }

    /// CPU time of all turns so far.
    pub(super) fn used(&self, cpu: Duration) {
        self.meters.cpu_used(cpu);
    }

    /// How long its ceiling held it back, now that it is over.
    pub(super) fn was_throttled(&self, time: Duration) {
        self.meters.was_throttled(time);
    }

    pub(super) fn share(&self) -> Share {
        let TaskSpec { resources, sharing, .. } = &*self.launch.spec;
        // What is revocable is no promise: it is a burst, which is served while nobody wants what is promised.
        let burst = resources.revocable.saturating_add(sharing.burst);
        // A task without cpus competes for nothing but what is left over.
        let wanted = if resources.cpus > MilliCpu::ZERO { resources.cpus } else { burst };
        Share { ceiling: resources.cpus, weight: sharing.weight.unwrap_or(wanted), burst }
    }

    pub(super) fn admit(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    /// There is a place for its instance. It keeps the one that it got first.
    pub(super) fn take_place(&self, pool: Pool) {
        let _ = self.pool.set(pool);
    }

    /// Where its instance lives, from its first turn on.
    pub(super) fn pool(&self) -> Option<Pool> {
        self.pool.get().copied()
    }

    pub(super) fn request_kill(&self) {
        self.killed.store(true, Ordering::Release);
    }

    /// Whether it was to end before it began: then it needs no place.
    pub(super) fn needs_place(&self) -> bool {
        self.pool().is_none() && !self.killed.load(Ordering::Acquire)
    }

    /// What runs the task when it is polled.
    pub(super) fn guest(self: &Arc<Self>, site: &Arc<Site>) -> Guest {
        let output = Output::new(&self.launch.spec, Arc::clone(&self.meters), Arc::clone(&site.listener));
        let output = Arc::clone(self.output.get_or_init(|| Arc::new(output)));
        let (cell, site) = (Arc::clone(self), Arc::clone(site));
        Box::pin(async move {
            let started = || {
                let _ = cell.started.set(site.clock.now());
                site.listener.hear(Event::Started { task: cell.task() });
            };
            let pool = cell.pool().expect("an admitted task finds a place for its first turn");
            run(&site, &cell.launch, pool, &output, &cell.meters, started).await
        })
    }

    /// Whether it had no turn yet.
    pub(super) fn is_new(&self) -> bool {
        self.output.get().is_none()
    }

    /// Sends on what it wrote so far. A turn is over.
    pub(super) fn flush(&self) {
        if let Some(output) = self.output.get() {
            output.flush();
        }
    }

    /// Why the task must end now, if it must.
    pub(super) fn must_end(&self, now: impl FnOnce() -> Now) -> Option<Outcome> {
        if self.killed.load(Ordering::Acquire) {
            return Some(Outcome::killed());
        }
        let limit = self.launch.spec.limits.time?;
        let ran = now() - *self.started.get()?;
        (ran >= limit).then(|| Outcome::time(limit, ran))
    }

    /// When it has to end, once it has started.
    pub(super) fn deadline(&self) -> Option<Now> {
        Some(*self.started.get()? + self.launch.spec.limits.time?)
    }

    pub(super) fn turn_begins(&self) {
        self.state.store(RUNNING, Ordering::Release);
    }

    /// Whether the task was woken since it last said so, and wants to go on.
    pub(super) fn goes_on(&self) -> bool {
        self.state.compare_exchange(WOKEN, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(super) fn queue_up(&self) {
        self.state.store(QUEUED, Ordering::Release);
    }

    /// False when the task was woken in the last moment.
    pub(super) fn fall_asleep(&self, scheduler: &Arc<Scheduler>) -> bool {
        self.scheduler.get_or_init(|| Arc::downgrade(scheduler));
        self.state.compare_exchange(RUNNING, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Says that the task is over. Comes last, and once.
    pub(super) fn end(&self, listener: &dyn Listener, outcome: Outcome, cpu: Duration, now: Now) {
        self.flush();
        let usage = self.usage(cpu, self.meters.throttled(), now);
        listener.hear(Event::Ended { task: self.task(), ending: outcome.ending(usage) });
    }

    /// What it has used up to this moment, of which the queue knows how long its ceiling held it back. Its processor time is that of
    /// the turns that are over.
    pub(super) fn usage_so_far(&self, throttled: Duration, now: Now) -> Usage {
        self.usage(self.meters.cpu(), throttled, now)
    }

    fn usage(&self, cpu: Duration, throttled: Duration, now: Now) -> Usage {
        Usage {
            cpu,
            throttled,
            wall: self.started.get().map_or(Duration::ZERO, |&started| now - started),
            fuel: Fuel::new(self.meters.fuel()),
            peak_mem: Bytes::new(self.meters.peak_mem()),
            peak_disk: Bytes::new(self.meters.peak_disk()),
            output: Bytes::new(self.output.get().map_or(0, |output| output.written())),
            net: Bytes::new(self.meters.net()),
        }
    }

    /// Whether releasing what it held may take longer than a slice: much memory, or a folder with any number of files.
    pub(super) fn is_heavy(&self) -> bool {
        self.meters.peak_mem() >= HEAVY || !self.launch.spec.resources.disk.is_zero()
    }

    /// Ends a task that never had a turn.
    pub(super) fn end_unrun(&self, listener: &dyn Listener, outcome: Outcome) {
        self.end(listener, outcome, Duration::ZERO, Now::ZERO);
    }
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            RUNNING => Some(WOKEN),
            ASLEEP => Some(QUEUED),
            _ => None,
        });
        if woken == Ok(ASLEEP)
            && let Some(scheduler) = self.scheduler.get().and_then(Weak::upgrade)
        {
            self.meters.debt().charge(helped());
            scheduler.wake(self.key);
        }
    }
}
