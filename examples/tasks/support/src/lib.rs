//! What the example tasks have in common. A task needs none of it: any program for wasm32-wasip1 is one.

mod share;

use std::env;
use std::process::ExitCode;
use std::str::FromStr;

pub use share::Share;

/// Runs a task with its arguments; what is wrong is said in one line on standard error, and in the exit code.
pub fn run(task: impl FnOnce(&[String]) -> Result<(), String>) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match task(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A number of a command line, or one line about what stands there instead.
pub fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number as wanted here"))
}
