//! `cargo xtask sim`: the real state machines in a simulated, failing world, seed by seed.

use crate::process::step;
use crate::workspace::Workspace;

/// Seeds that every run of all checks plays.
const CHECKED: u64 = 1_000;

/// Plays seeds with the simulation's own arguments.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--locked", "--profile", "sim", "--package", "haggle-sim", "--"]).args(args);
    step("simulation", &mut cargo)
}

/// Plays the seeds that belong to all checks.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    run(workspace, &["--seeds".to_string(), CHECKED.to_string()])
}

/// Puts one bug after the other back, and looks whether it is found.
pub(crate) fn planted(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--quiet", "--locked", "--profile", "sim", "--package", "haggle-sim", "--features", "planted"]);
    cargo.args(["--test", "planted", "--", "--nocapture"]);
    step("planted bugs", &mut cargo)
}
