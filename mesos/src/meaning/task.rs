//! Which module a TaskInfo names, and how it is to run.

use std::time::Duration;

use haggle_core::{
    Bytes, Digest, FrameworkId, Fuel, Grants, Input, Limits, MilliCpu, OutputOverrun, Resources, Sharing, TaskSpec,
};

use super::resources::{self, BadAmount};
use crate::ids::{is_task_id, task};
use crate::shell::{self, NoWords};
use crate::wire::task::{CommandInfo, ContainerInfo, TaskInfo, Uri, VariableType};

/// Where it is said how a task is written.
const SEE: &str = "see docs/MESOS.md";

/// Processor time without end: as much as there are cores anywhere.
const ALL_CORES: MilliCpu = MilliCpu::from_cores(1000);

/// Labels that say what Mesos has no word for.
const PREFIX: &str = "haggle.";

/// Why a task cannot run here, for whoever wrote it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum BadTask {
    #[error("task_id {0:?} is none: 1 to 255 bytes without /, \\ and control characters, and not . or ..")]
    Id(String),
    #[error("a task runs a WebAssembly module, and this one has no command and no label haggle.module; {SEE}")]
    NoCommand,
    #[error(
        "no shell here: {line:?} is for one ({why}). Send shell: false, value: the module's file name, arguments: what the program gets, \
         and uris: the module; {SEE}"
    )]
    Shell { line: String, why: NoWords },
    #[error(
        "no shell here: {0:?} is no module among the command's uris. Put the module into the cluster with `haggle upload x.wasm`, and send \
         uris: [{{\"value\": \"sha256:...\", \"output_file\": \"x.wasm\"}}], shell: false, value: \"x.wasm\", or the label haggle.module; {SEE}"
    )]
    NoModule(String),
    #[error(
        "{0:?} is fetched by nobody here: put the file into the cluster with `haggle upload`, and name it as sha256:... or \
         haggle://.../name; {SEE}"
    )]
    Uri(String),
    #[error("{0:?} is unpacked by nobody here: say extract: false")]
    Extract(String),
    #[error("an image of containers is no WebAssembly module: name one by a uri or the label haggle.module; {SEE}")]
    Image,
    #[error("volumes of a container are none here; {SEE}")]
    Volumes,
    #[error("custom executors are not supported: leave out executor, and say in command what to run")]
    Executor,
    #[error("checks of a task's health are not supported: leave out check and health_check")]
    Check,
    #[error("the variable {0:?} is a secret, which are not supported")]
    Secret(String),
    #[error("label {0} is {1:?}, and wanted is {2}")]
    Label(String, String, &'static str),
    #[error(
        "label {0} is not known: haggle.module, haggle.fuel, haggle.output, haggle.truncate, haggle.allow-net and haggle.allow-http are"
    )]
    UnknownLabel(String),
    #[error("limits.{0} is {1}: it is what the task holds or more for cpus, and what the task holds for the others")]
    Limit(String, f64),
    #[error("max_completion_time is {0} ns: it is above zero")]
    Time(i64),
    #[error(transparent)]
    Amount(#[from] BadAmount),
}

/// A task as the core knows it.
pub(super) fn spec(framework: FrameworkId, info: TaskInfo) -> Result<TaskSpec, BadTask> {
    let name = info.task_id.value;
    if !is_task_id(&name) {
        return Err(BadTask::Id(name));
    }
    if info.executor.is_some() {
        return Err(BadTask::Executor);
    }
    if info.check.is_some() || info.health_check.is_some() {
        return Err(BadTask::Check);
    }
    let mut own = Own::default();
    for label in info.labels.iter().flat_map(|labels| &labels.labels) {
        own.take(&label.key, label.value.as_deref().unwrap_or_default())?;
    }
    check_container(info.container.as_ref(), own.module.is_some())?;
    let command = info.command.unwrap_or_default();
    let program = program(&command, own.module)?;
    let mut env: Vec<(String, String)> = Vec::new();
    for variable in command.environment.into_iter().flat_map(|environment| environment.variables) {
        if variable.r#type == Some(VariableType::Secret.into()) {
            return Err(BadTask::Secret(variable.name));
        }
        // What is said last counts.
        env.retain(|(name, _)| *name != variable.name);
        env.push((variable.name, variable.value.unwrap_or_default()));
    }
    let resources = resources::read(&info.resources)?;
    let sharing = sharing(&info.limits, &resources)?;
    let time = match info.max_completion_time {
        None => None,
        Some(time) => {
            let nanoseconds = u64::try_from(time.nanoseconds).ok().filter(|time| *time > 0);
            Some(Duration::from_nanos(nanoseconds.ok_or(BadTask::Time(time.nanoseconds))?))
        }
    };
    Ok(TaskSpec {
        id: task(framework, &name),
        name,
        role: String::new(),
        module: program.module,
        args: program.args,
        env,
        stdin: info.data.unwrap_or_default(),
        resources,
        sharing,
        limits: Limits { time, ..own.limits },
        inputs: program.inputs,
        grants: own.grants,
        group: None,
        waited: None,
        trace: None,
    })
}

/// What labels say of a task.
#[derive(Default)]
struct Own {
    module: Option<Digest>,
    limits: Limits,
    grants: Grants,
}

