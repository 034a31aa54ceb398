//! Which ends of a task are worth another try: decided here and nowhere else.

use std::time::Duration;

use haggle_core::{Reason, TaskState, TaskStatus};

/// What the end of one launch means for the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This is the task's own end: its success, its limit, or somebody's wish.
    Final,
    /// Another try may go better; it counts as one of the task's retries.
    Retry,
    /// It never ran, for no fault of its own: an offer expired as it was accepted. Costs no retry.
    Relaunch,
}

/// Judges a terminal status, or an `UNREACHABLE` that has lasted too long.
///
/// | it ended | verdict | because |
/// |---|---|---|
/// | `FINISHED` | final | it is done |
/// | `KILLED` | final | somebody wanted it |
/// | `KILLED` by `AGENT_DRAINING` | retry | nobody wanted it, its agent left |
/// | `ERROR`, or `TASK_INVALID`, `MODULE_INVALID` | final | the same spec is wrong again |
/// | `FAILED` by `FUEL_EXHAUSTED`, `MEMORY_LIMIT`, `DISK_LIMIT`, `OUTPUT_LIMIT` | final | the same input wants as much again |
/// | `FAILED` by `EXIT`, `TRAP`, `TIME_LIMIT` or for any other reason | retry | may depend on the moment |
/// | `LOST`, `GONE`, `GONE_BY_OPERATOR`, `UNREACHABLE` | retry | it went with its agent, or what it ran on was wanted back |
/// | `DROPPED` | relaunch | it was never delivered |
/// | any, with `FRAMEWORK_REMOVED` | final | nobody is left to launch it |
pub(super) fn verdict(status: &TaskStatus) -> Verdict {
    match status.reason {
        Some(Reason::TaskInvalid | Reason::ModuleInvalid | Reason::FrameworkRemoved) => return Verdict::Final,
        Some(Reason::KillRequested | Reason::KilledDuringLaunch) => return Verdict::Final,
        Some(Reason::AgentDraining) if status.state == TaskState::Killed => return Verdict::Retry,
        _ => {}
    }
    match status.state {
        TaskState::Failed => match status.reason {
            Some(Reason::FuelExhausted | Reason::MemoryLimit | Reason::DiskLimit | Reason::OutputLimit) => {
                Verdict::Final
            }
            _ => Verdict::Retry,
        },
        TaskState::Lost | TaskState::Gone | TaskState::GoneByOperator | TaskState::Unreachable => Verdict::Retry,
        TaskState::Dropped => Verdict::Relaunch,
        _ => Verdict::Final,
    }
}

/// Free relaunches of one task. More in a row is no race with an expiring offer any more.
pub(super) const RELAUNCHES_MAX: u32 = 20;

/// How long a task rests before its next launch, after `failures` launches that came to nothing: not at all after
/// the first, then 50 ms and twice as long each time, up to 5 s.
pub(super) fn rest(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(5);
    match failures {
        0 | 1 => Duration::ZERO,
        _ => FIRST.saturating_mul(1 << (failures - 2).min(16)).min(MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_core::{FrameworkId, Source, TaskId, UpdateId};

    fn judged(state: TaskState, reason: Option<Reason>) -> Verdict {
        let task = TaskId { framework: FrameworkId(1), number: 1 };
        verdict(&TaskStatus { reason, ..TaskStatus::new(task, UpdateId(1), state, Source::Agent) })
    }

    #[test]
    fn a_fault_that_may_pass_is_retried() {
        for reason in [Reason::Exit, Reason::Trap, Reason::TimeLimit, Reason::ArtifactUnavailable] {
            assert_eq!(judged(TaskState::Failed, Some(reason)), Verdict::Retry, "{reason}");
        }
    }

    #[test]
    fn a_fault_that_comes_again_is_not_retried() {
        for reason in [
            Reason::ModuleInvalid,
            Reason::TaskInvalid,
            Reason::FuelExhausted,
            Reason::MemoryLimit,
            Reason::DiskLimit,
            Reason::OutputLimit,
        ] {
            assert_eq!(judged(TaskState::Failed, Some(reason)), Verdict::Final, "{reason}");
        }
        assert_eq!(judged(TaskState::Error, Some(Reason::TaskInvalid)), Verdict::Final);
    }

    #[test]
    fn a_task_that_went_with_its_agent_is_retried() {
        for state in [TaskState::Lost, TaskState::Gone, TaskState::GoneByOperator, TaskState::Unreachable] {
            assert_eq!(judged(state, Some(Reason::AgentRemoved)), Verdict::Retry, "{state}");
        }
    }

    #[test]
    fn a_task_that_was_preempted_is_retried() {
        assert_eq!(judged(TaskState::Gone, Some(Reason::Preempted)), Verdict::Retry);
    }

    #[test]
    fn a_task_that_was_never_delivered_costs_no_retry() {
        assert_eq!(judged(TaskState::Dropped, Some(Reason::InvalidOffers)), Verdict::Relaunch);
        assert_eq!(judged(TaskState::Dropped, Some(Reason::AgentDraining)), Verdict::Relaunch);
    }

    #[test]
    fn a_task_that_a_leaving_agent_ended_is_retried() {
        assert_eq!(judged(TaskState::Killed, Some(Reason::AgentDraining)), Verdict::Retry);
    }

    #[test]
    fn success_and_a_kill_are_final() {
        assert_eq!(judged(TaskState::Finished, None), Verdict::Final);
        assert_eq!(judged(TaskState::Killed, Some(Reason::KillRequested)), Verdict::Final);
        assert_eq!(judged(TaskState::Dropped, Some(Reason::KilledDuringLaunch)), Verdict::Final);
    }

    #[test]
    fn rests_grow_to_a_ceiling() {
        let rests: Vec<_> = [0, 1, 2, 3, 4, 9, 99].map(|failures| rest(failures).as_millis()).into();
        assert_eq!(rests, [0, 0, 50, 100, 200, 5000, 5000]);
    }
}
