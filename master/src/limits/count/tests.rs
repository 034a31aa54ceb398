use haggle_core::AgentId;
use haggle_core::access::{Roles, TokenId};

use super::*;

fn framework(name: &str) -> Principal {
    let roles = Roles::parse::<&str>(&[]).unwrap();
    Principal { name: name.into(), kind: Kind::Framework(roles), token: None }
}

fn key(who: &Principal) -> Key {
    Key::of(who).unwrap()
}

fn limited(settings: &[&str]) -> Principals {
    let mut limits = Limits::default();
    settings.iter().for_each(|setting| limits.set(setting.parse().unwrap()));
    Principals::new(limits)
}

#[test]
fn who_has_all_it_may_hears_which_limit_that_is_and_how_high() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["watches=2"]);
    for _ in 0..2 {
        principals.hold(&who, &key(&who), now, Limit::Watches).unwrap();
    }

    let over = principals.hold(&who, &key(&who), now, Limit::Watches).unwrap_err();

    let told = "\"ci\" (framework) is at its limit watches=2 (watches at once): it has 2; end some of them, or have the \
                master started with a higher --limit watches=…";
    assert_eq!(over.to_string(), told);
}

#[test]
fn what_has_ended_makes_room() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["log-reads=1"]);
    principals.hold(&who, &key(&who), now, Limit::LogReads).unwrap();

    principals.release(&key(&who), Limit::LogReads);

    assert!(principals.hold(&who, &key(&who), now, Limit::LogReads).is_ok());
    assert!(principals.hold(&who, &key(&who), now, Limit::LogReads).is_err());
}

#[test]
fn one_principal_at_its_limit_is_nothing_to_another() {
    let now = Instant::now();
    let mut principals = limited(&["calls-per-second=1", "calls-open=1"]);
    let viewer = Principal { kind: Kind::Viewer(Roles::parse::<&str>(&[]).unwrap()), ..framework("ci") };

    for who in [framework("ci"), framework("other"), viewer, Principal::agent(AgentId(1))] {
        principals.call(&who, &key(&who), now, 1).unwrap();
        principals.hold(&who, &key(&who), now, Limit::CallsOpen).unwrap();
        assert!(principals.call(&who, &key(&who), now, 1).is_err());
        assert!(principals.hold(&who, &key(&who), now, Limit::CallsOpen).is_err());
    }
}

/// Scenario 44. Mesos: `RateLimitingTest.SamePrincipalFrameworks`.
#[test]
fn two_tokens_of_one_name_are_one_principal() {
    let now = Instant::now();
    let mut principals = limited(&["calls-per-second=1"]);
    let [one, other] = [1, 2].map(|id| Principal { token: Some(TokenId(id)), ..framework("ci") });
    principals.call(&one, &key(&one), now, 1).unwrap();

    assert!(principals.call(&other, &key(&other), now, 1).is_err());
}

#[test]
fn neither_the_owner_nor_another_master_is_counted() {
    assert_eq!([Principal::owner(), Principal::master()].map(|who| Key::of(&who)), [None, None]);
}

/// Scenario 44. What is too much is refused by its name, where Mesos ends the framework. Mesos:
/// `RateLimitingTest.CapacityReached`.
#[test]
fn who_calls_too_often_hears_when_to_come_again() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["calls-per-second=10"]);
    for _ in 0..10 {
        principals.call(&who, &key(&who), now, 1).unwrap();
    }

    let over = principals.call(&who, &key(&who), now, 1).unwrap_err();

    assert_eq!((over.limit, over.most, over.has), (Limit::CallsPerSecond, 10, 10));
    assert!(over.to_string().contains("it has 10; try again in 1 s, or"), "{over}");
    assert!(principals.call(&who, &key(&who), now + over.after.unwrap(), 1).is_ok());
}

#[test]
fn bytes_come_back_over_a_day() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["upload-bytes-per-day=24KiB"]);
    principals.bring(&who, &key(&who), now, 24 << 10).unwrap();

    let over = principals.bring(&who, &key(&who), now, 1 << 10).unwrap_err();

    assert!(over.to_string().contains("upload-bytes-per-day=24 KiB"), "{over}");
    assert!(over.to_string().contains("it has 24 KiB; try again in 3600 s"), "{over}");
    assert!(principals.bring(&who, &key(&who), now + DAY / 24, 1 << 10).is_ok());
}

