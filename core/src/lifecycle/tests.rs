use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::TaskEvent;
use crate::task::TaskState;

fn events() -> impl Iterator<Item = TaskEvent> {
    use TaskEvent::{
        AgentForgot, AgentGone, AgentGoneByOperator, AgentLeft, AgentRestarted, AgentSilent, KillRequested, Reported,
    };
    let others = [KillRequested, AgentSilent, AgentForgot, AgentRestarted, AgentLeft, AgentGone, AgentGoneByOperator];
    TaskState::ALL.into_iter().map(Reported).chain(others)
}

fn name(event: TaskEvent) -> String {
    match event {
        TaskEvent::Reported(state) => state.to_string(),
        TaskEvent::KillRequested => "kill requested".to_string(),
        TaskEvent::AgentSilent => "agent silent".to_string(),
        TaskEvent::AgentForgot => "agent forgot".to_string(),
        TaskEvent::AgentRestarted => "agent restarted".to_string(),
        TaskEvent::AgentLeft => "agent left".to_string(),
        TaskEvent::AgentGone => "agent gone".to_string(),
        TaskEvent::AgentGoneByOperator => "agent gone by operator".to_string(),
    }
}

#[test]
fn every_transition_is_as_written_down() {
    let mut table = String::new();
    for state in TaskState::ALL {
        let moves: Vec<_> = events().filter_map(|event| Some((event, state.next(event)?))).collect();
        let is = if state.is_terminal() { " is never left" } else { "" };
        writeln!(table, "{state}{is}").expect("writing to a String cannot fail");
        for (event, next) in moves {
            writeln!(table, "    {:<22} -> {next}", name(event)).expect("writing to a String cannot fail");
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_terminal_state_is_never_left() {
    for state in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        assert!(events().all(|event| state.next(event).is_none()), "{state} is left");
    }
}

#[test]
fn every_state_but_the_last_can_end() {
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let ends = events().filter_map(|event| state.next(event)).any(TaskState::is_terminal);
        assert!(ends, "{state} never ends");
    }
}

#[test]
fn news_that_was_heard_before_changes_nothing() {
    for state in TaskState::ALL {
        assert_eq!(state.next(TaskEvent::Reported(state)), None);
    }
}
