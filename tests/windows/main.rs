//! What is different on Windows, with the real `haggle.exe` on Wine. `cargo xtask windows` builds it, sets Wine up, and runs
//! these; and the end-to-end tests of every system with the same program.

mod agents;
mod cpu;
mod guests;
mod join;
mod keys;
mod names;
mod paths;
mod quotas;

use std::process::{Command, Output, Stdio};

use haggle_kit::windows_binary;

/// `haggle.exe`, which brings up a cluster of its own.
fn haggle(args: &[&str]) -> Command {
    let mut command = haggle_kit::command(&windows_binary("haggle"));
    command.args(args).env_remove("HAGGLE_MASTER").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("haggle writes UTF-8")
}

#[track_caller]
fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
}
