//! What can be typed after `runtime`, and which flags say how a script is run.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use haggle_core::Digest;

use super::operator::ListArgs;

/// How a script is run.
#[derive(Args, Debug)]
pub(crate) struct ScriptArgs {
    /// Run this instead of a file; needs --runtime
    #[arg(
        short = 'c',
        value_name = "CODE",
        help_heading = "Scripts",
        requires = "runtime",
        conflicts_with = "module",
        allow_hyphen_values = true
    )]
    pub(crate) code: Option<String>,
    /// The interpreter of a script: one of `haggle runtime ls` [default: by its name's end or its #! line]
    #[arg(long, value_name = "NAME", help_heading = "Scripts")]
    pub(crate) runtime: Option<String>,
    /// A folder or wheel of packages in pure Python that a Python script can import; repeatable
    #[arg(long = "with", value_name = "DIR|WHEEL", help_heading = "Scripts")]
    pub(crate) with: Vec<PathBuf>,
    /// The packages that this requirements file of pip lists: fetched by pip on this machine, pure Python alone
    #[arg(long, value_name = "FILE", help_heading = "Scripts")]
    pub(crate) requirements: Option<PathBuf>,
}

/// Keep interpreters that run scripts: list, add and remove them
///
/// A runtime is an interpreter that is compiled to WebAssembly: a script is an input to it, and runs under every quota as any
/// task does. Those that are known are fetched when they are needed first, by the pip of this user, with its mirrors and
/// proxies; what comes is compared with a digest that is part of this program. No interpreter of this machine is ever run.
#[derive(Args, Debug)]
pub(crate) struct RuntimeArgs {
    #[command(subcommand)]
    pub(crate) command: RuntimeCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum RuntimeCommand {
    /// List the runtimes that are here or can be fetched
    Ls(ListArgs),
    Add(AddRuntimeArgs),
    Rm(RmRuntimeArgs),
}

/// Keep a runtime: fetch a known one now, or take one that you have
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle runtime add python                            fetch it now, and not at the first script
  haggle runtime add python=./python.wasm              one of your own, for a machine without a registry
  haggle runtime add lua=./lua.wasm                    then: haggle run job.lua --runtime lua
  haggle runtime add python=sha256:e5dc5a39…           one that the master has; nothing is kept here")]
pub(crate) struct AddRuntimeArgs {
    /// A known runtime's name, or any name for a .wasm file or for a digest of a module that the master has
    #[arg(value_name = "NAME[=FILE|=sha256:DIGEST]")]
    pub(crate) runtime: String,
    /// What the file's digest has to be; else nothing is kept
    #[arg(long, value_name = "sha256:DIGEST")]
    pub(crate) digest: Option<Digest>,
    /// Print nothing while it is fetched
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Forget a runtime of this machine; a known one is fetched again when it is needed
#[derive(Args, Debug)]
pub(crate) struct RmRuntimeArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
