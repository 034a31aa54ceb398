//! What strangers try at the port of a master, and the answer that each of them gets.

mod artifacts;
mod certificates;
mod floods;
mod frames;
mod half_open;
mod http1;
mod joining;
mod kit;
mod messages;
mod names;
mod transport;
