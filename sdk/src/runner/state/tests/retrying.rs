//! Launches that fail, and how often a task is tried again.

use super::*;
use crate::runner::retry::{RELAUNCHES_MAX, rest};

#[test]
fn a_failed_task_wants_room_again() {
    let mut runner = launched(1);

    runner.hear(START, update(1, TaskState::Failed, Some(Reason::Exit)));

    assert_eq!(said(&runner.decide(START)), ["acknowledge", "demand"]);
}

#[test]
fn a_failure_is_retried_as_often_as_was_asked() {
    let mut runner = launched(1);

    runner.hear(START, update(1, TaskState::Failed, Some(Reason::Exit)));
    runner.hear(START, offer(2, 1, 1000));
    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);

    runner.hear(START, update(2, TaskState::Failed, Some(Reason::Exit)));
    let decisions = runner.decide(START);
    assert_eq!(ends(&decisions), [(0, Some(TaskState::Failed), 2)]);
}

#[test]
fn a_second_failure_rests_before_its_next_launch() {
    let mut runner = launched(5);
    for number in 1..=2 {
        runner.hear(START, update(number, TaskState::Failed, Some(Reason::Exit)));
        runner.hear(START, offer(number + 1, 1, 1000));
        runner.decide(START);
    }

    assert_eq!(accepted(&runner.decide(START)), []);
    assert_eq!(runner.deadline(), Some(START + rest(2)));
    assert_eq!(demanded(&runner.decide(START + rest(2))), [[want(1000, 1, 0)]]);
    runner.hear(START + rest(2), offer(4, 1, 1000));
    assert_eq!(accepted(&runner.decide(START + rest(2))), [(vec![4], vec![3])]);
}

#[test]
fn a_launch_on_an_offer_that_was_gone_costs_no_retry() {
    let mut runner = launched(0);

    runner.hear(START, update(1, TaskState::Dropped, Some(Reason::InvalidOffers)));
    runner.hear(START, offer(2, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);
}

#[test]
fn a_launch_that_is_never_delivered_is_not_tried_for_ever() {
    let mut runner = launched(0);
    let mut now = START;
    for number in 1..=u64::from(RELAUNCHES_MAX) {
        runner.hear(now, update(number, TaskState::Dropped, Some(Reason::InvalidOffers)));
        runner.hear(now, offer(number + 1, 1, 1000));
        runner.decide(now);
        now = now + Duration::from_secs(5);
        runner.decide(now);
        runner.hear(now, offer(1000 + number, 1, 1000));
        runner.decide(now);
    }

    runner.hear(now, update(u64::from(RELAUNCHES_MAX) + 1, TaskState::Dropped, Some(Reason::InvalidOffers)));

    assert_eq!(ends(&runner.decide(now)), [(0, Some(TaskState::Dropped), RELAUNCHES_MAX + 1)]);
}
