//! `cargo xtask`: what sets Haggle up, proves it, and shows it, on a fresh machine with Rust and nothing else.

mod arm64;
mod bench;
mod browser;
mod chaos;
mod conformance;
mod cross;
mod demo;
mod deny;
mod dist;
mod fuzz;
mod hostile;
mod hosts;
mod languages;
mod mesos;
mod process;
mod programs;
mod properties;
mod python;
mod sim;
mod site;
mod tasks;
mod test;
mod toolchain;
mod tools;
mod windows;
mod workspace;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::demo::Interrupted;
use crate::dist::Archive;
use crate::languages::Language;
use crate::process::Failed;
use crate::toolchain::Origin;
use crate::workspace::Workspace;

/// Sets Haggle up, proves it, and shows it. Every command does its own set-up.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a cluster of one master and three agents at work, on real input, and what its quotas do
    Demo,
    /// Run every check: format, lints, unit, property and end-to-end tests
    Test,
    /// Measure, and print the figures with unit, spread and machine
    Bench {
        /// Static programs in turn with those of this system's own C library, as ratios
        #[arg(long = "static")]
        in_turn: bool,
        /// Handed on to the benchmark; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check the dependencies: licences, sources, duplicates, and known holes where their list can be fetched
    Deny {
        /// Fail when the list of known holes cannot be fetched
        #[arg(long)]
        require_advisories: bool,
    },
    /// Try random input on what reads strangers' bytes and runs strangers' code; needs rustup's nightly
    Fuzz {
        /// One target of fuzz/targets; all of them unless given
        target: Option<String>,
        /// How long, each
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        minutes: u32,
    },
    /// Run all hostile guests at once beside honest neighbours, and print what that cost
    Hostile {
        /// How long
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Run programs that other compilers made, as tasks and under wasmtime itself, and print what both took
    Languages,
    /// Run clusters across hosts of their own, behind NAT, far away and cut off, and print the figures; needs Linux and root
    Hosts,
    /// Play seeds of the simulation: the real state machines in a failing world
    Sim {
        /// Put one bug after the other back instead, and print after how many seeds each is found
        #[arg(long)]
        planted: bool,
        /// Handed on to the simulation: --seeds N, --from S, --threads N, or --seed S with --trace
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Try what always holds in the core with many random cases; `test` tries a few, the same each time
    Properties {
        /// How many for each property
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
        cases: u32,
    },
    /// Kill, stop and cut off real masters, etcds, agents and frameworks under load, and print the figures
    Chaos {
        /// leader, agent, pause, cut, framework, etcd, storm, tenant or soak; all of them unless given
        rows: Vec<String>,
        /// How long all of them together, about; each has its usual part of it
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        minutes: Option<u32>,
    },
    /// Build for Linux on arm64, and run the executor's tests there in qemu's user mode
    Arm64,
    /// Pack the program for other machines, one archive with a SHA-256 for each system, to target/dist
    Dist {
        /// All of them unless given
        systems: Vec<Archive>,
    },
    /// Build the wheel of the Python package, and test it in an environment of its own against a real cluster
    Python,
    /// Build for Windows, and run what the real haggle.exe does there on Wine
    Windows,
    /// Make a site of the pages in docs, in target/site
    Site,
    /// Compile the example tasks to target/wasm: those in Rust, or those in the languages that are named
    Wasm {
        /// Languages whose toolchains are fetched into the user's cache
        languages: Vec<Language>,
        /// Those in Rust and those in every other language
        #[arg(long, conflicts_with = "languages")]
        all_languages: bool,
    },
    /// Run the WASI 0.1 programs of WebAssembly/wasi-testsuite by `haggle run`
    Conformance {
        /// A checkout of the suite's branch prod/testsuite-base
        dir: PathBuf,
        /// The `haggle` to run them with, instead of one that is built now
        #[arg(long, value_name = "PROGRAM")]
        haggle: Option<PathBuf>,
    },
    /// Make sure that Rust can compile for wasm32-wasip1, and print the cargo that does
    Toolchain {
        /// Take it from there, even when there is one already
        #[arg(long, value_enum)]
        from: Option<Origin>,
    },
}

fn main() -> ExitCode {
    match stand_in_or_run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(&error)
        }
    }
}

fn stand_in_or_run() -> anyhow::Result<ExitCode> {
    let words: Vec<_> = env::args_os().skip(1).collect();
    if let Some(status) = python::wheel::stand_in(&words)? {
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    run(Args::parse().command).map(|()| ExitCode::SUCCESS)
}

/// What a program that we ran said with its exit code is ours to hand on.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Interrupted>() {
        return ExitCode::from(Interrupted::EXIT_CODE);
    }
    error.downcast_ref::<Failed>().map_or(ExitCode::FAILURE, Failed::exit_code)
}

fn run(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Demo => demo::run(&workspace),
        Command::Test => test::run(&workspace),
        Command::Bench { in_turn, args } => bench::run(&workspace, in_turn, &args),
        Command::Deny { require_advisories } => {
            deny::run(&workspace, require_advisories)?.warn();
            Ok(())
        }
        Command::Fuzz { target, minutes } => fuzz::run(&workspace, target.as_deref(), minutes),
        Command::Hostile { seconds } => hostile::run(&workspace, seconds),
        Command::Hosts => hosts::run(&workspace),
        Command::Languages => programs::run(&workspace),
        Command::Sim { planted: true, .. } => sim::planted(&workspace),
        Command::Sim { planted: false, args } => sim::run(&workspace, &args),
        Command::Properties { cases } => properties::run(&workspace, cases),
        Command::Chaos { rows, minutes } => chaos::run(&workspace, &rows, minutes),
        Command::Arm64 => arm64::run(&workspace),
        Command::Dist { systems } => dist::run(&workspace, if systems.is_empty() { &Archive::ALL } else { &systems }),
        Command::Python => python::run(&workspace),
        Command::Windows => windows::run(&workspace),
        Command::Site => {
            println!("{}", site::make(&workspace)?.join("index.html").display());
            Ok(())
        }
        Command::Wasm { languages, all_languages } => wasm(&workspace, &languages, all_languages),
        Command::Conformance { dir, haggle } => conformance::run(&workspace, &dir, haggle),
        Command::Toolchain { from } => {
            println!("{}", toolchain::ensure(from)?.display());
            Ok(())
        }
    }
}

/// Builds all it can, and then says what it could not.
fn wasm(workspace: &Workspace, languages: &[Language], all_languages: bool) -> anyhow::Result<()> {
    if languages.is_empty() {
        for module in tasks::build(workspace)? {
            println!("{}", module.display());
        }
    }
    let languages = if all_languages { &Language::ALL } else { languages };
    let mut missing = Vec::new();
    for &language in languages {
        match languages::build(workspace, language) {
            Ok(module) => println!("{}", module.display()),
            Err(error) => missing.push(format!("{}: {error:#}", language.name())),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("not built\n  {}", missing.join("\n  "))) }
}
