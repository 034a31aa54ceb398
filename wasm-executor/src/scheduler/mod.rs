//! Runs tasks on threads of its own, each at its share and below its ceiling.

mod arrivals;
mod bucket;
mod cell;
mod queue;
mod release;
mod rooms;
mod starter;
mod stride;
mod ticker;
mod turn;
mod worker;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haggle_core::{Now, TaskId, Usage};
use rustc_hash::FxBuildHasher;

use arrivals::Arrivals;
use cell::Cell;
use queue::{Queue, Rest};
use release::Releases;
use rooms::{Lane, Room};
pub use starter::Starter;
pub(crate) use ticker::EPOCH;
use ticker::Ticker;
use turn::{Key, Pressure, Turn};
pub(crate) use worker::start;

use crate::event::{Launch, Meter};
use crate::outcome::Outcome;
use crate::site::Site;

/// What workers and callers share.
pub(crate) struct Scheduler {
    site: Site,
    /// How many threads do nothing but run guests.
    workers: usize,
    ticker: Ticker,
    releases: Releases,
    next_key: AtomicU64,
    arrivals: Arrivals<Arc<Cell>>,
    /// Held for a microsecond, as a rule. The standard library's lock spins for as long; parking_lot's gives the processor
    /// away before that, which costs two workers 3 % of a short task.
    state: Mutex<State>,
    /// Workers that wait. Changes under the lock.
    idle: AtomicUsize,
    /// Idle workers wait here, all but one.
    work: Condvar,
    /// The one idle worker that also watches the queue's timers waits here.
    timekeeper: Condvar,
    /// Mirrors [`Queue::pressure`], so that a worker can look without the lock. No less than fresh while there are arrivals.
    pressure: AtomicU8,
}

#[derive(Default)]
struct State {
    queue: Queue,
    cells: HashMap<Key, Arc<Cell>, FxBuildHasher>,
    by_task: HashMap<TaskId, Key, FxBuildHasher>,
    /// For each form of modules.
    lanes: [Lane; 2],
    rooms: Vec<Room>,
    /// Tasks that had a first turn, ever.
    begun: u64,
    /// Empty but while tasks are let in.
    arrived: Vec<Arc<Cell>>,
    /// Until when the timekeeper waits, while there is one; `None` inside is for ever.
    timekeeper: Option<Option<Now>>,
    shut_down: bool,
}

/// What a worker does next.
struct Next {
    turn: Turn,
    cell: Arc<Cell>,
    /// The worker slept until it was there.
    waited: bool,
}

/// What becomes of a task after a turn.
enum After {
    /// It wants to go on, or sleeps.
    Rest(Stay),
    /// It was the last one.
    Over,
}

/// How a task that is not over gives its turn back.
struct Stay {
    /// What the guest wanted when it was polled last.
    sleeps: bool,
    /// For the queue to know, if it does not yet.
    deadline: Option<Now>,
    /// Whether others wanted it, of a turn of what is left over.
    crowded: Option<bool>,
}

/// Tasks that a worker lets in at each door before it takes a turn: half a microsecond each.
const LET_IN: usize = 32;

