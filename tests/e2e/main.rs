//! The real binaries over real sockets, with guests compiled from the examples.

mod bad_input;
mod cluster;
mod executors;
mod folders;
mod frameworks;
mod languages;
mod network;
mod run;
mod survival;
