//! A task as Python describes it.

use std::collections::BTreeMap;

use haggle_sdk::{Amount, Bytes, Digest, Fuel, Task, VolumeId};
use pyo3::{FromPyObject, PyResult};

use crate::amounts::{cores, seconds};
use crate::error::unreadable;

/// A dictionary with every key of these. Amounts are texts, as everywhere in Haggle.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Spec {
    /// A digest, or where it is for the master to fetch.
    module: String,
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    cpus: String,
    /// Beyond its cpus, of what others leave unused.
    burst: String,
    weight: Option<String>,
    mem: String,
    disk: String,
    scalars: BTreeMap<String, String>,
    fuel: Option<u64>,
    /// Seconds.
    timeout: Option<f64>,
    output: Option<String>,
    /// Paths in the guest, and digests or where the contents are.
    inputs: Vec<(String, String)>,
    /// Paths in the guest, volumes, and whether they may be written.
    volumes: Vec<(String, String, bool)>,
    /// Paths in the guest, and folders of the agent's machine.
    host_folders: Vec<(String, String)>,
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
        let amount = |text: &str| Amount::<Bytes>::read(text).map_err(unreadable);
        let mut task = match place(self.module)? {
            Place::Here(digest) => Task::new(digest),
            Place::Source(source) => Task::from_source(source),
        };
        task = task
            .name(self.name)
            .args(self.args)
            .stdin(self.stdin)
            .cpus(cores(&self.cpus)?)
            .burst(cores(&self.burst)?)
            .mem(amount(&self.mem)?)
            .disk(amount(&self.disk)?);
        if let Some(weight) = self.weight {
            task = task.weight(cores(&weight)?);
        }
        for (name, amount) in self.scalars {
            task = task.scalar(&name, cores(&amount)?.get());
        }
        for (path, volume, writable) in self.volumes {
            task = task.volume(path, volume.parse::<VolumeId>().map_err(unreadable)?, writable);
        }
        for (path, folder) in self.host_folders {
            task = task.host_folder(path, folder);
        }
        for (name, value) in self.env {
            task = task.env(name, value);
        }
        for (path, content) in self.inputs {
            task = match place(content)? {
                Place::Here(digest) => task.input(path, digest),
                Place::Source(source) => task.input_from(path, source),
            };
        }
        task = self.constraints.iter().fold(task, |task, constraint| task.constraint(constraint.as_str()));
        task = self.allow_net.iter().fold(task, |task, endpoint| task.allow_net(endpoint));
        task = self.allow_http.iter().fold(task, |task, host| task.allow_http(host));
        if let Some(fuel) = self.fuel {
            task = task.fuel(Fuel::new(fuel));
        }
        if let Some(time) = self.timeout {
            task = task.timeout(seconds(time)?);
        }
        if let Some(output) = self.output {
            task = task.output_limit(amount(&output)?);
        }
        Ok(task)
    }
}

/// Where a module or an input is.
enum Place {
    Here(Digest),
    Source(String),
}

fn place(text: String) -> PyResult<Place> {
    if text.contains("://") { Ok(Place::Source(text)) } else { text.parse().map(Place::Here).map_err(unreadable) }
}
