//! Runs tasks on threads of its own, each at its share and below its ceiling.

mod bucket;
mod cell;
mod line;
mod queue;
mod release;
mod ticker;
mod worker;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use haggle_core::{Now, TaskId};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxBuildHasher;

use cell::Cell;
use queue::{Key, Pressure, Queue, Rest, Turn};
pub(crate) use ticker::EPOCH;
use ticker::Ticker;
pub(crate) use worker::start;

use crate::clock::Clock;
use crate::engine::Pool;
use crate::event::{Launch, Listener, Meter};
use crate::run::Site;

/// What workers and callers share.
pub(crate) struct Scheduler {
    clock: Clock,
    site: Site,
    listener: Arc<dyn Listener>,
    ticker: Ticker,
    next_key: AtomicU64,
    state: Mutex<State>,
    /// Idle workers wait here, all but one.
    work: Condvar,
    /// The one idle worker that also watches the queue's timers waits here.
    timekeeper: Condvar,
    /// Mirrors [`Queue::pressure`], so that a worker can look without the lock.
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
    idle: usize,
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

/// Tasks whose modules are in one form, and so share pools of instances.
#[derive(Default)]
struct Lane {
    /// In the queue at most.
    max: usize,
    /// In the queue.
    admitted: usize,
    /// Launched beyond `max`, in the order in which they came.
    waiting: VecDeque<Key>,
}

/// Places in a pool.
#[derive(Default)]
struct Room {
    free: usize,
    /// It is being made, or was, before anybody needs it.
    is_ordered: bool,
}

/// An executor that has begun so many tasks makes a pool for each of its workers: it takes a millisecond or two of CPU,
/// which is nothing beside many short tasks and much beside one.
const WORTH_A_POOL: u64 = 64;

impl Scheduler {
    pub(crate) fn new(site: Site, listener: Arc<dyn Listener>) -> Arc<Self> {
        let mut state = State::default();
        state.rooms.resize_with(site.engines.count(), Room::default);
        for meter in [Meter::Fuel, Meter::Epochs] {
            state.lanes[meter as usize].max = site.engines.tasks(meter);
            for pool in site.engines.pools(meter) {
                state.rooms[site.engines.index(pool)].free = site.engines.capacity(pool);
            }
        }
        Arc::new(Self {
            clock: Clock::start(),
            ticker: Ticker::new(Arc::clone(&site.engines)),
            site,
            listener,
            next_key: AtomicU64::new(0),
            state: Mutex::new(state),
            work: Condvar::new(),
            timekeeper: Condvar::new(),
            pressure: AtomicU8::new(Pressure::None as u8),
        })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// A task that is still here is not launched twice; the repeated message is dropped.
    pub(crate) fn launch(self: &Arc<Self>, launch: Launch) {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        // Before the lock, which workers wait for.
        let cell = Arc::new(Cell::new(key, launch, self));
        let mut state = self.state.lock();
        if state.shut_down {
            drop(state);
            cell.end_unrun(&*self.listener, crate::outcome::Outcome::broken("the executor is shutting down"));
            return;
        }
        match state.by_task.entry(cell.task()) {
            Entry::Vacant(entry) => entry.insert(key),
            Entry::Occupied(_) => return tracing::warn!(task = %cell.task(), "launched twice; goes on as it was"),
        };
        state.cells.insert(key, Arc::clone(&cell));
        let lane = &mut state.lanes[cell.meter() as usize];
        if lane.admitted < lane.max {
            state.admit(&cell, self.clock.now());
            self.call_worker(&state);
        } else {
            lane.waiting.push_back(key);
        }
        self.publish(&state);
    }

    /// Nothing happens when the task is not here.
    pub(crate) fn kill(&self, task: TaskId) {
        let mut state = self.state.lock();
        let Some(&key) = state.by_task.get(&task) else { return };
        self.kill_key(&mut state, key);
        self.publish(&state);
    }

    fn kill_key(&self, state: &mut State, key: Key) {
        let Some(cell) = state.cells.get(&key).cloned() else { return };
        cell.request_kill();
        if !cell.is_admitted() {
            // It takes no room to end a task that never began.
            state.admit(&cell, self.clock.now());
        }
        state.queue.interrupt(key);
        self.call_worker(state);
    }

    /// Ends every task as killed; the workers go once all have ended.
    pub(crate) fn shut_down(&self) {
        let mut state = self.state.lock();
        state.shut_down = true;
        let keys: Vec<Key> = state.cells.keys().copied().collect();
        for key in keys {
            self.kill_key(&mut state, key);
        }
        self.publish(&state);
        self.work.notify_all();
        self.timekeeper.notify_all();
        drop(state);
        self.ticker.stop();
    }

    pub(crate) fn tasks(&self) -> usize {
        self.state.lock().cells.len()
    }

    /// A task that slept was woken, by a timer or another thread.
    fn wake(&self, key: Key) {
        let mut state = self.state.lock();
        state.queue.wake(key, self.clock.now());
        self.call_worker(&state);
        self.publish(&state);
    }

    /// Gets an idle worker to do what there is to do, if there is an idle worker. Whoever takes a turn calls
    /// the next one, so one call is enough for any number of turns.
    fn call_worker(&self, state: &State) {
        if state.queue.waiting() > 0 {
            if state.idle > 0 {
                self.work.notify_one();
            } else if state.timekeeper.is_some() {
                self.timekeeper.notify_one();
            }
        } else if let Some(next) = state.queue.next_timer() {
            match state.timekeeper {
                // A timer that is due before the timekeeper would look is its business now.
                Some(until) if until.is_none_or(|until| next < until) => {
                    self.timekeeper.notify_one();
                }
                Some(_) => {}
                None => {
                    self.work.notify_one();
                }
            }
        }
    }

    fn publish(&self, state: &State) {
        self.pressure.store(state.queue.pressure() as u8, Ordering::Relaxed);
    }

    /// The next turn of this worker, as soon as there is one; `None` when the executor is over.
    fn next_turn(&self, worker: usize) -> Option<Next> {
        let mut state = self.state.lock();
        let mut waited = false;
        loop {
            let now = self.clock.now();
            state.queue.advance(now);
            if let Some(turn) = state.queue.next(now) {
                let cell = Arc::clone(state.cells.get(&turn.key).expect("a task in the queue has a cell"));
                if cell.needs_place()
                    && let Some(pool) = state.place(&self.site, cell.meter(), worker)
                {
                    cell.take_place(pool);
                }
                self.call_worker(&state);
                self.publish(&state);
                return Some(Next { turn, cell, waited });
            }
            if state.shut_down && state.cells.is_empty() {
                return None;
            }
            self.wait(&mut state);
            waited = true;
        }
    }

    fn wait(&self, state: &mut MutexGuard<'_, State>) {
        if state.timekeeper.is_some() {
            state.idle += 1;
            self.work.wait(state);
            state.idle -= 1;
            return;
        }
        let until = state.queue.next_timer();
        state.timekeeper = Some(until);
        match until.and_then(|at| self.clock.instant(at)) {
            Some(at) => {
                self.timekeeper.wait_until(state, at);
            }
            None => self.timekeeper.wait(state),
        }
        state.timekeeper = None;
    }

    /// Gives a turn back. `sleeps` is what the guest wanted when it was polled last.
    /// `crowded` says of a turn of what is left over whether others wanted it.
    fn rest(&self, cell: &Cell, used: Duration, sleeps: bool, deadline: Option<Now>, crowded: Option<bool>) {
        let mut state = self.state.lock();
        let now = self.clock.now();
        // Under the lock, since whoever wakes the task from now on comes to the queue for it.
        let rest = if sleeps && cell.fall_asleep() { Rest::Asleep } else { Rest::Yielded };
        if rest == Rest::Yielded {
            cell.queue_up();
        }
        state.queue.rest(cell.key, used, now, rest);
        if let Some(crowded) = crowded {
            state.queue.burst_was(crowded, now);
        }
        if let Some(at) = deadline {
            state.queue.set_deadline(cell.key, at);
        }
        // A kill or a deadline that came while the task had its turn was left to its worker, which may have
        // looked just before.
        if cell.must_end(|| now).is_some() {
            state.queue.interrupt(cell.key);
        }
        self.call_worker(&state);
        self.publish(&state);
    }

    /// Forgets a task that is over, and lets the next one in.
    fn remove(&self, cell: &Cell, used: Duration) {
        let mut state = self.state.lock();
        state.queue.remove(cell.key, used);
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
            state.admit(&next, self.clock.now());
            self.call_worker(&state);
        }
        if state.shut_down && state.cells.is_empty() {
            self.work.notify_all();
            self.timekeeper.notify_all();
        }
        self.publish(&state);
    }
}

impl State {
    /// A place for a task that this worker is about to begin: near it, if there is one.
    fn place(&mut self, Site { engines, modules, .. }: &Site, meter: Meter, worker: usize) -> Option<Pool> {
        let near = engines.near(meter, worker);
        let room = &mut self.rooms[engines.index(near)];
        if self.begun >= WORTH_A_POOL && !std::mem::replace(&mut room.is_ordered, true) {
            modules.make(near);
        }
        let free = |pool: &Pool| self.rooms[engines.index(*pool)].free > 0;
        let pools = || engines.pools(meter).filter(free);
        // Nobody waits for a pool while there is room in another. In one that could not be made, a task ends with the
        // reason why.
        let made = std::iter::once(near).filter(free).chain(pools()).find(|&pool| engines.is_made(pool));
        let pool = made.or_else(|| pools().find(|&pool| !engines.is_broken(pool))).or_else(|| pools().next())?;
        self.rooms[engines.index(pool)].free -= 1;
        self.begun += 1;
        Some(pool)
    }

    fn admit(&mut self, cell: &Cell, now: Now) {
        self.lanes[cell.meter() as usize].admitted += 1;
        cell.admit();
        self.queue.add(cell.key, cell.share(), now);
    }
}
