//! When an executor's process has outlived its use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::records::{Quiet, TaskRecords};

/// How often a process without an agent looks whether its folder is still there: without it, no agent can come.
const LOOK: Duration = Duration::from_secs(1);

/// How long the agent that started a process may take to speak to it, on the busiest machine.
const FIRST_AGENT: Duration = Duration::from_secs(30);

/// What there is to do about the quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// End: nobody will come.
    End,
    /// Tell the agent that there is nothing to do.
    SayIdle,
    /// Look again then, or when it becomes quieter.
    Wait(Option<Instant>),
}

/// Returns when the process is to end, and why: that was said, or its agent has been gone for too long, or with nothing to come back
/// to.
pub(super) fn watch(
    records: &Arc<TaskRecords>,
    folder: &Folder,
    recovery_timeout: Duration,
    idle_after: Duration,
) -> &'static str {
    let mut quiet = records.quiet();
    loop {
        if let Some(why) = quiet.ended {
            return why;
        }
        let now = Instant::now();
        match judge(quiet, now, recovery_timeout, idle_after, || folder.path().exists()) {
            Verdict::End => return "it was left alone",
            Verdict::SayIdle => {
                records.say_idle();
                quiet = records.quiet();
            }
            Verdict::Wait(until) => quiet = records.wait_for_quiet(until),
        }
    }
}

fn judge(
    quiet: Quiet,
    now: Instant,
    recovery_timeout: Duration,
    idle_after: Duration,
    has_folder: impl FnOnce() -> bool,
) -> Verdict {
    match quiet {
        Quiet { alone_since: Some(since), idle_since, agents, .. } => {
            let patience = match (agents, idle_since) {
                (0, _) => FIRST_AGENT,
                (_, Some(_)) => recovery_timeout.min(idle_after),
                (_, None) => recovery_timeout,
            };
            if now >= since + patience || !has_folder() {
                Verdict::End
            } else {
                Verdict::Wait(Some((now + LOOK).min(since + patience)))
            }
        }
        Quiet { idle_since: Some(since), .. } if now >= since + idle_after => Verdict::SayIdle,
        Quiet { idle_since, .. } => Verdict::Wait(idle_since.map(|since| since + idle_after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECOVERY: Duration = Duration::from_secs(900);
    const IDLE: Duration = Duration::from_secs(60);

    fn judged(idle_for: Option<u64>, alone_for: Option<u64>, has_folder: bool) -> Verdict {
        let now = Instant::now() + 2 * RECOVERY;
        let since = |seconds: Option<u64>| seconds.map(|seconds| now - Duration::from_secs(seconds));
        let quiet = Quiet { ended: None, agents: 1, idle_since: since(idle_for), alone_since: since(alone_for) };
        judge(quiet, now, RECOVERY, IDLE, || has_folder)
    }

    #[test]
    fn tasks_outlive_their_agent_for_a_while() {
        assert!(matches!(judged(None, Some(899), true), Verdict::Wait(Some(_))));
        assert_eq!(judged(None, Some(900), true), Verdict::End);
    }

    #[test]
    fn without_a_folder_no_agent_can_come() {
        assert_eq!(judged(None, Some(1), false), Verdict::End);
    }

    #[test]
    fn who_holds_nothing_does_not_wait_long_for_an_agent() {
        assert!(matches!(judged(Some(59), Some(59), true), Verdict::Wait(Some(_))));
        assert_eq!(judged(Some(60), Some(60), true), Verdict::End);
    }

    #[test]
    fn an_idle_process_says_so_and_leaves_the_decision_to_its_agent() {
        assert_eq!(judged(Some(60), None, true), Verdict::SayIdle);
        assert!(matches!(judged(Some(1), None, true), Verdict::Wait(Some(_))));
        assert_eq!(judged(None, None, true), Verdict::Wait(None));
    }
}
