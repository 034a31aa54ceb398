//! `cargo xtask windows`: the real `haggle.exe` on Wine, with all that this takes.

mod wine;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::process::{self, step, timed};
use crate::workspace::Workspace;
use crate::{tasks, test, toolchain};
use wine::Wine;

/// What it is built for.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// What is built for it, in one selection, so that nothing is compiled twice: the command, and the crates whose own tests
/// have something to say there. The others' tests drive the command from this system.
const SELECTION: [&str; 10] =
    ["-p", "haggle-cli", "-p", "haggle-executor", "-p", "haggle-agent", "-p", "haggle-tls", "--bins", "--tests"];

/// What is built for this system: masters and agents of a mixed cluster, and the tests that drive the other's program. Of the
/// whole workspace, as every build is, so that nothing is compiled in another shape.
const DRIVERS: [&str; 6] = ["--workspace", "--bins", "--test", "e2e", "--test", "windows"];

/// The C compiler and linker for it, by the command that shows that it is there.
const LINKER: &str = "x86_64-w64-mingw32-gcc";

/// Debian's packages with that and with Wine.
const PACKAGES: [&str; 2] = ["gcc-mingw-w64-x86-64", "wine64"];

/// End-to-end tests with nothing to find on Wine: the frameworks are programs of this system, the languages were tried here,
/// there is no cargo and no systemd, and files have no modes.
const ELSEWHERE: [&str; 6] = [
    "frameworks::",
    "standby::",
    "languages::",
    "a_cargo_package_runs",
    "across::service",
    "files_with_secrets_have_modes",
];

/// Builds it, and runs every test that makes sense there.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    timed("everything on Windows", || {
        toolchain::add_target(TARGET)?;
        let wine = timed("set up Wine", || setup(workspace))?;
        timed("example tasks to WebAssembly", || tasks::build(workspace))?;
        step(
            "build for Windows",
            workspace.cargo().args(["build", "--quiet", "--locked", "--target", TARGET]).args(SELECTION),
        )?;
        step("build", workspace.cargo().args(["build", "--quiet", "--locked"]).args(DRIVERS))?;
        let _running = wine.start()?;
        // All of them, also after one that fails.
        let tested = [
            step("tests of the crates, on Windows", &mut crates(workspace, &wine)),
            step("end-to-end tests with haggle.exe", &mut end_to_end(workspace, &wine)),
            step("tests of what is different on Windows", &mut different(workspace, &wine)),
        ];
        tested.into_iter().collect()
    })
}

/// Runs a command for Windows on Wine, to its end, and gives back what it printed.
pub(crate) fn output(workspace: &Workspace, command: &Command) -> anyhow::Result<String> {
    let wine = Wine::ensure(workspace, LINKER)?;
    let _running = wine.start()?;
    let mut starter = Command::new(wine.program());
    wine.env(&mut starter);
    process::output(&mut process::started_by(starter, command))
}

/// Tests whose programs are programs for Windows themselves.
fn crates(workspace: &Workspace, wine: &Wine) -> Command {
    let mut cargo = workspace.cargo();
    wine.env(&mut cargo);
    cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", wine.program());
    // From the folder that their programs run in, which is on a drive for them.
    cargo.env("HAGGLE_TEST_WASM", workspace.wasm());
    cargo.args(["test", "--locked", "--no-fail-fast", "--target", TARGET]).args(SELECTION);
    cargo
}

/// The tests of every system, with this system's test program and the other's `haggle`.
fn end_to_end(workspace: &Workspace, wine: &Wine) -> Command {
    let mut cargo = test::given(workspace, &["test", "--locked", "--workspace", "--test", "e2e", "--"]);
    wine.env(&mut cargo);
    cargo.env("HAGGLE_TEST_BIN", folder(workspace));
    cargo.args(ELSEWHERE.iter().flat_map(|module| ["--skip", module]));
    cargo
}

fn different(workspace: &Workspace, wine: &Wine) -> Command {
    let args = ["test", "--locked", "--workspace", "--test", "windows", "--", "--ignored", "--nocapture"];
    let mut cargo = test::given(workspace, &args);
    wine.env(&mut cargo);
    cargo.env("HAGGLE_TEST_WINDOWS_BIN", folder(workspace));
    cargo
}

/// Where the build leaves its programs.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join(TARGET).join("debug")
}

fn setup(workspace: &Workspace) -> anyhow::Result<Wine> {
    if !is_there() {
        install()?;
    }
    Wine::ensure(workspace, LINKER)
}

/// Whether this machine can run programs for Windows.
pub(crate) fn is_there() -> bool {
    process::exists(LINKER) && Wine::is_there()
}

/// As root, from Debian's packages.
fn install() -> anyhow::Result<()> {
    let by_hand =
        format!("install mingw and Wine by hand: apt-get install --no-install-recommends {}", PACKAGES.join(" "));
    if !process::exists("apt-get") {
        bail!("this is no Debian; install {LINKER} and wine64 by hand");
    }
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-qq", "-y"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
        process::output(&mut apt)
    };
    apt(&["update"]).with_context(|| by_hand.clone())?;
    apt(&[["install", "--no-install-recommends"].as_slice(), PACKAGES.as_slice()].concat()).context(by_hand)?;
    Ok(())
}
