//! What follows a lost connection or another master.

use super::*;

#[test]
fn nothing_is_launched_on_offers_of_before_a_lost_connection() {
    let mut runner = runner(0, Duration::MAX);
    runner.submit(START, 0, task(500));
    runner.hear(START, offer(1, 1, 1000));
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    assert_eq!(accepted(&runner.decide(START)), []);

    runner.hear(START, Event::Subscribed(FRAMEWORK));
    runner.hear(START, offer(1, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![1], vec![1])]);
}

#[test]
fn after_a_lost_connection_it_is_said_again_what_is_wanted_less_what_was_launched() {
    let mut runner = batch();
    for index in 0..3 {
        runner.submit(START, index, task(500));
    }
    assert_eq!(demanded(&runner.decide(START)), [[want(500, 3, 0)]]);
    runner.hear(START, units(1, 1, 500, 2));
    assert_eq!(said(&runner.decide(START)), ["accept"]);

    runner.hear(START, Event::Disconnected("reset".to_owned()));
    assert_eq!(demanded(&runner.decide(START)), [[want(500, 1, 0)]]);
    runner.hear(START, Event::Subscribed(FRAMEWORK));
    assert_eq!(said(&runner.decide(START)), ["reconcile"]);
}

#[test]
fn after_a_lost_connection_running_tasks_are_asked_after() {
    let mut runner = launched(0);
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.hear(START, Event::Subscribed(FRAMEWORK));

    assert!(runner.decide(START).commands.contains(&FrameworkCommand::Reconcile(vec![question(1, 1)])));

    runner.hear(START, update(1, TaskState::Running, Some(Reason::Reconciliation)));
    assert_eq!(said(&runner.decide(START + Duration::from_secs(60))), ["acknowledge"]);
}

#[test]
fn a_task_of_which_the_master_knows_nothing_is_asked_after_and_not_given_up() {
    let mut runner = launched(1);
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.hear(START, Event::Subscribed(FRAMEWORK));
    runner.hear(START, offer(2, 1, 1000));

    let mut questions = 0;
    let mut now = START;
    while now < START + Duration::from_secs(600) {
        let decisions = runner.decide(now);
        assert_eq!(accepted(&decisions), []);
        questions += decisions.commands.iter().filter(|said| matches!(said, FrameworkCommand::Reconcile(_))).count();
        runner.hear(now, update(1, TaskState::Unknown, Some(Reason::Reconciliation)));
        now = runner.deadline().expect("a question is open");
    }
    assert!((10..20).contains(&questions), "{questions}");

    runner.hear(now, update(1, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(now)), [(0, Some(TaskState::Finished), 1)]);
}

#[test]
fn a_launch_that_was_lost_with_a_master_costs_no_retry() {
    let mut runner = launched(0);
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.hear(START, Event::Subscribed(FRAMEWORK));
    runner.decide(START);

    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::Reconciliation)));
    runner.hear(START, update(1, TaskState::Gone, Some(Reason::Reconciliation)));
    runner.hear(START, offer(2, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);
}

#[test]
fn a_task_that_ran_and_is_gone_has_ended() {
    let mut runner = launched(0);
    runner.hear(START, update(1, TaskState::Running, None));

    runner.hear(START, update(1, TaskState::Gone, Some(Reason::Reconciliation)));

    assert_eq!(ends(&runner.decide(START)), [(0, Some(TaskState::Gone), 1)]);
}
