//! What a task writes, piece by piece.

use haggle_sdk::LogStream;
use pyo3::types::PyBytes;
use pyo3::{Bound, PyResult, Python, pyclass, pymethods};
use tokio::sync::Mutex;

use crate::error::OrRaise;
use crate::wait::wait;

/// A stream of bytes.
#[pyclass(frozen)]
pub(crate) struct Log(Mutex<LogStream>);

impl Log {
    pub(crate) fn new(stream: LogStream) -> Self {
        Self(Mutex::new(stream))
    }
}

#[pymethods]
impl Log {
    /// The next piece; `None` at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let piece = wait(py, async { self.0.lock().await.next().await })?.transpose().or_raise()?;
        Ok(piece.map(|piece| PyBytes::new(py, &piece)))
    }
}