impl Scheduler {
    pub(crate) fn new(site: Site, workers: usize) -> Arc<Self> {
        let (workers, mut state) = (workers.max(1), State::default());
        state.rooms.resize_with(site.engines.count(), Room::default);
        for meter in [Meter::Fuel, Meter::Epochs] {
            state.lanes[meter as usize].max = site.engines.tasks(meter);
            for pool in site.engines.pools(meter) {
                state.rooms[site.engines.index(pool)].free = site.engines.capacity(pool);
            }
        }
        Arc::new(Self {
            ticker: Ticker::new(),
            releases: Releases::default(),
            site,
            workers,
            next_key: AtomicU64::new(0),
            arrivals: Arrivals::new(workers),
            state: Mutex::new(state),
            idle: AtomicUsize::new(0),
            work: Condvar::new(),
            timekeeper: Condvar::new(),
            pressure: AtomicU8::new(Pressure::None as u8),
        })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    fn now(&self) -> Now {
        self.site.clock.now()
    }

    /// Without those that have just arrived.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With all that were launched.
    fn lock_with_all(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        self.let_in(&mut state, |arrived| self.arrivals.take(usize::MAX, arrived));
        state
    }

    /// A task that is still here is not launched twice; the repeated message is dropped.
    pub(crate) fn launch(&self, launch: Launch) {
        // Whoever is first sees the other: a worker that is about to wait looks for arrivals, or is called here.
        if self.arrive(launch).is_some() && self.idle.load(Ordering::SeqCst) > 0 {
            self.call_worker(&self.lock());
        }
    }

    /// `None` when nobody comes any more.
    fn arrive(&self, launch: Launch) -> Option<Key> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        if let Err(cell) = self.arrivals.push(Arc::new(Cell::new(key, launch))) {
            cell.end_unrun(&*self.site.listener, Outcome::broken("the executor is shutting down"));
            return None;
        }
        self.somebody_came();
        Some(key)
    }

    /// Launches a task, and gives its first turn if every worker is idle and nobody else wants one.
    fn arrive_and_take_turn(&self, launch: Launch, number: usize) -> Option<(Turn, Arc<Cell>)> {
        let key = self.arrive(launch)?;
        let mut state = self.lock();
        let now = self.now();
        state.queue.advance(now);
        let mut taken = None;
        if self.idle.load(Ordering::SeqCst) == self.workers && state.queue.waiting() == 0 {
            self.let_in(&mut state, |arrived| self.arrivals.take_one(number, arrived));
            // It may be another one, or have to wait for room.
            if state.cells.contains_key(&key) && state.queue.waiting() == 1 {
                taken = self.take_next(&mut state, number, now);
            }
        }
        self.call_worker(&state);
        self.publish(&state);
        taken
    }

    /// No thread runs a guest any more: what was left to release is released.
    pub(crate) fn finish(&self) {
        self.releases.finish();
    }

    /// Lets in those whose turn it may be. While nobody waits that is one; they all compete as soon as somebody waits who
    /// has run before.
    fn let_in_some(&self, state: &mut State, worker: usize) {
        if state.queue.waiting() == 0 {
            self.let_in(state, |arrived| self.arrivals.take_one(worker, arrived));
        } else if !state.queue.only_newcomers_wait() {
            self.let_in(state, |arrived| self.arrivals.take(LET_IN, arrived));
        }
    }

    fn let_in(&self, state: &mut State, take: impl FnOnce(&mut Vec<Arc<Cell>>)) {
        let mut arrived = std::mem::take(&mut state.arrived);
        take(&mut arrived);
        for cell in arrived.drain(..) {
            match state.by_task.entry(cell.task()) {
                Entry::Vacant(entry) => entry.insert(cell.key),
                Entry::Occupied(_) => {
                    tracing::warn!(task = %cell.task(), "launched twice; goes on as it was");
                    continue;
                }
            };
            state.cells.insert(cell.key, Arc::clone(&cell));
            let lane = &mut state.lanes[cell.meter() as usize];
            if lane.admitted < lane.max {
                state.admit(&cell, self.now());
            } else {
                lane.waiting.push_back(cell.key);
            }
        }
        state.arrived = arrived;
    }

    /// Nothing happens when the task is not here.
    pub(crate) fn kill(&self, task: TaskId) {
        let mut state = self.lock_with_all();
        if let Some(&key) = state.by_task.get(&task) {
            self.kill_key(&mut state, key);
        }
        self.call_worker(&state);
        self.publish(&state);
    }

    fn kill_key(&self, state: &mut State, key: Key) {
        let Some(cell) = state.cells.get(&key).cloned() else { return };
        cell.request_kill();
        if !cell.is_admitted() {
            // It takes no room to end a task that never began.
            state.admit(&cell, self.now());
        }
        state.queue.interrupt(key, self.now());
    }

