use alloc::vec::Vec;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Scenario 44: one call a second, and two at once. The third is refused, where Mesos ends the framework. Mesos:
/// `RateLimitingTest.CapacityReached`.
#[test]
fn of_calls_beyond_what_it_holds_the_first_is_refused_until_its_time_has_come() {
    let (mut calls, capacity, refill) = (Bucket::default(), 2, 2 * SECOND);
    let at = |millis| Now::from_millis(millis);
    for _ in 0..2 {
        calls.take(at(0), 1, capacity, refill).unwrap();
    }

    assert_eq!(calls.take(at(0), 1, capacity, refill), Err(SECOND));
    assert_eq!(calls.take(at(400), 1, capacity, refill), Err(SECOND * 6 / 10));
    assert_eq!(calls.take(at(1_000), 1, capacity, refill), Ok(()));
    assert_eq!(calls.take(at(1_000), 1, capacity, refill), Err(SECOND));
}

#[test]
fn as_many_as_it_holds_come_at_once_though_their_times_are_no_whole_nanoseconds() {
    for most in 1..1_000 {
        let mut bucket = Bucket::default();
        let taken = (0..2 * most).filter(|_| bucket.take(Now::ZERO, 1, most, SECOND).is_ok()).count();
        assert_eq!(taken as u64, most);
    }
}

#[test]
fn as_many_as_it_holds_may_come_at_once_and_then_as_many_as_time_brings() {
    let (start, mut bucket) = (Now::from_millis(5), Bucket::default());
    for _ in 0..10 {
        bucket.take(start, 1, 10, SECOND).unwrap();
    }

    assert_eq!(bucket.take(start, 1, 10, SECOND), Err(SECOND / 10));
    assert_eq!(bucket.used(start, 10, SECOND), 10);
    let later = start + SECOND / 10;
    assert_eq!(bucket.take(later, 1, 10, SECOND), Ok(()));
    assert_eq!(bucket.take(later, 1, 10, SECOND), Err(SECOND / 10));
}

#[test]
fn what_is_refused_takes_nothing() {
    let (start, mut bucket) = (Now::from_millis(5), Bucket::default());
    bucket.take(start, 6, 10, SECOND).unwrap();

    for _ in 0..100 {
        assert!(bucket.take(start, 5, 10, SECOND).is_err());
    }

    assert_eq!(bucket.take(start, 4, 10, SECOND), Ok(()));
}

#[test]
fn idleness_saves_nothing_up() {
    let (start, mut bucket) = (Now::from_millis(5), Bucket::default());
    bucket.take(start, 1, 10, SECOND).unwrap();
    let later = start + 100 * SECOND;

    assert!(bucket.is_full(later) && !bucket.is_full(start));
    assert!(bucket.take(later, 11, 10, SECOND).is_err());
    assert_eq!(bucket.take(later, 10, 10, SECOND), Ok(()));
}

#[test]
fn many_small_ones_are_no_way_around_a_large_limit() {
    let (start, mut bucket, most) = (Now::from_millis(5), Bucket::default(), 32 << 30);

    let taken = (0..1_000_000).filter(|_| bucket.take(start, 1, most, DAY).is_ok()).count() as u64;

    assert!(bucket.used(start, most, DAY) >= taken);
}

#[test]
fn whoever_waits_each_time_comes_as_evenly_as_it_fills_up() {
    let (start, mut bucket) = (Now::from_millis(5), Bucket::default());
    let waits: Vec<_> = (0..30)
        .map(|_| {
            bucket.owe(start, 1, 20, SECOND);
            bucket.wait(start, SECOND / 4)
        })
        .collect();

    assert_eq!(waits[..5], [Duration::ZERO; 5]);
    let evenly: Vec<_> = (1..=25).map(|count| count * SECOND / 20).collect();
    assert_eq!(waits[5..], evenly);
    assert_eq!(bucket.wait(start + 2 * SECOND, SECOND / 4), Duration::ZERO);
}

#[test]
fn no_debt_lasts_for_ever() {
    let (start, mut bucket) = (Now::from_millis(5), Bucket::default());
    for _ in 0..100 {
        bucket.owe(start, u64::MAX, 1, SECOND);
    }

    assert_eq!(bucket.wait(start, Duration::ZERO), 100 * SECOND);
}

#[test]
fn more_than_it_ever_holds_is_refused() {
    let mut bucket = Bucket::default();
    assert!(bucket.take(Now::from_millis(5), u64::MAX, 1, DAY).is_err());
    assert!(bucket.take(Now::from_millis(5), 2, 1, DAY).is_err());
}
