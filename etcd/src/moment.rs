//! A clock that goes on while the machine is suspended.

use std::ops::Add;
use std::time::Duration;

/// A point in time, by a clock of this machine that never goes backwards and does not stop in a suspended machine: what
/// was granted elsewhere for so many seconds ends meanwhile.
///
/// That is `CLOCK_BOOTTIME` on Linux and `CLOCK_MONOTONIC` on macOS. On Windows it is the performance counter behind
/// [`std::time::Instant`], which goes on in sleep as well. On other systems `Instant` is the best there is, and may stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// By this machine's clock.
    pub fn now() -> Self {
        Self(since_some_start())
    }

    /// How long it is since `earlier`; zero when that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn since_some_start() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: ClockId = ClockId::Boottime;
    let time = clock_gettime(CLOCK);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn since_some_start() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// What the system calls its uptime counts the time in which it was suspended.
    #[test]
    fn it_is_the_time_since_the_machine_was_started() {
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            Duration::from_secs_f64(text.split(' ').next().unwrap().parse().unwrap())
        };

        let before = uptime();
        let Moment(now) = Moment::now();
        let after = uptime();

        // It has two digits.
        let digit = Duration::from_millis(10);
        assert!(before <= now && now <= after + digit, "{before:?} {now:?} {after:?}");
    }
}
