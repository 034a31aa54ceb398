//! The wheel of the Python package, with the program that the archive for this machine has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::bench;
use crate::process::{self, timed};
use crate::python::Environment;
use crate::python::wheel::Wheel;
use crate::workspace::Workspace;

/// Runs a task on a cluster of its own, with nothing but the wheel.
const TRY: &str = "import sys, haggle_cluster as h
with h.Cluster() as cluster:
    print(cluster.run(h.Task(sys.argv[1], mem='16MiB')).stdout)";

/// Builds, tries and packs it. Gives back its path.
///
/// Its native part is loaded by Python, and so needs this system's own C library: the wheel's name says how new that must be.
///
/// # Errors
/// When it cannot be built, or does not work.
pub(super) fn make(workspace: &Workspace, haggle: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let build = [&["build", "--release", "--locked", "--lib"], &bench::PACKAGES[..], &["-p", "haggle-python"]].concat();
    let wheel = Wheel { build: &build, haggle, to, compressed: true };
    let wheel = timed("wheel of the Python package", || wheel.make(workspace))?;
    let environment = Environment::ensure(workspace, "dist", &[])?;
    environment.install(&wheel)?;
    let place = to.join(format!("try-wheel-{}", std::process::id()));
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let mut command = Command::new(environment.program("python"));
    command.args(["-c", TRY]).arg(workspace.wasm().join("hello.wasm")).current_dir(&place).env("HOME", &place);
    for variable in super::ELSEWHERE {
        command.env_remove(variable);
    }
    let said = process::output(&mut command);
    fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    match said? {
        said if said.contains("hello") => Ok(wheel),
        said => bail!("{} ran hello.wasm, which said {said:?}", wheel.display()),
    }
}
