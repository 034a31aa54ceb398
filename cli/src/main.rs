//! `haggle`, the command.

mod args;
mod cache;
mod commands;
mod embedded;
mod error;
mod exit;
mod logging;
mod module;
mod output;
mod signals;
mod toolchain;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::styling::{AnsiColor, Style};

use error::CommandError;
use output::OutputError;

fn main() -> ExitCode {
    match commands::run(args::Cli::parse()) {
        Ok(code) => exit::code(code),
        Err(CommandError::Output(OutputError::Closed)) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            exit::code(exit::FAULT)
        }
    }
}

/// One line. Where standard error cannot be written to either, the exit code has to do.
fn complain(error: &CommandError) {
    const RED: Style = AnsiColor::Red.on_default().bold();
    let message = output::printable(&error.to_string());
    let _ = writeln!(anstream::stderr(), "{RED}haggle:{RED:#} {message}");
}
