//! What a process is by its user and its limits.

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

/// What no executor has a use for. A core dump would show what is in a guest's memory, and take any room.
const UNUSED: [Resource; 5] = [Resource::Core, Resource::Memlock, Resource::Msgqueue, Resource::Rtprio, Resource::Nice];

/// Brings the limits of what is not used here to nothing: dumps, locked memory, message queues, priorities.
///
/// What is used here has its limits elsewhere, by task: the system knows one limit for a process as a whole.
pub(super) fn no_resources() -> Result<(), String> {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    let limit = |resource| setrlimit(resource, nothing).map_err(|error| format!("{resource:?}: {error}"));
    UNUSED.into_iter().try_for_each(limit)
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
