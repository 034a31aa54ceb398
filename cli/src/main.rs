//! `haggle`, the command.

mod args;
mod cache;
mod commands;
mod completions;
mod contexts;
mod doctor;
mod embedded;
mod error;
mod executor;
mod exit;
mod logging;
mod man;
mod module;
mod output;
mod proxy;
mod runtime;
mod script;
mod service;
mod signals;
mod sources;
mod state;
mod target;
mod toolchain;
mod top;

use std::io::Write;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};
use clap::error::ErrorKind;

use error::CommandError;
use haggle_memmove as _;
use haggle_pages::why;
use mimalloc::MiMalloc;
use output::OutputError;

/// What a task's start allocates on one thread is freed on another. The allocators of most systems then let threads
/// share lines of the cache for ever after: with two workers, a tenth of what the start of a short task costs.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    #[cfg(unix)]
    haggle_executor::process::reset_signals();
    // The children of an agent have no command line to speak of; a compiler must be limited before anything else.
    let args = std::env::args_os;
    let child =
        haggle_executor::compile_child(args()).or_else(|| executor::child(args())).or_else(|| doctor::child(args()));
    if let Some(code) = child.or_else(completions::answer) {
        return code;
    }
    match args::Cli::read(args()).map_err(CommandError::Usage).and_then(commands::run) {
        Ok(code) => exit::code(code),
        Err(CommandError::Output(OutputError::Closed)) => ExitCode::SUCCESS,
        Err(CommandError::Usage(error)) => {
            // Help, or the version.
            if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                error.exit();
            }
            complain(&args::in_one_line(&error));
            exit::code(exit::USAGE)
        }
        Err(error) => {
            complain(&error.to_string());
            exit::code(exit::FAULT)
        }
    }
}

/// One line. Where standard error cannot be written to either, the exit code has to do.
fn complain(error: &str) {
    const RED: Style = AnsiColor::Red.on_default().bold();
    let message = output::printable(error);
    let _ = writeln!(anstream::stderr(), "{RED}haggle:{RED:#} {message}");
}
