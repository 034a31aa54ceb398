//! Machines that come together by tokens.

mod agents;
mod contexts;
mod proxy;
mod rotation;
mod service;
mod several;
mod strangers;
mod tour;
mod traces;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use haggle_kit::{Machine, Master};

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o777
}
