//! What strangers try at the port of a master, and the answer that each of them gets.

mod certificates;
mod joining;
mod kit;
mod transport;