    /// Ends every task as killed; the workers go once all have ended.
    pub(crate) fn shut_down(&self) {
        self.arrivals.close();
        let mut state = self.lock_with_all();
        state.shut_down = true;
        let keys: Vec<Key> = state.cells.keys().copied().collect();
        for key in keys {
            self.kill_key(&mut state, key);
        }
        self.publish(&state);
        self.work.notify_all();
        self.timekeeper.notify_all();
    }

    /// What a task has used so far; `None` when it is not here.
    pub(crate) fn usage(&self, task: TaskId) -> Option<Usage> {
        let state = self.lock_with_all();
        let key = state.by_task.get(&task)?;
        let now = self.now();
        let throttled = state.queue.throttled(*key, now);
        Some(state.cells.get(key)?.usage_so_far(throttled, now))
    }

    pub(crate) fn tasks(&self) -> usize {
        self.lock_with_all().cells.len()
    }

    pub(crate) fn idle_workers(&self) -> usize {
        let _state = self.lock();
        self.idle.load(Ordering::SeqCst)
    }

    /// A task that slept was woken, by a timer or another thread.
    fn wake(&self, key: Key) {
        let mut state = self.lock();
        state.queue.wake(key, self.now());
        self.call_worker(&state);
        self.publish(&state);
    }

    /// Gets an idle worker to do what there is to do, if there is an idle worker. Whoever takes a turn calls
    /// the next one, so one call is enough for any number of turns.
    fn call_worker(&self, state: &State) {
        if state.queue.waiting() > 0 || self.arrivals.any() {
            if self.idle.load(Ordering::SeqCst) > usize::from(state.timekeeper.is_some()) {
                self.work.notify_one();
            } else if state.timekeeper.is_some() {
                self.timekeeper.notify_one();
            }
        } else if state.timekeeper.is_some() {
            self.call_timekeeper(state);
        } else if state.queue.next_timer().is_some() {
            self.work.notify_one();
        }
    }

    /// A timer that is due before the timekeeper would look is its business now.
    fn call_timekeeper(&self, state: &State) {
        if let (Some(until), Some(next)) = (state.timekeeper, state.queue.next_timer())
            && until.is_none_or(|until| next < until)
        {
            self.timekeeper.notify_one();
        }
    }

    fn publish(&self, state: &State) {
        let pressure = state.queue.pressure() as u8;
        // Every write takes it away from the other processors.
        if self.pressure.load(Ordering::Relaxed) != pressure {
            self.pressure.store(pressure, Ordering::SeqCst);
        }
        if self.arrivals.any() {
            self.somebody_came();
        }
    }

    /// Turns are shorter while somebody is there who just came.
    fn somebody_came(&self) {
        if self.pressure.load(Ordering::SeqCst) < Pressure::Fresh as u8 {
            self.pressure.fetch_max(Pressure::Fresh as u8, Ordering::SeqCst);
        }
    }

