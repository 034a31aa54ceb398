//! Who runs next, and for how long: ceilings and fair shares over tasks that are known by a number.
//!
//! Each task has a *ceiling* (a token bucket, see [`super::bucket`]) and a *weight*. Among the tasks that are
//! below their ceiling, the one furthest behind its weighted share runs next: stride scheduling with a global
//! pass (Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource Management",
//! MIT/LCS/TM-528, 1995), charged with measured CPU time instead of whole quanta. Both come from the task's
//! `cpus`.
//!
//! Pure: time is an argument, and nothing here knows of threads or of WebAssembly.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use haggle_core::{MilliCpu, Now};

use super::bucket::Bucket;

/// A task in this queue; never used twice.
pub(super) type Key = u64;

/// CPU time a task gets before another one has its turn. Shorter quanta cost more changes (12 % of a core at
/// 1 ms, 5 % at 5 ms, 4 % at 10 ms, measured), longer ones let neighbours wait.
const QUANTUM: Duration = Duration::from_millis(5);

/// The same while a task that just came or just woke waits: it is likely short, and somebody waits for it.
const QUANTUM_BESIDE_FRESH: Duration = Duration::from_millis(1);

/// Passes are CPU time per weight, in parts this small, so that dividing by a large weight loses nothing.
const PASS_SCALE: u128 = 1_000_000;

/// A turn: this task may use this much CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) key: Key,
    pub(super) budget: Duration,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The task wants to go on.
    Yielded,
    /// The task waits for something; it runs again after [`Queue::wake`].
    Asleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In `ready`, under this name.
    Ready {
        pass: u128,
        order: u64,
    },
    /// In `urgent`.
    Urgent,
    /// In `timers`: above its ceiling until then.
    Throttled(Now),
    Running,
    Asleep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    EarnedEnough,
    Deadline,
}

#[derive(Debug)]
struct Entry {
    bucket: Bucket,
    weight: u128,
    /// Where the task stands in the competition, while it takes part.
    pass: u128,
    /// How far ahead of the others it was when it left the competition.
    ahead: u128,
    place: Place,
    deadline: Option<Now>,
    /// It came or woke, and has not run since.
    fresh: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tasks: HashMap<Key, Entry>,
    ready: BTreeSet<(u128, u64, Key)>,
    urgent: VecDeque<Key>,
    timers: BTreeSet<(Now, Key, Timer)>,
    /// The pass of a task that has had exactly its share.
    global_pass: u128,
    /// Of all tasks that take part: ready or running.
    competing: u128,
    /// Breaks ties in the order in which tasks became ready.
    order: u64,
    fresh: usize,
}

impl Queue {
    /// A new task, which may run at once.
    pub(super) fn add(&mut self, key: Key, cpus: MilliCpu, now: Now) {
        let weight = u128::from(cpus.get().max(1));
        self.tasks.insert(
            key,
            Entry {
                bucket: Bucket::new(cpus, now),
                weight,
                pass: 0,
                ahead: 0,
                place: Place::Asleep,
                deadline: None,
                fresh: false,
            },
        );
        self.enter(key, true);
    }

    /// A task that slept wants to run. Nothing happens when it does not sleep.
    pub(super) fn wake(&mut self, key: Key, now: Now) {
        let Some(entry) = self.tasks.get_mut(&key) else { return };
        if entry.place != Place::Asleep {
            return;
        }
        entry.bucket.slept(now);
        if entry.bucket.allowance().is_some() {
            self.enter(key, true);
        } else {
            self.throttle(key, now);
        }
    }

    /// Lets a task have the next turn whatever its share, so that it can be ended. A running task is left
    /// alone: whoever runs it will see.
    pub(super) fn interrupt(&mut self, key: Key) {
        let Some(entry) = self.tasks.get(&key) else { return };
        match entry.place {
            Place::Running | Place::Urgent => return,
            Place::Ready { .. } => self.leave(key),
            Place::Throttled(until) => {
                self.timers.remove(&(until, key, Timer::EarnedEnough));
            }
            Place::Asleep => {}
        }
        self.entry(key).place = Place::Urgent;
        self.urgent.push_back(key);
    }

    /// Interrupts the task at this time.
    pub(super) fn set_deadline(&mut self, key: Key, at: Now) {
        let Some(entry) = self.tasks.get_mut(&key) else { return };
        if let Some(before) = entry.deadline.replace(at) {
            self.timers.remove(&(before, key, Timer::Deadline));
        }
        self.timers.insert((at, key, Timer::Deadline));
    }

    /// Does what is due by now.
    pub(super) fn advance(&mut self, now: Now) {
        while let Some(&(at, key, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Deadline => {
                    self.entry(key).deadline = None;
                    self.interrupt(key);
                }
                Timer::EarnedEnough => {
                    self.entry(key).bucket.waited(now);
                    self.enter(key, false);
                }
            }
        }
    }

