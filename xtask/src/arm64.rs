//! `cargo xtask arm64`: the executor's tests as Linux on arm64 has them, in qemu's user mode.

use std::path::Path;
use std::process::Command;

use crate::cross::{self, System};
use crate::process::{self, step, timed};
use crate::workspace::Workspace;
use crate::{tasks, tools};

/// Tests of what qemu's user mode has not got, and what that is. Cargo leaves out whatever has these words in its name.
const LEFT_OUT: &[(&str, &str)] = &[
    ("a_process_keeps_its_folders_and_its_threads_and_nothing_else", NO_SECCOMP),
    ("a_process_that_is_left_the_network_can_connect_and_still_do_nothing_else", NO_SECCOMP),
    ("pools::", NO_LIMIT),
    ("single_bytes_on_both_streams_make_few_events_and_lose_none", TOO_SLOW),
    ("a_crowd_shares_by_weight_in_both_forms", TOO_SLOW),
    ("ends_of_short_tasks_are_passed_on_together", NO_SHORT_TASK),
];

const NO_SECCOMP: &str = "qemu's user mode has neither seccomp nor Landlock";
const NO_LIMIT: &str = "qemu keeps RLIMIT_AS from its programs, since it would hold for qemu itself";
const NO_SHORT_TASK: &str = "in qemu no task is as short as one whose end goes along with others'";
const TOO_SLOW: &str = "it counts what happens in a second or two, in which emulated code does next to nothing";

/// Registers qemu with the kernel for programs of arm64, in a namespace of its own, and goes on as what follows. So a test
/// that starts a program starts one of arm64. `F`: the kernel opens qemu now, whatever becomes of the path.
const REGISTER: &str = r#"set -e
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":haggle-arm64:M::$magic:$mask:$1:F" > /proc/sys/fs/binfmt_misc/register
shift
exec "$@"
"#;

/// Builds the executor and its tests for arm64, and runs them.
///
/// # Errors
/// When something that this needs cannot be had, or a test fails.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let qemu = tools::ensure_qemu(workspace)?;
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    let mut build = cross::cargo(workspace, System::LinuxArm)?;
    step("build for arm64", build.args(["test", "--quiet", "--no-run"]).args(TESTS))?;

    let mut tests = cross::cargo(workspace, System::LinuxArm)?;
    tests.env("HAGGLE_TEST_WASM", workspace.wasm());
    tests.args(["test", "--no-fail-fast"]).args(TESTS).arg("--");
    for (test, _) in LEFT_OUT {
        tests.args(["--skip", test]);
    }
    let done = step("tests of the executor on arm64", &mut emulated(&qemu, &tests)?);
    for (test, why) in LEFT_OUT {
        eprintln!("\nWARNING: {test} was NOT run on arm64: {why}");
    }
    done
}

const TESTS: [&str; 3] = ["--locked", "--package", "haggle-executor"];

/// The same command where the kernel runs programs of arm64 by qemu.
///
/// # Errors
/// Where it lets no user say so.
pub(crate) fn emulated(qemu: &Path, command: &Command) -> anyhow::Result<Command> {
    let enter = || {
        let mut enter = Command::new("unshare");
        enter.args(["--user", "--map-root-user", "--mount", "sh", "-c", REGISTER, "sh"]).arg(qemu);
        enter
    };
    process::output(enter().arg("true")).map_err(|error| {
        error.context("this kernel lets no user register an interpreter (binfmt_misc in a user namespace, Linux 6.7)")
    })?;
    Ok(process::started_by(enter(), command))
}
