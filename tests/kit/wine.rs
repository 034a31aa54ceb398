//! Programs for Windows on other systems: Wine runs them, as it would be done by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether this is a program for Windows, and this is not.
pub(crate) fn runs(program: &Path) -> bool {
    !cfg!(windows) && program.extension().is_some_and(|ending| ending == "exe")
}

/// Starts a program, by Wine where it takes that. `HAGGLE_TEST_WINE` names Wine where it has another name; `WINEPREFIX` names
/// its folder.
pub fn command(program: &Path) -> Command {
    if !runs(program) {
        return Command::new(program);
    }
    let mut command = wine();
    command.arg(program);
    command
}

/// A path of this system as this program knows it: to Wine's, everything is on drive Z.
pub(crate) fn shown(path: &Path, to: &Command) -> PathBuf {
    if to.get_program() == wine().get_program() {
        PathBuf::from(format!("Z:{}", path.display()))
    } else {
        path.to_owned()
    }
}

/// Ends a process of Windows on the spot, as its task manager would.
///
/// # Panics
/// When there is none of that id.
pub(crate) fn end(id: i32) {
    let ended = wine().args(["taskkill", "/F", "/PID", &id.to_string()]).stdin(Stdio::null()).output();
    let ended = ended.expect("Wine can be started");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}

fn wine() -> Command {
    Command::new(std::env::var_os("HAGGLE_TEST_WINE").unwrap_or_else(|| "wine".into()))
}
