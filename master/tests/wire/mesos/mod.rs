//! The Mesos v1 API over real sockets: what is on the wire, chunk by chunk.

mod calls;
mod framing;
mod hostile;
mod kit;
mod operators;
