//! A master on a real socket, with agents, frameworks and operators played by the test.

mod peers;

mod access;
mod again;
mod limits;
mod mesos;
mod metrics;
mod pages;
mod reservations;
mod roles;
mod services;
mod upkeep;
