//! The SDK over real sockets, against a master that the tests play by hand.

mod access;
mod artifacts;
mod connect;
#[cfg(feature = "etcd")]
mod etcd_store;
mod framework;
mod masters;
mod operator;
mod played;
mod runner;
mod stored;
