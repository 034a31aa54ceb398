//! A task as Python describes it.

use std::time::Duration;

use haggle_sdk::{Amount, Bytes, Digest, Fuel, MilliCpu, Task};
use pyo3::{FromPyObject, PyResult};

use crate::error::unreadable;

/// A dictionary with every key of these. Amounts are texts, as everywhere in Haggle.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Spec {
    module: String,
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    cpus: String,
    mem: String,
    disk: String,
    fuel: Option<u64>,
    /// Seconds.
    timeout: Option<f64>,
    output: Option<String>,
    /// Paths in the guest, and digests.
    inputs: Vec<(String, String)>,
    constraints: Vec<String>,
    allow_net: Vec<String>,
    allow_http: Vec<String>,
}

impl Spec {
    /// The task.
    ///
    /// # Errors
    /// When a text or a number is not what it should be.
    pub(crate) fn task(self) -> PyResult<Task> {
        let digest = |text: &str| text.parse::<Digest>().map_err(unreadable);
        let amount = |text: &str| Amount::<Bytes>::read(text).map_err(unreadable);
        let mut task = Task::new(digest(&self.module)?)
            .name(self.name)
            .args(self.args)
            .stdin(self.stdin)
            .cpus(Amount::<MilliCpu>::read(self.cpus.as_str()).map_err(unreadable)?)
            .mem(amount(&self.mem)?)
            .disk(amount(&self.disk)?);
        for (name, value) in self.env {
            task = task.env(name, value);
        }
        for (path, content) in self.inputs {
            task = task.input(path, digest(&content)?);
        }
        task = self.constraints.iter().fold(task, |task, constraint| task.constraint(constraint.as_str()));
        task = self.allow_net.iter().fold(task, |task, endpoint| task.allow_net(endpoint));
        task = self.allow_http.iter().fold(task, |task, host| task.allow_http(host));
        if let Some(fuel) = self.fuel {
            task = task.fuel(Fuel::new(fuel));
        }
        if let Some(seconds) = self.timeout {
            task = task.timeout(Duration::try_from_secs_f64(seconds).map_err(unreadable)?);
        }
        if let Some(output) = self.output {
            task = task.output_limit(amount(&output)?);
        }
        Ok(task)
    }
}
