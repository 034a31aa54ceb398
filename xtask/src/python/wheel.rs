//! The wheel of the Python package, which maturin makes: of the native part, the package, and the `haggle` program.
//!
//! One thing maturin cannot be told: what to build together. It has cargo build one package by `cargo rustc`, for which cargo chooses
//! the features of that package alone, so that most of what it shares with the others would be compiled a second time. Therefore this
//! program stands in for the cargo that maturin calls: it has cargo build what was selected here, and hands on what cargo says of it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::Environment;
use crate::process;
use crate::workspace::{Workspace, cargo_program};

/// Pinned, as in the package's own `pyproject.toml`: another version may lay out another wheel.
const MATURIN: &str = "maturin==1.16.0";

/// Where the cargo is that is stood in for.
const CARGO: &str = "HAGGLE_XTASK_CARGO";

/// What that is told in place of `cargo rustc`, a word a line.
const BUILD: &str = "HAGGLE_XTASK_BUILD";

/// What maturin tells the build of the Python that it runs on. The native part is the same for all of them, and would be compiled anew
/// for each.
const OF_PYTHON: [&str; 2] = ["PYO3_", "PYTHON_SYS_EXECUTABLE"];

/// A wheel that is to be made.
pub(crate) struct Wheel<'a> {
    /// How cargo is told to build the native part: `build` and the rest.
    pub(crate) build: &'a [&'a str],
    /// The program that goes along.
    pub(crate) haggle: &'a Path,
    /// The folder that it goes to.
    pub(crate) to: &'a Path,
    /// Worth the time, where it is to be handed on.
    pub(crate) compressed: bool,
}

impl Wheel<'_> {
    /// Makes it, and gives back its path.
    ///
    /// # Errors
    /// When maturin cannot be had, something does not compile, or the native part is none that other systems load.
    pub(crate) fn make(&self, workspace: &Workspace) -> anyhow::Result<PathBuf> {
        let environment = Environment::ensure(workspace, "maturin", &[MATURIN])?;
        let sdk = workspace.root.join("sdk").join("python");
        let _program = Staged::beside(&sdk, self.haggle)?;
        let draft = self.to.join(format!("draft-{}", std::process::id()));
        let mut maturin = Command::new(environment.program("maturin"));
        maturin.current_dir(&sdk).args(["build", "--quiet", "--out"]).arg(&draft);
        maturin.arg("--interpreter").arg(environment.program("python"));
        maturin.arg("--compression-method").arg(if self.compressed { "deflated" } else { "stored" });
        maturin.env(CARGO, cargo_program()).env(BUILD, self.build.join("\n"));
        maturin.env("CARGO", own_program(workspace)?);
        for (name, _) in workspace.cargo().get_envs().filter(|(_, value)| value.is_none()) {
            maturin.env_remove(name);
        }
        let made = process::run(&mut maturin).and_then(|()| self.take_from(&draft));
        fs::remove_dir_all(&draft).ok();
        made
    }

    fn take_from(&self, draft: &Path) -> anyhow::Result<PathBuf> {
        let files = fs::read_dir(draft).with_context(|| format!("maturin made no {}", draft.display()))?;
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let [wheel] = &files[..] else { bail!("maturin made {} files in place of a wheel", files.len()) };
        let to = self.to.join(wheel.file_name());
        fs::rename(wheel.path(), &to).with_context(|| format!("cannot put {} in its place", to.display()))?;
        Ok(to)
    }
}

/// This program. A build of the whole workspace replaces the file that it was started from, and then its successor serves as well.
fn own_program(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("this program does not know where it is")?;
    let successor = || workspace.debug().join(format!("xtask{}", env::consts::EXE_SUFFIX));
    Ok(if own.exists() { own } else { successor() })
}

/// The program where maturin looks for what goes along, for as long as it does.
struct Staged(PathBuf);

impl Staged {
    fn beside(sdk: &Path, haggle: &Path) -> anyhow::Result<Self> {
        let staged = Self(sdk.join("haggle_cluster._native.data"));
        let scripts = staged.0.join("scripts");
        fs::create_dir_all(&scripts).with_context(|| format!("cannot make {}", scripts.display()))?;
        let place = scripts.join(haggle.file_name().context("the haggle program is a file")?);
        fs::copy(haggle, &place).with_context(|| format!("cannot copy {} to {}", haggle.display(), place.display()))?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // A folder that is left over is replaced the next time.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Does what cargo was asked for, if this program was called in its place.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn stand_in(words: &[OsString]) -> anyhow::Result<Option<ExitStatus>> {
    let (Some(cargo), Ok(build)) = (env::var_os(CARGO), env::var(BUILD)) else { return Ok(None) };
    let mut command = Command::new(&cargo);
    // Cargo tells its own children.
    command.env_remove("CARGO").env_remove(CARGO).env_remove(BUILD);
    let failed = || format!("cannot start {}", Path::new(&cargo).display());
    if words.first().is_none_or(|word| word != "rustc") {
        return Ok(Some(command.args(words).status().with_context(failed)?));
    }
    command.args(build.lines()).arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    for (name, _) in env::vars_os() {
        if OF_PYTHON.iter().any(|of| name.as_encoded_bytes().starts_with(of.as_bytes())) {
            command.env_remove(name);
        }
    }
    let mut building = command.spawn().with_context(failed)?;
    for message in BufReader::new(building.stdout.take().context("cargo says nothing")?).lines() {
        let message = message.context("cargo says something that is no text")?;
        if !is_of_a_test(&message) {
            println!("{message}");
        }
    }
    Ok(Some(building.wait().with_context(failed)?))
}

/// Whether cargo tells of a program that tests what was selected. One that tests the native part has its name, and whoever looks for
/// that takes what is told of last.
fn is_of_a_test(message: &str) -> bool {
    let message: Value = serde_json::from_str(message).unwrap_or_default();
    message["profile"]["test"] == true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_native_part_and_the_program_that_tests_it_only_the_first_is_handed_on() {
        let artifact = |test: bool| format!(r#"{{"reason":"compiler-artifact","profile":{{"test":{test}}}}}"#);

        assert!(is_of_a_test(&artifact(true)));
        for other in [&*artifact(false), r#"{"reason":"build-finished","success":true}"#, "no json"] {
            assert!(!is_of_a_test(other), "{other}");
        }
    }

    #[test]
    fn who_builds_the_package_by_hand_does_so_with_the_same_maturin() {
        let project = include_str!("../../../sdk/python/pyproject.toml");

        assert!(project.contains(&format!("requires = [\"{MATURIN}\"]")), "{project}");
    }
}
