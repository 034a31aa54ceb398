//! A connection to a master: artifacts and logs, and where sessions begin.

use std::path::PathBuf;

use haggle_sdk::{Client, Digest, FrameworkInfo, OutputStream, TaskId};
use pyo3::{PyResult, Python, pyclass, pymethods};

use crate::amounts::seconds;
use crate::error::{OrRaise, unreadable};
use crate::framework::Framework;
use crate::log::Log;
use crate::operator::Operator;
use crate::session::Session;
use crate::wait::wait;

/// A connection to a master.
#[pyclass(frozen)]
pub(crate) struct Connection(Client);

#[pymethods]
impl Connection {
    /// Connects to the master that is named, by the token, or both.
    #[staticmethod]
    fn open(py: Python<'_>, master: Option<String>, token: Option<&str>, patience: f64) -> PyResult<Self> {
        let mut builder = Client::builder().patience(seconds(patience)?);
        if let Some(master) = master {
            builder = builder.master(master);
        }
        if let Some(token) = token {
            builder = builder.token(token.parse().or_raise()?);
        }
        wait(py, builder.connect())?.or_raise().map(Self)
    }

    /// Where the master is that is spoken to now.
    fn url(&self) -> String {
        self.0.url()
    }

    /// Stores a file, and gives back its digest.
    fn upload(&self, py: Python<'_>, path: PathBuf) -> PyResult<String> {
        wait(py, self.0.upload(path))?.or_raise().map(|digest| digest.to_string())
    }

    /// Stores a module that is to be a task, and gives back its digest.
    fn upload_module(&self, py: Python<'_>, path: PathBuf) -> PyResult<String> {
        wait(py, self.0.upload_module(path))?.or_raise().map(|digest| digest.to_string())
    }

    /// Stores bytes, and gives back their digest.
    fn upload_bytes(&self, py: Python<'_>, content: Vec<u8>) -> PyResult<String> {
        wait(py, self.0.upload_bytes(content))?.or_raise().map(|digest| digest.to_string())
    }

    /// Has the master fetch an artifact from a source, and gives back its digest, its bytes, and a source that names the same again.
    fn pull(&self, py: Python<'_>, source: &str, module: bool) -> PyResult<(String, u64, String)> {
        let pulled = wait(py, self.0.pull_with(source, module, |_, _| {}))?.or_raise()?;
        Ok((pulled.digest.to_string(), pulled.size, pulled.pinned))
    }

    /// Whether the master has it.
    fn has(&self, py: Python<'_>, digest: &str) -> PyResult<bool> {
        let digest = digest.parse::<Digest>().map_err(unreadable)?;
        wait(py, self.0.has_artifact(digest))?.or_raise()
    }

    /// Fetches an artifact into a file.
    fn download(&self, py: Python<'_>, digest: &str, path: PathBuf) -> PyResult<()> {
        let digest = digest.parse::<Digest>().map_err(unreadable)?;
        wait(py, self.0.download(digest, path))?.or_raise()
    }

    /// What a task writes, from its start; with `follow`, until it has ended.
    fn log(&self, task: &str, stderr: bool, follow: bool) -> PyResult<Log> {
        let stream = if stderr { OutputStream::Stderr } else { OutputStream::Stdout };
        Ok(Log::new(self.0.log(task.parse::<TaskId>().map_err(unreadable)?, stream, follow)))
    }

    /// What an operator sees and decides.
    fn operator(&self) -> Operator {
        Operator::new(&self.0)
    }

    /// A session that drives tasks to their end.
    fn session(&self, py: Python<'_>, name: String, role: Option<String>, retries: u32) -> PyResult<Session> {
        Session::start(py, &self.0, name, role, retries)
    }

    /// A framework of its own.
    fn framework(&self, py: Python<'_>, name: String, roles: Vec<String>, failover: f64) -> PyResult<Framework> {
        Framework::subscribe(py, &self.0, FrameworkInfo { name, roles, failover_timeout: seconds(failover)? })
    }
}
