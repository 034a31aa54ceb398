//! The real binaries over real sockets, with guests compiled from the examples.

mod across;
#[cfg(unix)]
mod acts;
mod again;
#[cfg(target_os = "linux")]
mod artifacts;
mod bad_input;
mod cluster;
mod collectors;
#[cfg(target_os = "linux")]
mod completions;
mod doctor;
#[cfg(unix)]
mod documents;
#[expect(dead_code, reason = "shared with others, who use the rest")]
#[path = "../../etcd/tests/kit/mod.rs"]
mod etcd;
mod executors;
mod folders;
mod frameworks;
mod gangs;
mod jobs;
mod languages;
#[cfg(unix)]
mod mesos;
mod network;
#[cfg(target_os = "linux")]
mod pages;
mod placing;
#[cfg(target_os = "linux")]
mod prometheus;
mod queues;
mod reservations;
mod revocable;
mod roles;
mod run;
mod said;
mod scripts;
mod sessions;
mod standby;
mod survival;
#[cfg(unix)]
mod top;
mod traces;
mod upkeep;
mod volumes;
