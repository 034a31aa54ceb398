//! `cargo xtask bench`: builds what is measured, and measures it.

use std::process::Command;

use crate::process::{step, timed};
use crate::tasks;
use crate::workspace::{Workspace, program};

/// What optimised builds select, so that they share all features.
pub(crate) const PACKAGES: [&str; 6] = ["-p", "haggle-cli", "-p", "haggle-examples", "-p", "haggle-tests"];

/// Runs the benchmark with its own arguments.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    build(workspace)?;
    step(
        "benchmark",
        Command::new(workspace.release().join(program("haggle-bench")))
            .current_dir(&workspace.root)
            .args(args)
            .env("HAGGLE_TEST_WASM", workspace.wasm())
            .env("HAGGLE_TEST_BIN", workspace.release()),
    )
}

/// Builds every program of ours that is worth its speed. The same packages for everybody who wants one of them, so that
/// what they share is compiled once.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    step("build, optimised", workspace.cargo().args(["build", "--release", "--locked", "--bins"]).args(PACKAGES))
}
