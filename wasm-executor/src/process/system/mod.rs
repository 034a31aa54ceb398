//! What systems do differently with processes: starting one that stands for itself, ending it, and how it ended.

mod idle;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(crate) use idle::run_when_idle;
#[cfg(unix)]
pub(crate) use unix::{
    Readiness, cpu_time, ends_within, give_way, kill, manner, readiness, say_ready, set_apart, start_outliving, tie,
};
#[cfg(windows)]
pub(crate) use windows::{
    KILLED, Readiness, cpu_time, ends_within, give_way, kill, manner, readiness, say_ready, set_apart, start_outliving,
    tie,
};

/// What no program runs without on Windows.
const ENVIRONMENT: [&str; 2] = ["SystemRoot", "TEMP"];

/// Leaves to a program of this process's environment what it cannot do without, and what is named.
pub(crate) fn clear_environment(command: &mut std::process::Command, but: &[&str]) {
    command.env_clear();
    command.envs(ENVIRONMENT.iter().chain(but).filter_map(|&name| Some((name, std::env::var_os(name)?))));
}
