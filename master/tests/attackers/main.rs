//! What strangers try at the port of a master, and the answer that each of them gets.

mod certificates;
mod half_open;
mod joining;
mod kit;
mod transport;
