//! The user's own pip, with the proxies, mirrors and certificates that it is set up for.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::process::{Command, Output, Stdio};

/// Ways to call pip, the most usual first.
static WAYS: [&[&str]; 5] =
    [&["python3", "-m", "pip"], &["pip3"], &["python", "-m", "pip"], &["pip"], &["py", "-m", "pip"]];

/// Whoever is out of reach twice is out of reach.
const RETRIES: &str = "1";

/// Bytes of what pip says that are told: a line.
const SAID_MAX: usize = 300;

/// Why pip did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PipError {
    #[error("there is no pip here: wanted python3 with pip, or pip3")]
    Missing,
    #[error("cannot run pip: {0}")]
    Start(String),
    #[error("pip cannot reach the registry that it is set up for: is this machine offline, or does it need a proxy?")]
    OutOfReach,
    #[error("pip says: {0}")]
    Failed(String),
}

/// A pip that works.
pub(crate) struct Pip {
    way: &'static [&'static str],
}

impl Pip {
    /// # Errors
    /// When there is none on the path.
    pub(crate) fn find() -> Result<Self, PipError> {
        let works = |way: &&&[&str]| {
            let mut asked = command(way);
            asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        };
        WAYS.iter().find(works).map(|&way| Self { way }).ok_or(PipError::Missing)
    }

    /// Runs it, and gives back what it printed. With `shows_progress`, people see its bar on standard error instead.
    ///
    /// # Errors
    /// When it fails, in its own last words.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = A>,
        shows_progress: bool,
    ) -> Result<Vec<u8>, PipError> {
        let mut command = command(self.way);
        command.args(words).args(["--disable-pip-version-check", "--no-input", "--retries", RETRIES]);
        // Settings for what a user installs for himself are not for this.
        command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_QUIET", "0");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        if shows_progress && io::stderr().is_terminal() {
            command.stdout(Stdio::from(io::stderr()));
        } else {
            command.stdout(Stdio::piped());
        }
        let Output { status, stdout, stderr } = command.output().map_err(|error| PipError::Start(error.to_string()))?;
        if status.success() { Ok(stdout) } else { Err(judge(&String::from_utf8_lossy(&stderr))) }
    }
}

fn command(way: &[&str]) -> Command {
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).stdin(Stdio::null());
    command
}

/// What is the matter, from what pip said on standard error.
fn judge(said: &str) -> PipError {
    // That it found no version of a package is what follows when it reached nobody.
    if said.contains("connection broken by") || said.contains("Max retries exceeded") {
        return PipError::OutOfReach;
    }
    let errors = || said.lines().filter_map(|line| line.strip_prefix("ERROR: "));
    // The first says why, the others what follows from that.
    let line = errors().next().or_else(|| said.lines().rfind(|line| !line.trim().is_empty()));
    let line = line.unwrap_or("nothing, and failed").trim();
    PipError::Failed(line.chars().take(SAID_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_is_out_of_reach_is_told_from_a_package_that_is_not_there() {
        let none = "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)\n\
                    ERROR: No matching distribution found for x==1\n";
        let offline = format!(
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(…)': /simple/x/\n{none}"
        );

        assert_eq!(judge(&offline), PipError::OutOfReach);
        let missing = "Could not find a version that satisfies the requirement x==1 (from versions: none)";
        assert_eq!(judge(none), PipError::Failed(missing.into()));
    }

    #[test]
    fn without_an_error_the_last_words_are_told() {
        assert_eq!(
            judge("usage: pip\n\npip: error: no such option: -x\n\n"),
            PipError::Failed("pip: error: no such option: -x".into())
        );
        assert_eq!(judge(""), PipError::Failed("nothing, and failed".into()));
    }
}
