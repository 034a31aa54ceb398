//! The user's own npm, with the registry, proxies and certificates that it is set up for.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, io, thread};

/// Its name on this system.
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Whoever is out of reach twice is out of reach.
const RETRIES: &str = "--fetch-retries=1";

/// Between two looks at how much has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bytes of what npm says that are told: a line.
const SAID_MAX: usize = 300;

/// What npm calls it when it reaches nobody.
static OUT_OF_REACH: [&str; 6] = ["ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH"];

/// Why npm did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NpmError {
    #[error("there is no npm here: wanted Node.js with npm")]
    Missing,
    #[error("cannot run npm: {0}")]
    Start(String),
    #[error("npm cannot reach the registry that it is set up for: is this machine offline, or does it need a proxy?")]
    OutOfReach,
    #[error("npm says: {0}")]
    Failed(String),
}

/// An npm that works.
pub(crate) struct Npm(());

impl Npm {
    /// # Errors
    /// When there is none on the path.
    pub(crate) fn find() -> Result<Self, NpmError> {
        let mut asked = Command::new(NPM);
        asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if asked.status().is_ok_and(|status| status.success()) { Ok(Self(())) } else { Err(NpmError::Missing) }
    }

    /// Unpacks a package, and what it wants, in `node_modules` of a folder. Nothing of it is run. npm unpacks what comes while it comes, and
    /// `has` hears how many bytes of the package are there.
    ///
    /// # Errors
    /// When it fails, in its own words.
    pub(crate) fn unpack(
        &self,
        package: &str,
        requirement: &str,
        folder: &Path,
        has: impl FnMut(u64),
    ) -> Result<(), NpmError> {
        let mut command = Command::new(NPM);
        command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--no-package-lock"]);
        command.args(["--no-update-notifier", "--loglevel=error", RETRIES]);
        command.args([OsStr::new("--prefix"), folder.as_os_str(), OsStr::new(requirement)]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let ended = watched(command, &folder.join("node_modules").join(package), has);
        let Output { status, stderr, .. } = ended.map_err(|error| NpmError::Start(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(judge(&String::from_utf8_lossy(&stderr))) }
    }
}

/// Runs a command to its end, and tells `has` meanwhile how many bytes are in a folder.
fn watched(mut command: Command, folder: &Path, mut has: impl FnMut(u64)) -> io::Result<Output> {
    let child = command.spawn()?;
    let (told, ended) = mpsc::channel();
    // Nobody waits for it any more: then nothing is to be told.
    thread::spawn(move || drop(told.send(child.wait_with_output())));
    loop {
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(output) => return output,
            Err(RecvTimeoutError::Timeout) => has(size_of(folder)),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("nobody could wait for its end")),
        }
    }
}

/// Bytes of all files in a folder, as far as they can be seen: they come while one looks.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let about = entry.metadata().ok()?;
        Some(if about.is_dir() { size_of(&entry.path()) } else { about.len() })
    });
    sizes.sum()
}

/// What is the matter, from what npm said on standard error.
fn judge(said: &str) -> NpmError {
    let lines = || said.lines().filter_map(|line| line.strip_prefix("npm error ").or(line.strip_prefix("npm ERR! ")));
    let code = lines().find_map(|line| line.strip_prefix("code "));
    if code.is_some_and(|code| OUT_OF_REACH.contains(&code.trim())) {
        return NpmError::OutOfReach;
    }
    // Codes come first, then what they mean.
    let line = lines().find(|line| !line.starts_with("code ")).unwrap_or("nothing, and failed");
    NpmError::Failed(line.chars().take(SAID_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn how_much_of_a_package_is_there_is_told_while_it_comes() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "mkdir dist; printf 12345 >dist/a; printf 67 >b; until [ -e seen ]; do sleep 0.01; done"]);
        command.current_dir(&folder);
        let mut told = Vec::new();

        let ended = watched(command, folder.path(), |bytes| {
            told.push(bytes);
            if bytes == 7 {
                fs::write(folder.path().join("seen"), "").unwrap();
            }
        });

        assert!(ended.unwrap().status.success());
        assert!(told.contains(&7) && told.is_sorted(), "{told:?}");
    }

    #[test]
    fn a_registry_that_is_out_of_reach_is_told_from_a_package_that_is_not_there() {
        assert_eq!(judge("npm error code ENOTFOUND\nnpm error syscall getaddrinfo\n"), NpmError::OutOfReach);
        assert_eq!(judge("npm ERR! code ECONNREFUSED\nnpm ERR! errno\n"), NpmError::OutOfReach);
        let missing = "npm error code ETARGET\nnpm error notarget No matching version found for x@1.\n";
        assert_eq!(judge(missing), NpmError::Failed("notarget No matching version found for x@1.".into()));
        assert_eq!(judge(""), NpmError::Failed("nothing, and failed".into()));
    }
}
