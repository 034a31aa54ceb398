//! Tasks whose agents are silent, and launches that were given up.

use super::*;

#[test]
fn an_unreachable_task_is_waited_for_and_goes_on_when_its_agent_is_back() {
    let mut runner = launched(1);

    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    runner.hear(START, offer(2, 2, 1000));
    assert_eq!(accepted(&runner.decide(START)), []);
    let later = START + PATIENCE / 2;
    runner.hear(later, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
    assert_eq!(said(&runner.decide(START + PATIENCE * 2)), ["acknowledge"]);

    runner.hear(later, update(1, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(later)), [(0, Some(TaskState::Finished), 1)]);
}

/// A runner whose launch 1 was given up and launched again as number 2.
fn given_up() -> (RunnerState, Now) {
    let mut runner = launched(1);
    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    runner.decide(START);
    assert_eq!(runner.deadline(), Some(START + PATIENCE));

    let late = START + PATIENCE;
    let decisions = runner.decide(late);
    assert!(decisions.commands.contains(&FrameworkCommand::Kill(id(1))), "{decisions:?}");
    runner.hear(late, offer(2, 2, 1000));
    assert_eq!(accepted(&runner.decide(late)), [(vec![2], vec![2])]);
    (runner, late)
}

#[test]
fn a_launch_that_was_given_up_is_killed_whenever_it_turns_up_until_its_end_is_heard() {
    let (mut runner, late) = given_up();

    for _ in 0..2 {
        runner.hear(late, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
        assert!(runner.decide(late).commands.contains(&FrameworkCommand::Kill(id(1))));
    }
    runner.hear(late, update(1, TaskState::Killed, Some(Reason::KillRequested)));
    runner.decide(late);

    runner.hear(late, Event::Disconnected("reset".to_owned()));
    runner.hear(late, Event::Subscribed(FRAMEWORK));
    assert!(!runner.decide(late).commands.contains(&FrameworkCommand::Kill(id(1))));
    runner.hear(late, update(2, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(late)), [(0, Some(TaskState::Finished), 2)]);
}

#[test]
fn a_new_master_is_told_of_the_launches_that_were_given_up() {
    let (mut runner, late) = given_up();

    runner.hear(late, Event::Disconnected("reset".to_owned()));
    runner.decide(late);
    runner.hear(late, Event::Subscribed(FRAMEWORK));
    let decisions = runner.decide(late);

    assert_eq!(
        decisions.commands,
        [FrameworkCommand::Kill(id(1)), FrameworkCommand::Reconcile(vec![question(1, 1), question(2, 2)])]
    );
}

#[test]
fn the_silence_of_an_agent_does_not_count_while_the_master_is_away() {
    let mut runner = launched(1);
    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    let back = START + PATIENCE * 2;
    assert_eq!(said(&runner.decide(back)), ["acknowledge", "demand"]);

    runner.hear(back, Event::Subscribed(FRAMEWORK));
    runner.hear(back, update(1, TaskState::Unreachable, Some(Reason::Reconciliation)));

    assert!(!runner.decide(back).commands.contains(&FrameworkCommand::Kill(id(1))));
    assert_eq!(runner.deadline(), Some(back + PATIENCE));
}

#[test]
fn the_masters_ignorance_of_a_launch_that_was_given_up_is_asked_about_again() {
    let (mut runner, late) = given_up();

    runner.hear(late, update(1, TaskState::Unknown, Some(Reason::Reconciliation)));
    assert_eq!(said(&runner.decide(late)), ["acknowledge"]);

    let next = runner.deadline().unwrap();
    assert_eq!(runner.decide(next).commands, [FrameworkCommand::Reconcile(vec![question(1, 1)])]);
}

#[test]
fn a_kill_is_said_again_when_the_task_turns_up_as_if_it_had_not_been_heard() {
    let mut runner = launched(0);
    runner.kill(0);
    assert_eq!(said(&runner.decide(START)), ["kill"]);

    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    assert_eq!(said(&runner.decide(START)), ["acknowledge"]);
    runner.hear(START, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
    assert_eq!(said(&runner.decide(START)), ["acknowledge", "kill"]);
}

/// Its agent's folder was copied, and the copy came without it.
#[test]
fn a_launch_that_was_told_as_gone_is_killed_when_it_turns_up() {
    let mut runner = launched(0);
    runner.hear(START, update(1, TaskState::Gone, Some(Reason::AgentRestarted)));
    assert_eq!(ends(&runner.decide(START)), [(0, Some(TaskState::Gone), 1)]);

    runner.hear(START, update(1, TaskState::Running, None));

    let commands = runner.decide(START).commands;
    assert!(commands.contains(&FrameworkCommand::Kill(id(1))), "{commands:?}");
}