impl Own {
    fn take(&mut self, key: &str, value: &str) -> Result<(), BadTask> {
        let bad = |wanted| BadTask::Label(key.to_owned(), value.to_owned(), wanted);
        let Some(name) = key.strip_prefix(PREFIX) else { return Ok(()) };
        let each = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
        match name {
            "module" => self.module = Some(value.parse().map_err(|_| bad("sha256:<64 hexadecimal digits>"))?),
            "fuel" => self.limits.fuel = Some(Fuel::new(value.parse().map_err(|_| bad("a whole number"))?)),
            "output" => self.limits.output = value.parse::<Bytes>().map_err(|_| bad("a size like 64KiB"))?,
            "truncate" => match value {
                "true" => self.limits.output_overrun = OutputOverrun::Truncate,
                "false" => self.limits.output_overrun = OutputOverrun::End,
                _ => return Err(bad("true or false")),
            },
            "allow-net" => {
                let hosts: Result<_, _> = each().map(str::parse).collect();
                self.grants.net = hosts.map_err(|_| bad("hosts and ports, like db.example:5432"))?;
            }
            "allow-http" => {
                let hosts: Result<_, _> = each().map(str::parse).collect();
                self.grants.http = hosts.map_err(|_| bad("hosts, like api.example or api.example:8080"))?;
            }
            _ => return Err(BadTask::UnknownLabel(key.to_owned())),
        }
        Ok(())
    }
}

/// A container of Mesos's without an image is what every task has. With a label for the module an image does not count.
fn check_container(container: Option<&ContainerInfo>, has_module: bool) -> Result<(), BadTask> {
    let Some(container) = container else { return Ok(()) };
    if !container.volumes.is_empty() {
        return Err(BadTask::Volumes);
    }
    let has_image = container.docker.is_some() || container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some());
    if has_image && !has_module { Err(BadTask::Image) } else { Ok(()) }
}

/// What runs.
struct Program {
    module: Digest,
    args: Vec<String>,
    inputs: Vec<Input>,
}

fn program(command: &CommandInfo, labelled: Option<Digest>) -> Result<Program, BadTask> {
    let mut files = command.uris.iter().map(File::of).collect::<Result<Vec<_>, _>>()?;
    // `shell` is true when nothing is said, and with it `value` is a line for a shell and `arguments` do not count.
    let (named, args) = match (&command.value, command.shell.unwrap_or(true)) {
        (Some(line), true) => {
            let shell = |why| BadTask::Shell { line: line.clone(), why };
            let mut words = shell::split(line).map_err(shell)?.into_iter();
            (words.next(), words.collect())
        }
        // The first argument is the program's name.
        (value, false) => (value.clone(), command.arguments.iter().skip(1).cloned().collect()),
        (None, true) => (None, Vec::new()),
    };
    let module = match (labelled, &named) {
        (Some(module), _) => module,
        (None, None) => match files.len() {
            1 => files.remove(0).content,
            _ => return Err(BadTask::NoCommand),
        },
        (None, Some(named)) => {
            let local = named.strip_prefix("./").unwrap_or(named);
            let by_name = files.iter().position(|file| file.name.as_deref() == Some(local));
            // A digest has no name: the one that stands alone has that of the program.
            let nameless = || files.iter().position(|file| file.name.is_none());
            let at = by_name.or_else(nameless).ok_or_else(|| BadTask::NoModule(named.clone()))?;
            files.remove(at).content
        }
    };
    let inputs = files.into_iter().map(|file| Input {
        guest_path: format!("/{}", file.name.unwrap_or_else(|| file.content.hex())),
        content: file.content,
    });
    Ok(Program { module, args, inputs: inputs.collect() })
}

/// A file that the cluster has.
struct File {
    content: Digest,
    /// What it is called in front of the task.
    name: Option<String>,
}

impl File {
    fn of(uri: &Uri) -> Result<Self, BadTask> {
        let unknown = || BadTask::Uri(uri.value.clone());
        let (content, name) = match uri.value.strip_prefix("haggle://") {
            Some(rest) => {
                let (digest, path) = rest.split_once('/').unwrap_or((rest, ""));
                let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
                let name = path.rsplit('/').next().filter(|name| !name.is_empty());
                (format!("sha256:{digest}").parse().map_err(|_| unknown())?, name)
            }
            None => (uri.value.parse().map_err(|_| unknown())?, None),
        };
        let output = uri.output_file.as_deref().filter(|name| !name.is_empty());
        let name = output.map(|name| name.strip_prefix("./").unwrap_or(name)).or(name).map(str::to_owned);
        let is_archive =
            |name: &String| [".tar", ".tgz", ".gz", ".zip", ".bz2", ".xz"].iter().any(|end| name.ends_with(end));
        if uri.extract != Some(false)
            && let Some(archive) = name.as_ref().filter(|name| is_archive(name))
        {
            return Err(BadTask::Extract(archive.clone()));
        }
        Ok(Self { content, name })
    }
}

/// Limits above what a task holds: of processor time, that is a burst; of the rest a task has no more than it holds.
fn sharing(
    limits: &std::collections::BTreeMap<String, crate::wire::common::Scalar>,
    resources: &Resources,
) -> Result<Sharing, BadTask> {
    let mut sharing = Sharing::default();
    for (name, limit) in limits {
        let bad = || BadTask::Limit(name.clone(), limit.value);
        match name.as_str() {
            "cpus" if limit.value == f64::INFINITY => sharing.burst = ALL_CORES,
            "cpus" => {
                let limit = MilliCpu::new(resources::amount(name, limit.value, 1000.0)?).min(ALL_CORES);
                sharing.burst = limit.checked_sub(resources.cpus).ok_or_else(bad)?;
            }
            "mem" if Bytes::new(resources::amount(name, limit.value, (1 << 20) as f64)?) == resources.mem => {}
            "disk" if Bytes::new(resources::amount(name, limit.value, (1 << 20) as f64)?) == resources.disk => {}
            _ => return Err(bad()),
        }
    }
    Ok(sharing)
}

#[cfg(test)]
mod tests;
