//! Faults in real processes: masters, etcds, agents and frameworks that are killed, stopped and cut off under load.
//!
//! Each row has a short form, which is a part of `cargo xtask test`, and a long one, `cargo xtask chaos`. It prints its
//! figures, and then what it found against the promises. Then the folder with the logs of all processes and the record of
//! the framework is kept, and named. The soak prints the seed of its faults; `HAGGLE_CHAOS_SEED` gives it again.

mod checker;
mod faults;
mod form;
mod world;
