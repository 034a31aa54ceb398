//! When what became of a task: how long each step took, in few bytes, for there may be a hundred thousand tasks.

use core::num::NonZeroU32;
use core::time::Duration;

/// A time that passed, in four bytes where it may also be unknown: to the microsecond up to 17 minutes, to the millisecond up to 12
/// days, and to the second up to 34 years, which is the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lapse(
    /// One more than the number, with its unit in the two highest bits.
    NonZeroU32,
);

/// How many of a unit there may be.
const COUNT_BITS: u32 = 30;
const COUNT_MAX: u128 = (1 << COUNT_BITS) - 1;

impl Lapse {
    /// As far as it was kept.
    pub const fn get(self) -> Duration {
        let kept = self.0.get() - 1;
        let count = (kept as u64) & (COUNT_MAX as u64);
        match kept >> COUNT_BITS {
            0 => Duration::from_micros(count),
            1 => Duration::from_millis(count),
            _ => Duration::from_secs(count),
        }
    }
}

impl From<Duration> for Lapse {
    fn from(time: Duration) -> Self {
        let (micros, millis) = (time.as_micros(), time.as_millis());
        let (unit, count) = match (micros, millis) {
            (0..=COUNT_MAX, _) => (0, micros),
            (_, 0..=COUNT_MAX) => (1, millis),
            _ => (2, u128::from(time.as_secs()).min(COUNT_MAX)),
        };
        let kept = (unit << COUNT_BITS) | u32::try_from(count).unwrap_or(u32::MAX >> 2);
        Self(NonZeroU32::MIN.saturating_add(kept))
    }
}

/// What its agent had to do before a task could run, each by how long after the agent had received the task it was done. What was
/// there already is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prepared {
    /// Its module and inputs were fetched.
    pub fetched: Option<Lapse>,
    /// Its module was compiled, for it or for others.
    pub compiled: Option<Lapse>,
}

/// What an agent that comes back knows of a task's life beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldLife {
    /// How long ago it received the task.
    pub age: Lapse,
    /// What it did then.
    pub prepared: Prepared,
    /// How long after it had received the task that began to run.
    pub started: Option<Lapse>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(time: Duration) -> Duration {
        Lapse::from(time).get()
    }

    #[test]
    fn a_lapse_has_four_bytes_even_where_it_is_unknown() {
        assert_eq!((size_of::<Option<Lapse>>(), size_of::<Prepared>()), (4, 8));
    }

    #[test]
    fn what_is_short_is_kept_to_the_microsecond_and_what_is_long_as_well_as_anybody_reads_it() {
        let (short, long, longer) =
            (Duration::from_micros(1_073_741_823), Duration::from_millis(1_073_741_823), 1 << 29);

        for exact in [Duration::ZERO, Duration::from_micros(1), short, long, Duration::from_secs(longer)] {
            assert_eq!(kept(exact), exact);
        }
        assert_eq!(kept(short + Duration::from_micros(1)), Duration::from_millis(1_073_741));
        assert_eq!(kept(long + Duration::from_millis(1)), Duration::from_secs(1_073_741));
        assert_eq!(kept(Duration::MAX), Duration::from_secs((1 << 30) - 1));
    }

    proptest::proptest! {
        #[test]
        fn no_lapse_of_34_years_is_kept_longer_than_it_was(nanos in 0_u64..(1_000_000_000 << COUNT_BITS)) {
            let time = Duration::from_nanos(nanos);
            let kept = kept(time);

            proptest::prop_assert!(kept <= time);
            proptest::prop_assert!(time - kept <= (time / 1_000).max(Duration::from_micros(1)));
        }
    }
}
