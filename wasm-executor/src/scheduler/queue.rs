//! Who runs next, and for how long: ceilings, fair shares and bursts over tasks that are known by a number.
//!
//! Each task has a *ceiling* (a token bucket, see [`super::bucket`]) and a *weight*. Among the tasks that are below
//! their ceiling, the one furthest behind its weighted share runs next (see [`super::stride`]). A task that is above its
//! ceiling and has a *burst* stands in a second queue meanwhile, which is served only while the first is empty, and
//! has a second bucket for all that it uses: so it never gets more than its ceiling and its burst together.
//!
//! Pure: time is an argument, and nothing here knows of threads or of WebAssembly.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use haggle_core::{MilliCpu, Now};
use rustc_hash::FxBuildHasher;

use super::bucket::Bucket;
use super::stride::{Position, Standing, StrideQueue};
use super::turn::{Key, Pressure, QUANTUM, QUANTUM_BESIDE_FRESH, Spare, Turn};

/// While few wait, turns are longer, such that each of them waits no longer than this. What changes of tasks cost is for
/// the most part data that has left the cache: a task that lives from the cache finds it again in its longer turns.
const ROTATION: Duration = Duration::from_millis(24);

/// How long nobody bursts after the system ran something else in the middle of a burst: other executors and other
/// programs want the CPU too, and to them, too, only what is idle may be taken. Twice as long each time that it
/// happens again, so that their loss falls to a few percent, and no longer than makes no odds on an idle machine.
const BACK_OFF: Duration = Duration::from_millis(5);
const BACK_OFF_MAX: Duration = Duration::from_millis(160);

/// What a task may have of the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Its own, and no more while others want it. May be zero.
    pub(super) ceiling: MilliCpu,
    /// Its part when those below their ceilings want more than there is.
    pub(super) weight: MilliCpu,
    /// What it may have beyond its ceiling of what nobody else wants.
    pub(super) burst: MilliCpu,
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
    /// In `ready`.
    Ready(Position),
    /// In `urgent`.
    Urgent,
    /// Above its ceiling until then, or for ever.
    Throttled {
        since: Now,
        until: Option<Now>,
        excess: Excess,
    },
    /// In a turn.
    Running {
        spare: bool,
    },
    Asleep,
}

/// Whether a task above its ceiling may use what is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    /// It has no burst.
    Never,
    /// In `spare`.
    Waits(Position),
    /// It has used up its burst until then.
    From(Now),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    EarnedEnough,
    EarnedSpare,
    Deadline,
    /// Of no task in particular.
    SpareOpens,
}

#[derive(Debug)]
struct Entry {
    bucket: Bucket,
    standing: Standing,
    burst: Option<Burst>,
    place: Place,
    deadline: Option<Now>,
    /// Why it waits, if it has not run since.
    fresh: Option<Fresh>,
    /// How long it wanted to run and was above its ceiling, up to where it last stood there.
    throttled: Duration,
}

impl Entry {
    /// The same up to now.
    fn throttled(&self, now: Now) -> Duration {
        match self.place {
            Place::Throttled { since, .. } => self.throttled + (now - since),
            _ => self.throttled,
        }
    }
}

/// A task that waits for the first turn after this happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Came,
    Woke,
}

/// A task's second chance.
#[derive(Debug)]
struct Burst {
    /// Filled at the rate of ceiling and burst together, and emptied by everything that the task uses.
    whole: Bucket,
    standing: Standing,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Looked up under the lock that all workers wait for, by names that are our own: no need for a hash that withstands
    /// whoever chooses them.
    tasks: HashMap<Key, Entry, FxBuildHasher>,
    /// Below their ceilings.
    ready: StrideQueue,
    /// Above them, for what the others leave.
    spare: StrideQueue,
    /// Until then `spare` gets no turns.
    crowded_until: Option<Now>,
    back_off: Duration,
    urgent: VecDeque<Key>,
    timers: BTreeSet<(Now, Key, Timer)>,
    /// Of those in `ready`.
    fresh: usize,
    /// Of these, the ones that never had a turn.
    newcomers: usize,
}

impl Queue {
    /// A new task, which may run at once.
    pub(super) fn add(&mut self, key: Key, share: Share, now: Now) {
        let weight = u128::from(share.weight.get());
        let burst = (share.burst > MilliCpu::ZERO).then(|| Burst {
            whole: Bucket::new(MilliCpu::new(share.ceiling.get().saturating_add(share.burst.get())), now),
            standing: Standing::new(weight),
        });
        self.tasks.insert(
            key,
            Entry {
                bucket: Bucket::new(share.ceiling, now),
                standing: Standing::new(weight),
                burst,
                place: Place::Asleep,
                deadline: None,
                fresh: None,
                throttled: Duration::ZERO,
            },
        );
        self.compete(key, now, Fresh::Came);
    }