#[test]
fn without_a_limit_nothing_is_too_much() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["calls-per-second=none", "upload-bytes-per-day=none"]);

    for _ in 0..100_000 {
        principals.call(&who, &key(&who), now, 1).unwrap();
    }
    assert!(principals.bring(&who, &key(&who), now, u64::MAX).is_ok());
}

#[test]
fn of_each_limit_it_is_said_once_a_minute_and_how_often_it_was_not() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&[]);
    let at = |seconds| now + Duration::from_secs(seconds);

    let said = [0, 1, 59, 60, 61].map(|second| principals.complain(&key(&who), at(second), Limit::Watches));

    assert_eq!(said, [Some(0), None, None, Some(2), None]);
    assert_eq!(principals.complain(&key(&who), at(61), Limit::Tasks), Some(0));
    assert_eq!(principals.complain(&key(&framework("other")), at(61), Limit::Watches), Some(0));
}

/// So many principals, of which each has made a call.
fn many(principals: &mut Principals, now: Instant, ids: std::ops::Range<usize>) {
    for id in ids {
        let who = Principal::agent(AgentId(id as u64));
        principals.call(&who, &key(&who), now, 1).unwrap();
    }
}

#[test]
fn who_holds_nothing_and_has_its_budgets_back_is_forgotten() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&[]);
    principals.hold(&who, &key(&who), now, Limit::Watches).unwrap();
    many(&mut principals, now, 0..FEW);

    many(&mut principals, now + 2 * SECOND, FEW..3 * FEW);

    assert!(principals.known.len() <= 2 * FEW + 1, "{}", principals.known.len());
    assert_eq!(principals.known[&key(&who)].held.iter().sum::<u64>(), 1, "whoever holds something is known");
}

#[test]
fn there_is_an_end_to_how_many_are_counted() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&[]);
    principals.hold(&who, &key(&who), now, Limit::Watches).unwrap();

    many(&mut principals, now, 0..3 * MANY);

    assert!(principals.known.len() <= MANY, "{}", principals.known.len());
    principals.release(&key(&who), Limit::Watches);
}

#[test]
fn many_calls_at_once_are_spread_over_the_second_that_they_may_take() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["calls-per-second=100"]);

    let waits: Vec<_> = (0..100).map(|_| principals.call(&who, &key(&who), now, 1).unwrap()).collect();

    assert!(waits[..25].iter().all(Duration::is_zero));
    assert_eq!((waits[25], waits[99]), (SECOND / 100, 3 * SECOND / 4));
    assert!(principals.call(&who, &key(&who), now, 1).is_err());
}

#[test]
fn a_call_that_costs_more_counts_as_more_and_may_be_made_all_the_same() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["calls-per-second=3"]);

    principals.call(&who, &key(&who), now, 2).unwrap();

    assert!(principals.call(&who, &key(&who), now, 2).is_err());
    assert!(principals.call(&who, &key(&who), now + SECOND, 5).is_ok());
}

#[test]
fn the_more_often_somebody_is_refused_the_later_it_hears_so() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&[]);

    let late: Vec<_> = (0..1_000).map(|_| principals.late(&key(&who), now)).collect();

    assert_eq!((late[0], late[15]), (LATE, LATE));
    assert_eq!(late[127], 2 * SECOND);
    assert_eq!(late[999], LATEST);
    assert_eq!(principals.late(&key(&framework("other")), now), LATE);
    assert_eq!(principals.late(&key(&who), now + 100 * SECOND), LATE);
}

#[test]
fn whoever_has_brought_all_it_may_within_a_day_hears_so_before_it_brings_more() {
    let (now, who) = (Instant::now(), framework("ci"));
    let mut principals = limited(&["upload-bytes-per-day=24KiB"]);
    for _ in 0..3 {
        principals.may_bring(&who, &key(&who), now).unwrap();
    }
    principals.bring(&who, &key(&who), now, 24 << 10).unwrap();

    let over = principals.may_bring(&who, &key(&who), now).unwrap_err();

    assert_eq!(over.limit, Limit::UploadBytesPerDay);
}
