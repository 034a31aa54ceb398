//! The executor alone, each file a few rows of what it promises.

pub(crate) mod crowd;
pub(crate) mod density;
mod guests;
pub(crate) mod kernels;
pub(crate) mod kill;
pub(crate) mod memory;
pub(crate) mod overhead;
pub(crate) mod peers;
pub(crate) mod proc;
pub(crate) mod rate;
pub(crate) mod start;
