//! OCI registries, by their distribution specification: what others pushed, and what they can pull.

mod manifest;
mod pull;
mod push;
mod registry;

pub use push::{Contents, Pushed};

pub(crate) use pull::{Layer, find};
pub(crate) use push::push;
