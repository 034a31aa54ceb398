//! What a process is by its user and its limits.

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

/// What is in a guest's memory is nobody's business, and a dump of it may take any room.
pub(super) fn no_core_dumps() -> Result<(), String> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(|error| error.to_string())
}

/// No program that it starts could do more than it can itself. The other walls ask for this one.
pub(super) fn no_new_privileges() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| error.to_string())
}

/// For an agent that runs as root: its executors own root's files, and nothing else sets them apart.
pub(super) fn drop_all() -> Result<(), String> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|error| error.to_string())
}
