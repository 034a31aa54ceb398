//! Who is next among tasks that compete for the same CPU time, by weight.
//!
//! Stride scheduling with a global pass (Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share
//! Resource Management", MIT/LCS/TM-528, 1995), charged with measured CPU time instead of whole quanta: the task that
//! is furthest behind its weighted share is next. What a task was ahead of the others when it left, they catch up with while
//! it is away, as in Linux's fair schedulers; the paper would have it wait for that when it comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::turn::{Key, QUANTUM};

/// Passes are CPU time per weight, in parts this small, so that dividing by a large weight loses nothing.
const PASS_SCALE: u128 = 1_000_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct StrideQueue {
    ready: BTreeSet<(u128, u64, Key)>,
    /// The pass of a task that has had exactly its share.
    global_pass: u128,
    /// The weights of all that take part: ready or running.
    pub(super) competing: u128,
    /// Breaks ties in the order in which tasks became ready.
    order: u64,
}

/// Where one task stands in such a queue.
#[derive(Debug)]
pub(super) struct Standing {
    weight: u128,
    pass: u128,
}

/// The place of a task that waits in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pass: u128,
    order: u64,
}

impl Standing {
    pub(super) fn new(weight: u128) -> Self {
        Self { weight: weight.max(1), pass: 0 }
    }
}

impl StrideQueue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Joins the competition, behind nobody, and as far ahead as the task still is since it left.
    pub(super) fn join(&mut self, standing: &mut Standing) {
        // More than a quantum's worth would punish a task for having been alone.
        let bound = QUANTUM.as_nanos() * PASS_SCALE / standing.weight;
        standing.pass = standing.pass.clamp(self.global_pass, self.global_pass + bound);
        self.competing += standing.weight;
    }

    /// A task that takes part waits for its turn.
    pub(super) fn wait(&mut self, key: Key, standing: &Standing) -> Position {
        self.order += 1;
        let position = Position { pass: standing.pass, order: self.order };
        self.ready.insert((position.pass, position.order, key));
        position
    }

    /// The one furthest behind gets its turn.
    pub(super) fn next(&mut self) -> Option<Key> {
        self.ready.pop_first().map(|(.., key)| key)
    }

    /// A task that waits here no longer does.
    pub(super) fn unwait(&mut self, key: Key, position: Position) {
        self.ready.remove(&(position.pass, position.order, key));
    }

    /// A task that takes part has used this much.
    pub(super) fn charge(&mut self, standing: &mut Standing, used: Duration) {
        let work = used.as_nanos() * PASS_SCALE;
        standing.pass += work / standing.weight;
        self.global_pass += work / self.competing.max(1);
    }

    /// Leaves the competition.
    pub(super) fn leave(&mut self, standing: &Standing) {
        self.competing -= standing.weight;
    }
}
