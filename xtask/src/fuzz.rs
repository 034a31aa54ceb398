//! `cargo xtask fuzz`: random input against what reads a stranger's bytes and runs a stranger's code.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

use crate::process::{self, step};
use crate::tools;
use crate::workspace::Workspace;

/// A program of `fuzz/targets`, and what it may cost for one input. libFuzzer ends the run with the input that costs more.
struct Target {
    name: &'static str,
    /// What it is built with, see `fuzz/Cargo.toml`.
    feature: &'static str,
    /// Bytes of input.
    length: u32,
    /// Seconds; some hundred times what the slowest of the seeds takes with coverage on.
    seconds: u32,
    /// Mebibytes that the process holds in memory.
    memory: u32,
}

/// Every one of them.
const TARGETS: [Target; 5] = [
    Target { name: "intake", feature: "guests", length: 64 << 10, seconds: 10, memory: 1024 },
    Target { name: "limits", feature: "guests", length: 16 << 10, seconds: 20, memory: 1024 },
    Target { name: "calls", feature: "guests", length: 16 << 10, seconds: 20, memory: 1024 },
    Target { name: "token", feature: "strangers", length: 12 << 10, seconds: 5, memory: 512 },
    Target { name: "request", feature: "strangers", length: 8 << 10, seconds: 5, memory: 512 },
];

/// Runs one target, or all one after the other, for so many minutes each. Fails with the first input that breaks one;
/// libFuzzer says where it is kept.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, minutes: u32) -> anyhow::Result<()> {
    let chosen: Vec<_> = TARGETS.iter().filter(|one| target.is_none_or(|wanted| wanted == one.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|one| one.name).collect();
        bail!("no such fuzz target; there are: {}", names.join(", "));
    }
    nightly()?;
    let fuzz = tools::FUZZ.ensure(workspace)?;
    for Target { name, feature, length, seconds, memory } in chosen {
        let folder = workspace.root.join("fuzz");
        let corpus = folder.join("corpus").join(name);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        let mut command = Command::new(&fuzz);
        command
            .current_dir(&workspace.root)
            // Coverage needs nightly. The sanitizers find misuse of memory, which safe code does not do; without
            // them, what a guest makes the host hold can be measured, and four times as much is tried.
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env_remove("CARGO")
            .args(["run", "--sanitizer", "none", "--features", feature, "--target-dir"])
            .arg(workspace.target.join("fuzz"))
            .arg(name)
            .arg(corpus)
            .arg(folder.join("seeds").join(name))
            .arg("--")
            .arg(format!("-max_total_time={}", minutes * 60))
            .arg(format!("-max_len={length}"))
            .arg(format!("-timeout={seconds}"))
            .arg(format!("-rss_limit_mb={memory}"))
            .arg("-print_final_stats=1");
        step(&format!("fuzzing {name} for {minutes} min"), &mut command)?;
    }
    Ok(())
}

/// Makes sure of the toolchain that can count coverage.
fn nightly() -> anyhow::Result<()> {
    let there = || process::output(Command::new("cargo").args(["+nightly", "--version"]));
    if there().is_ok() {
        return Ok(());
    }
    eprintln!("nightly Rust is missing; trying `rustup toolchain install nightly`");
    process::run(Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))
        .and_then(|()| there())
        .map(drop)
        .context("no nightly Rust: install it by hand")
}
