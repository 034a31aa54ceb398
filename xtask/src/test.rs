//! `cargo xtask test`: every check there is, cheapest first.

use std::env;
use std::process::Command;

use anyhow::Context;

use crate::browser;
use crate::cross::{self, System};
use crate::deny::{self, Advisories};
use crate::languages::{self, Language};
use crate::mesos;
use crate::process::{self, step, timed};
use crate::properties;
use crate::python;
use crate::sim;
use crate::site;
use crate::tasks;
use crate::toolchain;
use crate::tools;
use crate::workspace::Workspace;

/// Warnings are errors here, so that they stay at none.
pub(crate) const STRICT: [&str; 3] = ["--", "-D", "warnings"];

/// What every build has in common. Cargo chooses the features of shared dependencies by what is built together: one
/// choice, and nothing is compiled twice.
pub(crate) const EVERYTHING: [&str; 2] = ["--workspace", "--all-targets"];

/// Runs all checks; the first that fails ends it.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    component("fmt", "rustfmt")?;
    component("clippy", "clippy")?;
    timed("all checks", || checks(workspace))?.warn();
    Ok(())
}

fn checks(workspace: &Workspace) -> anyhow::Result<Advisories> {
    step("format", workspace.cargo().args(["fmt", "--all", "--check"]))?;
    step("format of the example tasks", tasks::cargo(workspace, "fmt").args(["--all", "--check"]))?;
    step(
        "format of the fuzz targets",
        workspace.cargo().current_dir(workspace.root.join("fuzz")).args(["fmt", "--check"]),
    )?;
    step("lints", workspace.cargo().args(["clippy", "--quiet", "--locked"]).args(EVERYTHING).args(STRICT))?;
    let not_linted = cross_lints(workspace)?;
    step(
        "lints of the example tasks",
        tasks::cargo(workspace, "clippy").args(["--quiet", "--locked"]).args(EVERYTHING).args(STRICT),
    )?;
    let advisories = deny::run(workspace, false)?;
    step("unit tests of the example tasks", tasks::cargo(workspace, "test").args(["--quiet", "--locked"]))?;
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    step("build", workspace.cargo().args(["build", "--quiet", "--locked"]).args(EVERYTHING))?;
    step(
        "documentation",
        workspace.cargo().env("RUSTDOCFLAGS", "--deny warnings").args([
            "doc",
            "--quiet",
            "--locked",
            "--no-deps",
            "--workspace",
        ]),
    )?;
    step(
        "tests in the documentation",
        &mut given(workspace, &["test", "--quiet", "--locked", "--workspace", "--doc"]),
    )?;
    timed("site", || site::make(workspace))?;
    sim::check(workspace)?;
    sim::planted(workspace)?;
    let not_run = languages(workspace)?;
    tools::ensure_etcd(workspace)?;
    tools::ensure_programs(workspace);
    tools::ensure_pip();
    tools::ensure_shells();
    mesos::ensure_clients(workspace);
    tools::ensure_s3(workspace);
    tools::ensure_collector(workspace);
    python::check(workspace)?;
    let mut tests = tests(workspace);
    tests.env("HAGGLE_WASM_CARGO", toolchain::ensure(None)?);
    browser::given(&mut tests, browser::ensure());
    // Last, so that its summary is the last thing to be read.
    step("tests", &mut tests)?;
    for language in not_run {
        let name = language.name();
        eprintln!("not run: the tests of tasks in {name}; `cargo xtask wasm {name}` builds what they need");
    }
    for (system, why) in not_linted {
        eprintln!("\nWARNING: lints for {} were NOT run: {why}\n", system.triple());
    }
    Ok(advisories)
}

/// Lints for the systems that nobody has in front of them, and gives back those that cannot be compiled for here.
fn cross_lints(workspace: &Workspace) -> anyhow::Result<Vec<(System, String)>> {
    let mut missing = Vec::new();
    for system in System::ELSEWHERE {
        match cross::cargo(workspace, system) {
            Ok(cargo) => cross::lint(cargo, system)?,
            Err(error) => missing.push((system, format!("{error:#}"))),
        }
    }
    Ok(missing)
}

/// Tests the languages whose example was built at some time, and gives back the others: not every check shall cost a
/// gigabyte of toolchains.
fn languages(workspace: &Workspace) -> anyhow::Result<Vec<Language>> {
    // The one that is small enough for every check.
    let built = languages::build(workspace, Language::MicroPython);
    built.map(drop).unwrap_or_else(|error| eprintln!("MicroPython cannot be had: {error:#}"));
    let is_built = |language: &Language| workspace.wasm().join(language.module()).exists();
    let (built, missing): (Vec<_>, Vec<_>) = Language::ALL.into_iter().partition(is_built);
    if !built.is_empty() {
        test_languages(workspace, &built)?;
    }
    Ok(missing)
}

/// Runs the tests of these languages, whose modules are built.
pub(crate) fn test_languages(workspace: &Workspace, built: &[Language]) -> anyhow::Result<()> {
    let names: Vec<&str> = built.iter().map(|language| language.name()).collect();
    let tests: Vec<String> = names.iter().map(|name| format!("languages::{name}::")).collect();
    let mut args = vec!["test", "--quiet", "--locked", "--workspace", "--test", "e2e", "--", "--ignored"];
    args.extend(tests.iter().map(String::as_str));
    step(&format!("tests of tasks in {}", names.join(", ")), &mut given(workspace, &args))
}

fn tests(workspace: &Workspace) -> Command {
    if process::output(workspace.cargo().args(["nextest", "--version"])).is_ok() {
        given(workspace, &["nextest", "run", "--locked", "--no-fail-fast", "--workspace", "--all-targets"])
    } else {
        given(workspace, &["test", "--locked", "--no-fail-fast", "--workspace", "--all-targets"])
    }
}

/// A cargo command whose tests find the compiled tasks and the real programs, ours and others'.
pub(crate) fn given(workspace: &Workspace, args: &[&str]) -> Command {
    let mut cargo = workspace.cargo();
    let path = env::var_os("PATH").unwrap_or_default();
    // Behind those of the system. A folder whose name has a separator in it cannot be on a path.
    let ours = tools::programs(workspace).chain([tools::etcd_programs(workspace)]);
    if let Ok(path) = env::join_paths(env::split_paths(&path).chain(ours)) {
        cargo.env("PATH", path);
    }
    cargo.args(args).env("HAGGLE_TEST_WASM", workspace.wasm()).env("HAGGLE_TEST_BIN", workspace.debug());
    cargo.env("HAGGLE_TEST_MESOS", mesos::clients(workspace)).env("HAGGLE_TEST_S3", tools::s3(workspace));
    cargo.env("HAGGLE_TEST_COLLECTOR", tools::collector(workspace));
    let (name, seed) = properties::SEED;
    cargo.env(name, seed);
    cargo
}

/// Makes sure of a part of Rust that small installations lack.
fn component(command: &str, component: &str) -> anyhow::Result<()> {
    let there = || process::output(Command::new(crate::workspace::cargo_program()).args([command, "--version"]));
    if there().is_ok() {
        return Ok(());
    }
    eprintln!("`cargo {command}` is missing; trying `rustup component add {component}`");
    process::run(Command::new("rustup").args(["component", "add", component]))
        .and_then(|()| there())
        .map(drop)
        .with_context(|| format!("no `cargo {command}`: install {component} by hand"))
}