    /// The next turn of this worker, as soon as there is one; `None` when the executor is over.
    fn next_turn(&self, worker: usize) -> Option<Next> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if let Some((turn, cell)) = self.take_turn(&mut state, worker) {
                self.call_worker(&state);
                self.publish(&state);
                return Some(Next { turn, cell, waited });
            }
            if state.shut_down && state.cells.is_empty() {
                drop(state);
                // Not before: a guest whose slice began just before it was killed is interrupted by an epoch.
                self.ticker.stop();
                return None;
            }
            state = self.wait(state);
            waited = true;
        }
    }

    /// Gives a turn back, in which the task used so much, and takes the next one, if there is one: at one go, since all
    /// workers wait for the lock.
    ///
    /// Without a worker's number none is taken.
    fn change_turns(
        self: &Arc<Self>,
        worker: Option<usize>,
        cell: &Cell,
        used: Duration,
        after: &After,
    ) -> Option<Next> {
        let mut state = self.lock();
        match after {
            After::Rest(stay) => self.rest(&mut state, cell, used, stay),
            After::Over => self.remove(&mut state, cell, used),
        }
        let next = worker.and_then(|worker| self.take_turn(&mut state, worker));
        self.call_worker(&state);
        self.publish(&state);
        next.map(|(turn, cell)| Next { turn, cell, waited: false })
    }

    fn take_turn(&self, state: &mut State, worker: usize) -> Option<(Turn, Arc<Cell>)> {
        let now = self.now();
        state.queue.advance(now);
        self.let_in_some(state, worker);
        self.take_next(state, worker, now)
    }

    fn take_next(&self, state: &mut State, worker: usize, now: Now) -> Option<(Turn, Arc<Cell>)> {
        let turn = state.queue.next(now)?;
        let cell = Arc::clone(state.cells.get(&turn.key).expect("a task in the queue has a cell"));
        if cell.needs_place()
            && let Some(pool) = state.place(&self.site, cell.meter(), worker)
        {
            cell.take_place(pool);
        }
        Some((turn, cell))
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.idle.fetch_add(1, Ordering::SeqCst);
        if !self.arrivals.any() {
            state = self.wait_for_call(state);
        }
        self.idle.fetch_sub(1, Ordering::SeqCst);
        state
    }

    fn wait_for_call<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.timekeeper.is_some() {
            // Whoever this worker has just let in may have to wait for a timer.
            self.call_timekeeper(&state);
            return self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = state.queue.next_timer();
        state.timekeeper = Some(until);
        state = match until.and_then(|at| self.site.clock.instant(at)) {
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                self.timekeeper.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.timekeeper.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.timekeeper = None;
        state
    }

    fn rest(self: &Arc<Self>, state: &mut State, cell: &Cell, used: Duration, stay: &Stay) {
        let now = self.now();
        // Under the lock, since whoever wakes the task from now on comes to the queue for it.
        let rest = if stay.sleeps && cell.fall_asleep(self) { Rest::Asleep } else { Rest::Yielded };
        if rest == Rest::Yielded {
            cell.queue_up();
        }
        state.queue.rest(cell.key, used, now, rest);
        if let Some(crowded) = stay.crowded {
            state.queue.burst_was(crowded, now);
        }
        if let Some(at) = stay.deadline {
            state.queue.set_deadline(cell.key, at);
        }
        // A kill or a deadline that came while the task had its turn was left to its worker, which may have
        // looked just before.
        if cell.must_end(|| now).is_some() {
            state.queue.interrupt(cell.key, now);
        }
    }

    /// Forgets a task that is over, and lets the next one in.
    fn remove(&self, state: &mut State, cell: &Cell, used: Duration) {
        cell.was_throttled(state.queue.remove(cell.key, used));
        state.cells.remove(&cell.key);
        state.by_task.remove(&cell.task());
        if let Some(pool) = cell.pool() {
            state.rooms[self.site.engines.index(pool)].free += 1;
        }
        let lane = cell.meter() as usize;
        state.lanes[lane].admitted -= 1;
        while state.lanes[lane].admitted < state.lanes[lane].max {
            let Some(next) = state.lanes[lane].waiting.pop_front() else { break };
            // One that was killed while it waited was let in for that.
            let Some(next) = state.cells.get(&next).filter(|cell| !cell.is_admitted()).cloned() else { continue };
            state.admit(&next, self.now());
        }
        if state.shut_down && state.cells.is_empty() {
            self.work.notify_all();
            self.timekeeper.notify_all();
        }
    }

    /// A task is over that a worker left to another thread.
    fn end_left(&self, cell: &Cell, used: Duration) {
        let mut state = self.lock();
        self.remove(&mut state, cell, used);
        self.call_worker(&state);
        self.publish(&state);
    }
}
