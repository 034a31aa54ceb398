//! A machine's own time.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment on a machine's own monotonic clock: nanoseconds since its driver first started.
///
/// It is not wall-clock time. A driver that restarts goes on from where it stopped, so that a master which
/// was down does not declare every agent dead on waking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(
    /// One more than its nanoseconds, so that records keep a moment that may not have been in eight bytes.
    NonZeroU64,
);

impl Now {
    /// The first moment.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// A moment by its nanoseconds since the origin. The last that there is comes before 2^64 - 1.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// A moment by its milliseconds since the origin. Saturates after 584 years.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// So long before this one; the first moment when that was before all time.
    pub fn before(self, time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self::from_nanos(self.as_nanos().saturating_sub(nanos))
    }

    /// Time passed since `earlier`; zero when `earlier` is later than `self`.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Now {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Now").field(&self.as_nanos()).finish()
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    /// Saturates at the end of time, so that "never" can be written as `Duration::MAX`.
    fn add(self, after: Duration) -> Self {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub for Now {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.as_nanos() / 1_000_000_000, self.as_nanos() / 1_000_000 % 1_000)
    }
}
