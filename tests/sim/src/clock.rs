//! A machine's own clock, which goes wrong.

use crate::plan::Time;

/// One in a million.
const WHOLE: i128 = 1_000_000;

/// A monotonic clock that runs too fast or too slow.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    drift: i64,
    jumped: Time,
    stood: Time,
    slept: Time,
}

impl Clock {
    /// `drift` is in millionths.
    pub(crate) fn new(drift: i64) -> Self {
        Self { drift, jumped: 0, stood: 0, slept: 0 }
    }

    /// What it shows at a moment of the simulation's time.
    pub(crate) fn read(&self, at: Time) -> Time {
        self.scale(at, WHOLE + i128::from(self.drift), WHOLE).saturating_add(self.jumped).saturating_sub(self.stood)
    }

    /// The same by a clock that goes on while the machine sleeps.
    pub(crate) fn read_asleep(&self, at: Time) -> Time {
        self.read(at).saturating_add(self.slept)
    }

    /// How much of the simulation's time passes while it counts `local`.
    pub(crate) fn span(&self, local: Time) -> Time {
        self.scale(local, WHOLE, WHOLE + i128::from(self.drift)) + 1
    }

    /// Shows a later time at once.
    pub(crate) fn jump(&mut self, by: Time) {
        self.jumped += by;
    }

    /// Stands still for a while that has to come: its machine is suspended. One that is frozen knows nothing of it; any
    /// other has a clock that goes on.
    pub(crate) fn stand(&mut self, span: Time, frozen: bool) {
        let span = self.scale(span, WHOLE + i128::from(self.drift), WHOLE);
        self.stood += span;
        self.slept += if frozen { 0 } else { span };
    }

    fn scale(&self, time: Time, by: i128, of: i128) -> Time {
        Time::try_from(i128::from(time) * by / of).expect("a simulation does not last for centuries")
    }
}