    /// The next moment at which [`Self::advance`] has something to do.
    pub(super) fn next_timer(&self) -> Option<Now> {
        self.timers.first().map(|&(at, ..)| at)
    }

    /// How many turns could be given out now.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.urgent.len()
    }

    /// Whether a task waits that just came or just woke.
    pub(super) fn fresh_waits(&self) -> bool {
        self.fresh > 0
    }

    /// Gives out the next turn.
    pub(super) fn next(&mut self, now: Now) -> Option<Turn> {
        if let Some(key) = self.urgent.pop_front() {
            let weight = self.entry(key).weight;
            self.competing += weight;
            let pass = self.global_pass;
            let entry = self.entry(key);
            entry.pass = pass;
            entry.place = Place::Running;
            return Some(Turn { key, budget: Duration::ZERO });
        }
        let (_, _, key) = self.ready.pop_first()?;
        let entry = self.entry(key);
        entry.place = Place::Running;
        entry.bucket.waited(now);
        let allowance = entry.bucket.allowance().unwrap_or_default();
        if std::mem::take(&mut entry.fresh) {
            self.fresh -= 1;
        }
        let quantum = if self.fresh > 0 { QUANTUM_BESIDE_FRESH } else { QUANTUM };
        Some(Turn { key, budget: allowance.min(quantum) })
    }

    /// Takes a turn back: the task used this much CPU time.
    pub(super) fn rest(&mut self, key: Key, used: Duration, now: Now, rest: Rest) {
        self.charge(key, used);
        let entry = self.entry(key);
        entry.bucket.waited(now);
        match rest {
            Rest::Yielded if entry.bucket.allowance().is_some() => {
                let pass = entry.pass;
                self.put(key, pass, false);
            }
            Rest::Yielded => {
                self.withdraw(key);
                self.throttle(key, now);
            }
            Rest::Asleep => {
                self.withdraw(key);
                self.entry(key).place = Place::Asleep;
            }
        }
    }

    /// Takes a turn back for good: the task is over.
    pub(super) fn remove(&mut self, key: Key, used: Duration) {
        self.charge(key, used);
        self.withdraw(key);
        let entry = self.tasks.remove(&key).expect("only a task with a turn is removed");
        if let Some(at) = entry.deadline {
            self.timers.remove(&(at, key, Timer::Deadline));
        }
    }

    fn entry(&mut self, key: Key) -> &mut Entry {
        self.tasks.get_mut(&key).expect("every key in the queue's indexes is a task of the queue")
    }

    fn charge(&mut self, key: Key, used: Duration) {
        let entry = self.entry(key);
        entry.bucket.charge(used);
        let work = used.as_nanos() * PASS_SCALE;
        entry.pass += work / entry.weight;
        self.global_pass += work / self.competing.max(1);
    }

    /// Joins the competition, as far ahead as the task was when it left.
    fn enter(&mut self, key: Key, fresh: bool) {
        let global = self.global_pass;
        let entry = self.entry(key);
        let pass = global + std::mem::take(&mut entry.ahead);
        let weight = entry.weight;
        self.competing += weight;
        self.put(key, pass, fresh);
    }

    fn put(&mut self, key: Key, pass: u128, fresh: bool) {
        self.order += 1;
        let order = self.order;
        let entry = self.entry(key);
        entry.pass = pass;
        entry.place = Place::Ready { pass, order };
        entry.fresh = fresh;
        if fresh {
            self.fresh += 1;
        }
        self.ready.insert((pass, order, key));
    }

    /// Takes a ready task out of the competition.
    fn leave(&mut self, key: Key) {
        let entry = self.entry(key);
        let Place::Ready { pass, order } = entry.place else { unreachable!("only a ready task leaves") };
        if std::mem::take(&mut entry.fresh) {
            self.fresh -= 1;
        }
        self.ready.remove(&(pass, order, key));
        self.withdraw(key);
    }

    /// Remembers how far ahead the task is, for when it comes back.
    fn withdraw(&mut self, key: Key) {
        let global = self.global_pass;
        let entry = self.entry(key);
        // More than a quantum's worth would punish a task for having been alone.
        let bound = QUANTUM.as_nanos() * PASS_SCALE / entry.weight;
        entry.ahead = entry.pass.saturating_sub(global).min(bound);
        let weight = entry.weight;
        self.competing -= weight;
    }

    fn throttle(&mut self, key: Key, now: Now) {
        let entry = self.entry(key);
        let until = now + entry.bucket.until_enough();
        entry.place = Place::Throttled(until);
        self.timers.insert((until, key, Timer::EarnedEnough));
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
