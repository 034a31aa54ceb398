//! How peers know each other, over real sockets.

mod agents;
mod kit;
mod masters;
