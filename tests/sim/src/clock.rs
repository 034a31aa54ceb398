//! A machine's own clock, which goes wrong.

use crate::plan::Time;

/// One in a million.
const WHOLE: i128 = 1_000_000;

/// A monotonic clock that runs too fast or too slow.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    drift: i64,
    jumped: Time,
    stands: Vec<Stand>,
}

/// A while in which a clock stands still: its machine is suspended.
#[derive(Clone, Copy, Debug)]
struct Stand {
    from: Time,
    until: Time,
    /// Whether no clock of the machine goes on meanwhile.
    frozen: bool,
}

impl Clock {
    /// `drift` is in millionths.
    pub(crate) fn new(drift: i64) -> Self {
        Self { drift, jumped: 0, stands: Vec::new() }
    }

    /// What it shows at a moment of the simulation's time.
    pub(crate) fn read(&self, at: Time) -> Time {
        self.shows(at, |_| true)
    }

    /// The same by a clock that goes on while the machine sleeps.
    pub(crate) fn read_asleep(&self, at: Time) -> Time {
        self.shows(at, |stand| stand.frozen)
    }

    fn shows(&self, at: Time, stops: fn(&Stand) -> bool) -> Time {
        let stood = |stand: &Stand| stand.until.min(at).saturating_sub(stand.from);
        let stood: Time = self.stands.iter().filter(|stand| stops(stand)).map(stood).sum();
        self.scale(at - stood, WHOLE + i128::from(self.drift), WHOLE).saturating_add(self.jumped)
    }

    /// How much of the simulation's time passes while it counts `local`.
    pub(crate) fn span(&self, local: Time) -> Time {
        self.scale(local, WHOLE, WHOLE + i128::from(self.drift)) + 1
    }

    /// Shows a later time at once.
    pub(crate) fn jump(&mut self, by: Time) {
        self.jumped += by;
    }

    /// Stands still from then until then, where it does not stand already. One that is frozen knows nothing of it; any other
    /// machine has a clock that goes on.
    pub(crate) fn stand(&mut self, from: Time, until: Time, frozen: bool) {
        self.stands.push(Stand { from, until, frozen });
    }

    /// Goes on now, if it stands still.
    pub(crate) fn wake(&mut self, now: Time) {
        for stand in &mut self.stands {
            stand.until = stand.until.min(now);
        }
    }

    fn scale(&self, time: Time, by: i128, of: i128) -> Time {
        Time::try_from(i128::from(time) * by / of).expect("a simulation does not last for centuries")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::S;

    #[test]
    fn a_clock_that_stands_still_goes_on_where_it_was() {
        let mut clock = Clock::new(0);

        clock.stand(2 * S, 5 * S, false);

        assert_eq!([1, 3, 6].map(|at| clock.read(at * S)), [S, 2 * S, 3 * S]);
        assert_eq!([1, 3, 6].map(|at| clock.read_asleep(at * S)), [S, 3 * S, 6 * S]);
    }

    /// Seed 2077659: a master that was ended while its machine was suspended had a clock that stood still for as long as the
    /// suspension would have lasted, and led by it after it had started again.
    #[test]
    fn a_clock_whose_machine_is_woken_early_goes_on_then() {
        for frozen in [false, true] {
            let mut clock = Clock::new(0);
            clock.stand(4 * S, 28 * S, frozen);

            clock.wake(9 * S);

            let asleep = if frozen { 6 * S } else { 11 * S };
            assert_eq!((clock.read(11 * S), clock.read_asleep(11 * S)), (6 * S, asleep));
        }
    }
}
