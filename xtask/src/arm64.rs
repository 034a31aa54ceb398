//! `cargo xtask arm64`: the executor's tests as Linux on arm64 has them, in qemu's user mode.

use std::path::PathBuf;

use anyhow::Context;

use crate::cross::{self, System};
use crate::process::step;
use crate::tools;
use crate::workspace::Workspace;

/// Tests that need what qemu's user mode has not got, and why. Named as cargo's tests are; whatever begins so.
const LEFT_OUT: &[(&str, &str)] = &[];

/// Builds the executor and its tests for arm64, and runs them.
///
/// # Errors
/// When something that this needs cannot be had, or a test fails.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let system = System::LinuxArm;
    let qemu = qemu(workspace)?;
    let mut cargo = cross::cargo(workspace, system)?;
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER", qemu);
    cargo.args(["test", "--quiet", "--locked", "--no-fail-fast", "--package", "haggle-executor", "--", "--test-threads=2"]);
    for (test, _) in LEFT_OUT {
        cargo.args(["--skip", test]);
    }
    let done = step("tests of the executor on arm64", &mut cargo);
    for (test, why) in LEFT_OUT {
        eprintln!("\nWARNING: {test} was NOT run on arm64: {why}");
    }
    done
}

/// A qemu that runs programs of arm64.
pub(crate) fn qemu(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    tools::ensure_qemu(workspace).context("no qemu for programs of arm64")
}
