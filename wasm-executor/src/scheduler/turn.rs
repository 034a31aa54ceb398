//! What a worker is given: a task, for how long, and who waits meanwhile.

use std::time::Duration;

use haggle_core::Now;

/// A task in the run queue; never used twice.
pub(super) type Key = u64;

/// CPU time a task gets before another one has its turn, however many wait. Shorter quanta cost more changes (12 % of a
/// core at 1 ms, 5 % at 5 ms, 4 % at 10 ms, measured), longer ones let neighbours wait.
pub(super) const QUANTUM: Duration = Duration::from_millis(5);

/// CPU time that a task gets while a task that just came or just woke waits: it is likely short, and somebody waits for it.
pub(super) const QUANTUM_BESIDE_FRESH: Duration = Duration::from_millis(1);

/// A turn: this task may use this much CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) key: Key,
    pub(super) budget: Duration,
    /// It runs on what nobody else wants, and is over as soon as somebody may: when
    /// [`Queue::pressure`](super::queue::Queue::pressure) says so, or at this time, when a timer is due.
    pub(super) spare: Option<Spare>,
}

/// See [`Turn::spare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spare {
    pub(super) until: Option<Now>,
}

/// Who waits that a turn may have to make room for; the most pressing one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Pressure {
    /// Nobody, or somebody who waits for what is left over.
    None,
    /// A task that is below its ceiling.
    Guaranteed,
    /// One of these that just came or just woke.
    Fresh,
    /// A task that must be ended.
    Urgent,
}

impl Pressure {
    pub(super) fn from_u8(level: u8) -> Self {
        match level {
            0 => Self::None,
            1 => Self::Guaranteed,
            2 => Self::Fresh,
            _ => Self::Urgent,
        }
    }
}

impl Turn {
    /// Whether a turn that took `used` so far is over.
    pub(super) fn is_over(self, used: Duration, pressure: Pressure, now: impl FnOnce() -> Now) -> bool {
        if used >= self.budget {
            return true;
        }
        match (pressure, self.spare) {
            (Pressure::Urgent, _) => true,
            (Pressure::None, None) | (Pressure::Guaranteed, None) => false,
            (Pressure::Fresh, None) => used >= QUANTUM_BESIDE_FRESH,
            (Pressure::None, Some(Spare { until })) => until.is_some_and(|until| now() >= until),
            (_, Some(_)) => true,
        }
    }
}
