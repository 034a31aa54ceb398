//! The real binaries over real sockets, with guests compiled from the examples.

mod across;
mod bad_input;
mod cluster;
mod executors;
mod folders;
mod frameworks;
mod languages;
mod network;
mod run;
mod survival;
