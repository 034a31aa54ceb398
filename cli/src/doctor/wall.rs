//! The second wall around guests: whether this system keeps what an executor gives up.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use haggle_executor::process::Lockdown;

use super::report::Finding;
use crate::exit;
use crate::output;

const CHECK: &str = "second wall";

/// The first argument of a process that tries it: there is no way back behind the wall.
const COMMAND: &str = "try-lockdown";

/// Tries it, when these are the arguments for that, the program's own name first. To be called while there is one thread;
/// `None` means that this process is something else.
pub(crate) fn child(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != COMMAND || arguments.next().is_some() {
        return None;
    }
    let kept = Lockdown::default().apply();
    let told = kept.iter().try_for_each(|kept| output::line(&kept.to_string()));
    Some(if told.is_ok() { ExitCode::SUCCESS } else { exit::code(exit::FAULT) })
}

/// Has a process of its own try it.
pub(super) fn look() -> Finding {
    let tried = env::current_exe()
        .and_then(|program| Command::new(program).arg(COMMAND).stdin(Stdio::null()).stderr(Stdio::null()).output());
    match tried {
        Ok(output) if output.status.success() => judged(&system(), &String::from_utf8_lossy(&output.stdout)),
        Ok(output) => {
            Finding::fail(CHECK, format!("a process that gave up what it could ended with {}", output.status), WHERE)
        }
        Err(error) => Finding::fail(CHECK, format!("no process can be started that tries it: {error}"), WHERE),
    }
}

/// What was told of what could not be given up, a line each.
fn judged(system: &str, kept: &str) -> Finding {
    let kept: Vec<&str> = kept.lines().collect();
    if kept.is_empty() {
        return Finding::ok(CHECK, format!("{system} takes all that executors give up"));
    }
    Finding::warn(
        CHECK,
        format!("on {system} tasks have the first wall alone for some of it: {}", kept.join("; ")),
        WHERE,
    )
}

fn system() -> String {
    let version = sysinfo::System::kernel_version().unwrap_or_default();
    format!("{} {version}", env::consts::OS).trim_end().to_owned()
}

const WHERE: &str = if cfg!(target_os = "linux") {
    "boot a kernel of 6.12 or later with landlock among its `lsm=`, and let containers make use of seccomp and Landlock; \
     docs/SANDBOX.md says what each is for"
} else {
    "docs/SANDBOX.md says what is there on this system, and what is not"
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn what_cannot_be_given_up_is_named() {
        assert_eq!(judged("linux 6.12", "").verdict, Verdict::Ok);

        let old =
            judged("linux 5.4", "other files could not be given up: none\nsystem calls could not be given up: no\n");

        assert_eq!(old.verdict, Verdict::Warn);
        assert!(
            old.found.ends_with(
                "some of it: other files could not be given up: none; system calls could not be given up: no"
            )
        );
        assert!(old.advice.is_some());
    }
}
