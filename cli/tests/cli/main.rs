//! The binary as a user meets it: exit codes, standard output, one line on standard error.

mod array;
mod bad_input;
mod doctor;
#[cfg(unix)]
mod documents;
mod guests;
mod haggle;
mod inspect;
mod man;
#[cfg(unix)]
mod master;
mod run;
mod runtimes;
mod scripts;
#[cfg(target_os = "linux")]
mod service;
#[cfg(unix)]
mod signals;
