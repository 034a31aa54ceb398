//! Guests that mean harm, one row each: what they try, and how the executor ends them.

mod compiling;
mod cpu;
mod disk;
mod exceptions;
mod host_calls;
mod kit;
mod links;
mod memory;
mod modules;
mod output;
mod together;
