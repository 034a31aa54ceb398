//! `cargo xtask properties`: what always holds in the core, tried with cases that nobody has seen before.

use crate::process::step;
use crate::workspace::Workspace;

/// Where the generator of random cases begins in `cargo xtask test`, so that one commit always passes or always fails.
pub(crate) const SEED: (&str, &str) = ("PROPTEST_RNG_SEED", "20261127");

/// Runs the core's tests, those of properties with so many cases each from a new seed.
pub(crate) fn run(workspace: &Workspace, cases: u32) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--release", "--quiet", "--locked", "--package", "haggle-core"]);
    step("properties", cargo.env("PROPTEST_CASES", cases.to_string()))
}
