//! `cargo xtask bench`: builds what is measured, and measures it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::cross::{self, System};
use crate::process::{step, timed};
use crate::python;
use crate::tasks;
use crate::workspace::{Workspace, program};

/// What optimised builds select, so that they share all features.
pub(crate) const PACKAGES: [&str; 6] = ["-p", "haggle-cli", "-p", "haggle-examples", "-p", "haggle-tests"];

/// Runs the benchmark with its own arguments. `in_turn` measures static programs in turn with those of this system's own C
/// library.
pub(crate) fn run(workspace: &Workspace, in_turn: bool, args: &[String]) -> anyhow::Result<()> {
    if let [group, rest @ ..] = args
        && group == "python"
    {
        return python::bench(workspace, rest);
    }
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    build(workspace)?;
    let usual = workspace.release();
    let measured = if in_turn { build_static(workspace)? } else { usual.clone() };
    let mut bench = Command::new(measured.join(program("haggle-bench")));
    bench.current_dir(&workspace.root).args(args);
    if in_turn {
        bench.arg("--against").arg(usual);
    }
    step("benchmark", bench.env("HAGGLE_TEST_WASM", workspace.wasm()).env("HAGGLE_TEST_BIN", measured))
}

/// Builds every program of ours that is worth its speed. The same packages for everybody who wants one of them, so that
/// what they share is compiled once.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    step("build, optimised", workspace.cargo().args(BUILD).args(PACKAGES))
}

/// The same as archives for this machine have them. Gives back the folder with them.
fn build_static(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let system = System::here().context("static programs are for Linux on x86-64 and arm64")?;
    step("build, static", cross::cargo(workspace, system)?.args(BUILD).args(PACKAGES))?;
    Ok(cross::release(workspace, system))
}

const BUILD: [&str; 4] = ["build", "--release", "--locked", "--bins"];