    /// A task that slept wants to run. Nothing happens when it does not sleep.
    pub(super) fn wake(&mut self, key: Key, now: Now) {
        let Some(entry) = self.tasks.get_mut(&key) else { return };
        if entry.place != Place::Asleep {
            return;
        }
        entry.bucket.slept(now);
        self.compete(key, now, Fresh::Woke);
    }

    /// Lets a task have the next turn whatever its share, so that it can be ended. A running task is left
    /// alone: whoever runs it will see.
    pub(super) fn interrupt(&mut self, key: Key, now: Now) {
        let Some(entry) = self.tasks.get(&key) else { return };
        match entry.place {
            Place::Running { .. } | Place::Urgent => return,
            Place::Ready(spot) => {
                self.unwait(key, spot);
                let entry = self.tasks.get_mut(&key).expect(KNOWN);
                self.ready.leave(&entry.standing);
            }
            Place::Throttled { .. } => self.unthrottle(key, now),
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
                    self.interrupt(key, now);
                }
                Timer::SpareOpens => self.crowded_until = None,
                Timer::EarnedEnough => {
                    self.unthrottle(key, now);
                    self.entry(key).bucket.waited(now);
                    self.enter(key, None);
                }
                Timer::EarnedSpare => {
                    let standing = self.line_up_for_spare(key, now);
                    if let Place::Throttled { excess, .. } = &mut self.entry(key).place {
                        *excess = standing;
                    }
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
        self.urgent.len() + self.ready.len() + if self.crowded_until.is_none() { self.spare.len() } else { 0 }
    }

    /// Whether nobody waits who has run before. Those who have not are in no hurry to compete with each other.
    pub(super) fn only_newcomers_wait(&self) -> bool {
        self.newcomers == self.waiting()
    }

    /// For [`Turn::is_over`].
    pub(super) fn pressure(&self) -> Pressure {
        if !self.urgent.is_empty() {
            Pressure::Urgent
        } else if self.fresh > 0 {
            Pressure::Fresh
        } else if self.ready.len() > 0 {
            Pressure::Guaranteed
        } else {
            Pressure::None
        }
    }

    /// Gives out the next turn.
    pub(super) fn next(&mut self, now: Now) -> Option<Turn> {
        if let Some(key) = self.urgent.pop_front() {
            let entry = self.tasks.get_mut(&key).expect(KNOWN);
            self.ready.join(&mut entry.standing);
            entry.place = Place::Running { spare: false };
            return Some(Turn { key, budget: Duration::ZERO, spare: None });
        }
        let Some(key) = self.ready.next() else { return self.next_spare(now) };
        let entry = self.entry(key);
        entry.place = Place::Running { spare: false };
        entry.bucket.waited(now);
        let allowance = entry.bucket.allowance().unwrap_or_default();
        let fresh = entry.fresh.take();
        self.waits_no_more(fresh);
        Some(Turn { key, budget: allowance.min(self.quantum()), spare: None })
    }

    /// For who has its turn beside those that wait now.
    fn quantum(&self) -> Duration {
        if self.fresh > 0 {
            return QUANTUM_BESIDE_FRESH;
        }
        let waiting = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        (ROTATION / waiting.saturating_add(1)).max(QUANTUM)
    }

    fn next_spare(&mut self, now: Now) -> Option<Turn> {
        if self.crowded_until.is_some() {
            return None;
        }
        let key = self.spare.next()?;
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        entry.throttled = entry.throttled(now);
        if let Place::Throttled { until: Some(until), .. } = entry.place {
            self.timers.remove(&(until, key, Timer::EarnedEnough));
        }
        entry.place = Place::Running { spare: true };
        let burst = entry.burst.as_mut().expect("only a task with a burst waits for what is left over");
        burst.whole.slept(now);
        let allowance = burst.whole.allowance().unwrap_or_default();
        Some(Turn { key, budget: allowance.min(QUANTUM), spare: Some(Spare { until: self.next_timer() }) })
    }

    /// What was seen in a turn of what is left over: whether the CPU was taken away in the middle of it, and so was not
    /// left over after all.
    pub(super) fn burst_was(&mut self, crowded: bool, now: Now) {
        if !crowded {
            self.back_off = Duration::ZERO;
        } else if self.crowded_until.is_none() {
            self.back_off = (self.back_off * 2).clamp(BACK_OFF, BACK_OFF_MAX);
            let until = now + self.back_off;
            self.crowded_until = Some(until);
            self.timers.insert((until, 0, Timer::SpareOpens));
        }
    }

    /// Takes a turn back: the task used this much CPU time.
    pub(super) fn rest(&mut self, key: Key, used: Duration, now: Now, rest: Rest) {
        let spare = self.charge(key, used);
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        entry.bucket.waited(now);
        if rest == Rest::Yielded && !spare && entry.bucket.allowance().is_some() {
            self.wait(key, None);
            return;
        }
        self.leave(key, spare);
        match rest {
            Rest::Asleep => self.entry(key).place = Place::Asleep,
            Rest::Yielded if spare && self.entry(key).bucket.has_enough() => self.enter(key, None),
            Rest::Yielded => self.throttle(key, now),
        }
    }

    /// How long a task wanted to run so far and was held back by its ceiling.
    pub(super) fn throttled(&self, key: Key, now: Now) -> Duration {
        self.tasks.get(&key).map_or(Duration::ZERO, |entry| entry.throttled(now))
    }

    /// Takes a turn back for good: the task is over. Says how long it was held back by its ceiling.
    pub(super) fn remove(&mut self, key: Key, used: Duration) -> Duration {
        let spare = self.charge(key, used);
        self.leave(key, spare);
        let entry = self.tasks.remove(&key).expect("only a task with a turn is removed");
        if let Some(at) = entry.deadline {
            self.timers.remove(&(at, key, Timer::Deadline));
        }
        entry.throttled
    }

    fn entry(&mut self, key: Key) -> &mut Entry {
        self.tasks.get_mut(&key).expect(KNOWN)
    }

    /// Says whether the turn was one of what is left over.
    fn charge(&mut self, key: Key, used: Duration) -> bool {
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        let spare = entry.place == Place::Running { spare: true };
        if let Some(burst) = &mut entry.burst {
            burst.whole.charge(used);
            if spare {
                self.spare.charge(&mut burst.standing, used);
                return true;
            }
        }
        entry.bucket.charge(used);
        self.ready.charge(&mut entry.standing, used);
        false
    }

    /// A task in a turn leaves the competition in which it had it.
    fn leave(&mut self, key: Key, spare: bool) {
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        match &mut entry.burst {
            Some(burst) if spare => self.spare.leave(&burst.standing),
            _ => self.ready.leave(&entry.standing),
        }
    }

    /// A task that wants to run stands where its buckets let it.
    fn compete(&mut self, key: Key, now: Now, fresh: Fresh) {
        if self.entry(key).bucket.allowance().is_some() {
            self.enter(key, Some(fresh));
        } else {
            self.throttle(key, now);
        }
    }

    fn enter(&mut self, key: Key, fresh: Option<Fresh>) {
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        self.ready.join(&mut entry.standing);
        self.wait(key, fresh);
    }

    fn wait(&mut self, key: Key, fresh: Option<Fresh>) {
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        entry.place = Place::Ready(self.ready.wait(key, &entry.standing));
        entry.fresh = fresh;
        self.fresh += usize::from(fresh.is_some());
        self.newcomers += usize::from(fresh == Some(Fresh::Came));
    }

    fn unwait(&mut self, key: Key, spot: Position) {
        self.ready.unwait(key, spot);
        let fresh = self.entry(key).fresh.take();
        self.waits_no_more(fresh);
    }

    fn waits_no_more(&mut self, fresh: Option<Fresh>) {
        self.fresh -= usize::from(fresh.is_some());
        self.newcomers -= usize::from(fresh == Some(Fresh::Came));
    }

    fn throttle(&mut self, key: Key, now: Now) {
        let until = self.entry(key).bucket.until_enough().map(|missing| now + missing);
        if let Some(until) = until {
            self.timers.insert((until, key, Timer::EarnedEnough));
        }
        let excess = self.line_up_for_spare(key, now);
        self.entry(key).place = Place::Throttled { since: now, until, excess };
    }

    fn line_up_for_spare(&mut self, key: Key, now: Now) -> Excess {
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        let Some(burst) = &mut entry.burst else { return Excess::Never };
        burst.whole.slept(now);
        if burst.whole.has_enough() {
            self.spare.join(&mut burst.standing);
            return Excess::Waits(self.spare.wait(key, &burst.standing));
        }
        match burst.whole.until_enough() {
            Some(missing) => {
                self.timers.insert((now + missing, key, Timer::EarnedSpare));
                Excess::From(now + missing)
            }
            None => Excess::Never,
        }
    }

    /// Takes a task that is above its ceiling from everywhere where it waits.
    fn unthrottle(&mut self, key: Key, now: Now) {
        let entry = self.tasks.get_mut(&key).expect(KNOWN);
        let Place::Throttled { until, excess, .. } = entry.place else { return };
        entry.throttled = entry.throttled(now);
        if let Some(until) = until {
            self.timers.remove(&(until, key, Timer::EarnedEnough));
        }
        match (excess, &mut entry.burst) {
            (Excess::Waits(spot), Some(burst)) => {
                self.spare.unwait(key, spot);
                self.spare.leave(&burst.standing);
            }
            (Excess::From(at), _) => {
                self.timers.remove(&(at, key, Timer::EarnedSpare));
            }
            _ => {}
        }
    }
}

/// Why looking up a key cannot fail.
const KNOWN: &str = "every key in the queue's indexes is a task of the queue";

#[cfg(test)]
mod tests;
