//! How peers know each other, over real sockets.

mod agents;
mod damaged;
mod kit;
mod masters;
