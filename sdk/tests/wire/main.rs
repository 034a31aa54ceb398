//! The SDK over real sockets, against a master that the tests play by hand.

mod access;
mod artifacts;
mod connect;
mod framework;
mod masters;
mod operator;
mod played;
mod runner;
mod stored;
