//! Where tasks find room: so many of each form are in the queue at once, and each has a place in a pool of instances.

use std::collections::VecDeque;

use haggle_core::Now;

use super::State;
use super::cell::Cell;
use super::turn::Key;
use crate::engine::Pool;
use crate::event::Meter;
use crate::site::Site;

/// Tasks whose modules are in one form, and so share pools of instances.
#[derive(Default)]
pub(super) struct Lane {
    /// In the queue at most.
    pub(super) max: usize,
    /// In the queue.
    pub(super) admitted: usize,
    /// Launched beyond `max`, in the order in which they came.
    pub(super) waiting: VecDeque<Key>,
}

/// Places in a pool.
#[derive(Default)]
pub(super) struct Room {
    pub(super) free: usize,
    /// It is being made, or was, before anybody needs it.
    pub(super) is_ordered: bool,
}

/// An executor that has begun so many tasks makes a pool for each of its workers: it takes a millisecond or two of CPU,
/// which is nothing beside many short tasks and much beside one.
const WORTH_A_POOL: u64 = 64;

impl State {
    /// A place for a task that this worker is about to begin: near it, if there is one.
    pub(super) fn place(&mut self, Site { engines, modules, .. }: &Site, meter: Meter, worker: usize) -> Option<Pool> {
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

    pub(super) fn admit(&mut self, cell: &Cell, now: Now) {
        self.lanes[cell.meter() as usize].admitted += 1;
        cell.admit();
        self.queue.add(cell.key, cell.share(), now);
    }
}
