//! What is launched, and on which offers.

use super::*;

#[test]
fn offers_of_one_agent_are_combined_into_one_launch() {
    let mut runner = batch();
    for index in 0..3 {
        runner.submit(START, index, task(500));
    }

    runner.hear(START, offer(1, 1, 1000));
    runner.hear(START, offer(2, 1, 500));
    let decisions = runner.decide(START);

    assert_eq!(accepted(&decisions), [(vec![1, 2], vec![1, 2, 3])]);
}

#[test]
fn one_decision_acknowledges_everything_in_one_message_and_first() {
    let mut runner = batch();
    for index in 0..2 {
        runner.submit(START, index, task(500));
    }
    runner.decide(START);
    runner.hear(START, offer(1, 1, 1000));
    runner.decide(START);

    runner.hear(START, update(1, TaskState::Finished, None));
    runner.hear(START, update(2, TaskState::Finished, None));
    let decisions = runner.decide(START);

    assert_eq!(decisions.commands, [FrameworkCommand::Acknowledge(vec![ack(1), ack(2)])]);
    assert_eq!(ends(&decisions), [(0, Some(TaskState::Finished), 1), (1, Some(TaskState::Finished), 1)]);
    assert_eq!(runner.unfinished(), 0);
}

#[test]
fn news_of_what_is_not_ours_is_passed_over() {
    let mut runner = launched(0);
    let foreign = TaskId { framework: FrameworkId(99), number: 1 };
    let status = TaskStatus::new(foreign, UpdateId::UNACKNOWLEDGED, TaskState::Error, Source::Master);

    runner.hear(START, Event::Update(TaskStatus { reason: Some(Reason::TaskInvalid), ..status }));

    assert_eq!(said(&runner.decide(START)), [""; 0]);
    assert_eq!(runner.unfinished(), 1);
}

#[test]
fn a_killed_task_that_waits_ends_at_once_and_one_that_runs_when_the_master_says_so() {
    let mut runner = launched(3);
    runner.submit(START, 1, task(1000));

    runner.cancel();
    let decisions = runner.decide(START);
    assert_eq!(ends(&decisions), [(1, None, 0)]);
    assert!(decisions.commands.contains(&FrameworkCommand::Kill(id(1))));

    runner.hear(START, update(1, TaskState::Lost, Some(Reason::AgentRemoved)));
    assert_eq!(ends(&runner.decide(START)), [(0, Some(TaskState::Lost), 1)]);
}

#[test]
fn no_deadline_lies_in_the_past_once_it_was_decided_on() {
    let mut runner = runner(3, Duration::from_secs(1));
    let mut now = START;
    runner.submit(now, 0, task(1000));
    runner.submit(now, 1, task(64_000));
    runner.hear(now, offer(1, 1, 1000));
    for step in 0..50 {
        if step == 10 {
            runner.hear(now, Event::Disconnected("reset".to_owned()));
        }
        if step == 20 {
            runner.hear(now, Event::Subscribed(FRAMEWORK));
        }
        if runner.decide(now).survey {
            runner.surveyed(now, None);
        }
        runner.decide(now);
        if let Some(deadline) = runner.deadline() {
            assert!(deadline > now, "step {step}: {runner:?}");
        }
        now = now + Duration::from_millis(700);
    }
}
