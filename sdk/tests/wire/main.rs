//! The SDK over real sockets, against a master that the tests play by hand.

mod artifacts;
mod connect;
mod framework;
mod operator;
mod played;
mod runner;
