//! What an ending means as the exit code of this command.

use std::process::ExitCode;

use haggle_core::{Reason, TaskState};

/// A task trapped: what a shell reports of a program that aborted (128 + SIGABRT).
pub(crate) const TRAPPED: u8 = 134;
/// A task reached its time limit: as timeout(1) reports it.
pub(crate) const TIMED_OUT: u8 = 124;
/// A task reached another quota, or was killed: what a shell reports of a killed program (128 + SIGKILL).
pub(crate) const KILLED: u8 = 137;
/// The cluster or the command line was at fault: as docker(1) and timeout(1) report their own faults.
pub(crate) const FAULT: u8 = 125;
/// The command line could not be read: as clap and most programs have it.
pub(crate) const USAGE: u8 = 2;
/// A service is installed and does not run: as init scripts have it.
pub(crate) const NOT_RUNNING: u8 = 3;
/// Ctrl-C: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code that tells of a task's end.
pub(crate) fn of_task(state: TaskState, reason: Option<Reason>, exit_code: Option<i32>) -> u8 {
    match (state, reason) {
        (TaskState::Finished, _) => exit_code.map_or(0, low_byte),
        (TaskState::Failed, Some(Reason::Exit)) => exit_code.map_or(FAULT, low_byte),
        (TaskState::Failed, Some(Reason::Trap)) => TRAPPED,
        (TaskState::Failed, Some(Reason::TimeLimit)) => TIMED_OUT,
        (
            TaskState::Failed,
            Some(Reason::MemoryLimit | Reason::FuelExhausted | Reason::DiskLimit | Reason::OutputLimit),
        )
        | (TaskState::Killed, _) => KILLED,
        _ => FAULT,
    }
}

/// The exit code of an array: 0 when every task finished, else that of the first, by index, that did not.
pub(crate) fn of_array(codes: impl IntoIterator<Item = u8>) -> u8 {
    codes.into_iter().find(|&code| code != 0).unwrap_or(0)
}

/// The code as the operating system takes it.
pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

/// Operating systems keep eight bits of an exit code. One that would read as success by losing the others reads as
/// 1 instead.
fn low_byte(code: i32) -> u8 {
    match u8::try_from(code & 0xff) {
        Ok(0) if code != 0 => 1,
        Ok(byte) => byte,
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_ends_by_itself_passes_its_code_on() {
        assert_eq!(of_task(TaskState::Finished, None, Some(0)), 0);
        assert_eq!(of_task(TaskState::Finished, None, None), 0);
        assert_eq!(of_task(TaskState::Failed, Some(Reason::Exit), Some(77)), 77);
        assert_eq!(of_task(TaskState::Failed, Some(Reason::Exit), Some(255)), 255);
    }

    #[test]
    fn a_failure_never_reads_as_success() {
        assert_eq!(of_task(TaskState::Failed, Some(Reason::Exit), Some(256)), 1);
        assert_eq!(of_task(TaskState::Failed, Some(Reason::Exit), Some(-1)), 255);
        for state in TaskState::ALL.into_iter().filter(|&state| state != TaskState::Finished) {
            for reason in Reason::ALL {
                assert_ne!(of_task(state, Some(*reason), None), 0, "{state} {reason}");
            }
        }
    }

    #[test]
    fn every_limit_has_its_code() {
        let failed = |reason| of_task(TaskState::Failed, Some(reason), None);

        assert_eq!(failed(Reason::Trap), 134);
        assert_eq!(failed(Reason::TimeLimit), 124);
        for quota in [Reason::MemoryLimit, Reason::FuelExhausted, Reason::DiskLimit, Reason::OutputLimit] {
            assert_eq!(failed(quota), 137, "{quota}");
        }
        assert_eq!(of_task(TaskState::Killed, Some(Reason::KillRequested), None), 137);
    }

    #[test]
    fn what_is_no_fault_of_the_tasks_is_one_of_the_clusters() {
        assert_eq!(of_task(TaskState::Failed, Some(Reason::ModuleInvalid), None), 125);
        assert_eq!(of_task(TaskState::Error, Some(Reason::TaskInvalid), None), 125);
        assert_eq!(of_task(TaskState::Dropped, Some(Reason::InvalidOffers), None), 125);
        assert_eq!(of_task(TaskState::Lost, Some(Reason::AgentRemoved), None), 125);
        assert_eq!(of_task(TaskState::Failed, Some(Reason::ExecutorTerminated), None), 125);
    }

    #[test]
    fn an_array_ends_with_the_code_of_the_first_that_failed() {
        assert_eq!(of_array([0, 0, 0]), 0);
        assert_eq!(of_array([0, 124, 77]), 124);
        assert_eq!(of_array([]), 0);
    }
}
