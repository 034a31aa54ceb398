//! Several masters on real sockets, with a real etcd: who leads, and what must not be lost.

#[path = "../../../etcd/tests/kit/mod.rs"]
mod etcd;
mod masters;
mod proxy;

mod artifacts;
mod election;
mod outages;
