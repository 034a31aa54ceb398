//! What `haggle_cluster`, the Python package, has from the Rust SDK: calls that block, and let other threads run meanwhile.
//!
//! Everything here is plain: texts, numbers, dictionaries. What a Python program sees is made of that in Python
//! (`sdk/python/python/haggle_cluster`), where it is cheaper to write and to read.

mod amounts;
mod connection;
mod error;
mod event;
mod framework;
mod log;
mod operator;
mod session;
mod spec;
mod told;
mod wait;

use pyo3::pymodule;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::amounts::size;
    #[pymodule_export]
    use crate::connection::Connection;
    #[pymodule_export]
    use crate::error::{AtLimit, ConnectError, HaggleError, NotAllowed, NotFound, Refused, SessionOver};
    #[pymodule_export]
    use crate::framework::Framework;
    #[pymodule_export]
    use crate::log::Log;
    #[pymodule_export]
    use crate::operator::{Operator, Watch};
    #[pymodule_export]
    use crate::session::Session;
}
