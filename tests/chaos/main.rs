//! Faults in real processes: masters, etcds, agents and frameworks that are killed, stopped and cut off under load.
//!
//! Each row has a short form, which is a part of `cargo xtask test`, and a long one, `cargo xtask chaos`.

mod checker;
mod faults;
mod form;
mod world;
