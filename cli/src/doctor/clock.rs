//! Whether the clocks of this machine can be true, and how far that of a master is away.

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::report::Finding;
use crate::output;
use crate::why::span;

const CHECK: &str = "clock";

/// For how long both clocks are watched.
const WATCHED: Duration = Duration::from_millis(50);

/// What a machine that is busy, or whose clock is slewed, may put between the two in that time.
const APART: Duration = Duration::from_millis(20);

/// The time of day and the monotonic clock.
pub(super) fn look() -> Finding {
    let (began, then) = (Instant::now(), SystemTime::now());
    thread::sleep(WATCHED);
    // The monotonic clock is asked first and last, so that a pause in between is seen by both.
    let day = SystemTime::now().duration_since(then);
    let monotonic = began.elapsed();
    judged(SystemTime::now(), made(), monotonic, day.ok())
}

/// When this program was written to the disk.
fn made() -> Option<SystemTime> {
    fs::metadata(env::current_exe().ok()?).ok()?.modified().ok()
}

/// `day` is how far the time of day went meanwhile; `None`: backwards.
fn judged(now: SystemTime, made: Option<SystemTime>, monotonic: Duration, day: Option<Duration>) -> Finding {
    const SET: &str = "have the clock set by a time service (chrony, systemd-timesyncd), and by nothing beside it";
    let shown = output::time(now);
    if let Some(made) = made.filter(|made| now < *made) {
        let found = format!("it is {shown}, and this program was made later, {}", output::time(made));
        return Finding::fail(CHECK, found, SET);
    }
    match day {
        Some(day) if day.abs_diff(monotonic) <= APART => {
            Finding::ok(CHECK, format!("it is {shown}, and time passes evenly"))
        }
        Some(day) => {
            let found = format!("in {} the time of day went on by {}", span(monotonic), span(day));
            Finding::warn(CHECK, found, SET)
        }
        None => Finding::warn(CHECK, format!("in {} the time of day went backwards", span(monotonic)), SET),
    }
}

const OF_MASTER: &str = "clock of master";

/// What tokens and certificates allow for.
const SKEW_GOOD: Duration = Duration::from_secs(5);

/// What is this far away has tokens expire early, and certificates not be good yet.
const SKEW_MOST: Duration = Duration::from_secs(300);

/// How far a master's clock is away, which was asked at `asked` and answered after `trip`.
pub(super) fn skew(asked: SystemTime, trip: Duration, master: SystemTime) -> Finding {
    const SET: &str = "have both clocks set by a time service: tokens and certificates go by them";
    let here = asked + trip / 2;
    let (far, side) = match master.duration_since(here) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    // When in between it was read is not known.
    let at_least = far.saturating_sub(trip / 2);
    let found = format!("{} {side} this machine's, give or take {}", span(far), span(trip / 2));
    if at_least > SKEW_MOST {
        Finding::fail(OF_MASTER, found, SET)
    } else if at_least > SKEW_GOOD {
        Finding::warn(OF_MASTER, found, SET)
    } else {
        Finding::ok(OF_MASTER, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_is_before_its_program_or_does_not_go_evenly_is_told() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let verdict = |now, day| judged(at(now), Some(at(1000)), Duration::from_millis(50), day).verdict;

        assert_eq!(verdict(2000, ms(51)), Verdict::Ok);
        assert_eq!(verdict(999, ms(50)), Verdict::Fail);
        assert_eq!(verdict(2000, ms(5000)), Verdict::Warn);
        assert_eq!(verdict(2000, ms(0)), Verdict::Warn);
        assert_eq!(verdict(2000, None), Verdict::Warn);
    }

    #[test]
    fn a_master_is_judged_by_what_the_way_there_cannot_explain() {
        let verdict = |trip, master| skew(at(1000), Duration::from_secs(trip), at(master)).verdict;

        assert_eq!([verdict(0, 1000), verdict(0, 1004), verdict(0, 996)], [Verdict::Ok; 3]);
        assert_eq!([verdict(0, 1010), verdict(0, 990)], [Verdict::Warn; 2]);
        assert_eq!([verdict(0, 2000), verdict(0, 100)], [Verdict::Fail; 2]);
        assert_eq!(verdict(20, 1019), Verdict::Ok, "it may have been read at the end of the way");
        let found = skew(at(1000), Duration::from_secs(2), at(1061)).found;
        assert_eq!(found, "60 s ahead of this machine's, give or take 1 s");
    }
}
