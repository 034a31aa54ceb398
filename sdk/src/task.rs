//! What to run: a task, before it has a name in the cluster.

mod sources;

use std::fmt;
use std::time::Duration;

use haggle_core::quantity::NotAnAmount;
use haggle_core::trace::TRACEPARENT;
use haggle_core::{
    AgentInfo, Bytes, Constraint, Digest, Endpoint, Folder, FolderSource, FrameworkId, Fuel, Grants, HttpHost, Input,
    Limits, MilliCpu, OutputOverrun, Resources, Sharing, TaskId, TaskSpec, TraceContext, VolumeId, Want,
};

use crate::runner::need::Need;
use crate::script::Language;
pub(crate) use sources::Known;
use sources::Sources;

/// The id of a task that has none yet.
const NOBODY: TaskId = TaskId { framework: FrameworkId(0), number: 0 };

/// A task that no master would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {name:?}: {why}")]
pub struct BadTask {
    /// Its label.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// What to run and under which quotas. A task that says nothing gets one core, 64 MiB of memory, no scratch
/// folder, no budget of fuel or time, and may write 1 MiB.
///
/// ```
/// # use haggle_sdk::{Digest, Task};
/// # use std::time::Duration;
/// # let module = Digest([0; 32]);
/// let task = Task::new(module)
///     .name("primes")
///     .args(["100000"])
///     .cpus("0.5")
///     .mem("32MiB")
///     .timeout(Duration::from_secs(30));
/// # task.check().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// All of it but the id, which is of nobody.
    spec: TaskSpec,
    /// What is to be fetched before it is launched.
    sources: Sources,
    /// What its agent must be, beside what its grants ask for.
    constraints: Vec<Constraint>,
    /// The first text that could not be read.
    unread: Option<String>,
}

impl Task {
    /// The processor time of a task that names none.
    pub const DEFAULT_CPUS: MilliCpu = MilliCpu::from_cores(1);
    /// The memory of a task that names none.
    pub const DEFAULT_MEM: Bytes = Bytes::from_mib(64);

    /// Runs this module, which must be in the artifact store: see [`Client::upload_module`](crate::Client::upload_module).
    pub fn new(module: Digest) -> Self {
        let spec = TaskSpec {
            id: NOBODY,
            name: "task".to_owned(),
            role: String::new(),
            module,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            resources: Resources::new(Self::DEFAULT_CPUS, Self::DEFAULT_MEM, Bytes::ZERO),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: Vec::new(),
            grants: Grants::default(),
            group: None,
            waited: None,
            trace: None,
        };
        Self { spec, sources: Sources::default(), constraints: Vec::new(), unread: None }
    }

    /// Runs a script: `runtime` is its language's interpreter, compiled to a WASI program, and `script` its content, both in
    /// the artifact store. The task finds it as `/script/NAME`, read-only, and what is given as an argument later is the
    /// script's. Everything else of a task holds as for any other.
    ///
    /// ```no_run
    /// # use haggle_sdk::{Client, Language, Task};
    /// # async fn task(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let python = client.upload_module("python.wasm").await?;
    /// let script = client.upload_bytes("import sys; print(sys.argv[1])").await?;
    /// let task = Task::script(Language::Python, python, "hello.py", script).arg("hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn script(language: Language, runtime: Digest, file_name: &str, script: Digest) -> Self {
        let path = Language::script_path(file_name);
        Self::new(runtime).name(file_name).args(language.flags().iter().copied()).arg(&path).input(path, script)
    }

    /// A label for people.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.name = name.into();
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.spec.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.spec.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment; one of the same name is replaced.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.spec.env.retain(|(known, _)| *known != name);
        self.spec.env.push((name, value.into()));
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.spec.stdin = stdin.into();
        self
    }

    /// Processor time, a ceiling and a share: `"0.5"` or a [`MilliCpu`].
    #[must_use]
    pub fn cpus(mut self, cpus: impl Amount<MilliCpu>) -> Self {
        self.spec.resources.cpus = self.read(cpus);
        self.spec.resources.revocable = MilliCpu::ZERO;
        self
    }

    /// The processor time that it has is revocable: what others hold and do not use. It runs while nothing else wants the processor,
    /// and ends as `GONE`, `PREEMPTED` when they want it back; a runner with retries runs it again.
    #[must_use]
    pub fn revocable(mut self, cpus: impl Amount<MilliCpu>) -> Self {
        self.spec.resources.revocable = self.read(cpus);
        self.spec.resources.cpus = MilliCpu::ZERO;
        self
    }

    /// Its share of processor time when there is contention, as a task of so many cpus has it. One that names none has
    /// that of its own cpus.
    #[must_use]
    pub fn weight(mut self, weight: impl Amount<MilliCpu>) -> Self {
        self.spec.sharing.weight = Some(self.read(weight));
        self
    }

    /// Processor time that it may use beyond its cpus while nobody else wants it. A task with a burst may have no cpus
    /// at all, and lives from what others leave.
    #[must_use]
    pub fn burst(mut self, burst: impl Amount<MilliCpu>) -> Self {
        self.spec.sharing.burst = self.read(burst);
        self
    }

    /// Memory, a hard limit: `"64MiB"` or [`Bytes`].
    #[must_use]
    pub fn mem(mut self, mem: impl Amount<Bytes>) -> Self {
        self.spec.resources.mem = self.read(mem);
        self
    }

    /// The size of its scratch folder, a hard limit: `"16MiB"` or [`Bytes`].
    #[must_use]
    pub fn disk(mut self, disk: impl Amount<Bytes>) -> Self {
        self.spec.resources.disk = self.read(disk);
        self
    }

    /// Everything it holds at once, with ports and named scalars.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.spec.resources = resources;
        self
    }

    /// So much of a resource of the operator's own making, as agents have it (`haggle agent --resources gpu=2`), in thousandths of
    /// one.
    #[must_use]
    pub fn scalar(mut self, name: &str, thousandths: u64) -> Self {
        self.spec.resources = std::mem::take(&mut self.spec.resources).with_scalar(name, thousandths);
        self
    }

    /// What its agent must be, by an attribute of that or by its name, `hostname`: `"zone=a"`, `"zone!=a"`, `"gpu"` (it has the
    /// attribute), `"!gpu"`, or a [`Constraint`]. A [`Runner`](crate::Runner) launches it nowhere else, and sees by itself to what is granted to the
    /// task: to agents that allow its folders and the network.
    #[must_use]
    pub fn constraint<C: TryInto<Constraint, Error: fmt::Display>>(mut self, constraint: C) -> Self {
        let constraint = constraint.try_into().map_err(|error| self.cannot_read(&error)).ok();
        self.constraints.extend(constraint);
        self
    }

    /// How many instructions it may execute.
    #[must_use]
    pub fn fuel(mut self, fuel: Fuel) -> Self {
        self.spec.limits.fuel = Some(fuel);
        self
    }

    /// How long it may run, by the clock on the wall.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.spec.limits.time = Some(time);
        self
    }

    /// How much it may write to standard output and standard error together: `"1MiB"` or [`Bytes`].
    #[must_use]
    pub fn output_limit(mut self, output: impl Amount<Bytes>) -> Self {
        self.spec.limits.output = self.read(output);
        self
    }

    /// Drops what it writes beyond its output limit, instead of ending it there.
    #[must_use]
    pub fn truncate_output(mut self) -> Self {
        self.spec.limits.output_overrun = OutputOverrun::Truncate;
        self
    }

    /// A file it may read at `guest_path`, whose content is in the artifact store. Below `/scratch/` it is a copy that
    /// the task may change, and needs some disk.
    #[must_use]
    pub fn input(mut self, guest_path: impl Into<String>, content: Digest) -> Self {
        self.spec.inputs.push(Input { guest_path: guest_path.into(), content });
        self
    }

    /// A folder of its scratch folder, which it also finds open under a name of its own: `scratch` is the path below
    /// `/scratch`. It may write there, and needs some disk.
    #[must_use]
    pub fn folder(self, guest_path: impl Into<String>, scratch: impl Into<String>) -> Self {
        self.granted(guest_path, FolderSource::Scratch(scratch.into()))
    }

    /// A folder of the agent's machine, by its absolute path there, to read only. The agent's operator must allow it.
    #[must_use]
    pub fn host_folder(self, guest_path: impl Into<String>, host_path: impl Into<String>) -> Self {
        self.granted(guest_path, FolderSource::Host(host_path.into()))
    }

    /// A volume that it mounts, and whether it may change what is in it. It waits for an offer of that volume, which is made to its
    /// role and those below it; nobody writes one that is shared.
    #[must_use]
    pub fn volume(self, guest_path: impl Into<String>, volume: VolumeId, writable: bool) -> Self {
        self.granted(guest_path, FolderSource::Volume { volume, writable })
    }

    fn granted(mut self, guest_path: impl Into<String>, source: FolderSource) -> Self {
        self.spec.grants.folders.push(Folder { guest_path: guest_path.into(), source });
        self
    }

    /// A port of a host that it may connect to over TCP and send to over UDP: `"db.example:5432"`. The agent's operator
    /// must allow networking.
    #[must_use]
    pub fn allow_net(mut self, endpoint: &str) -> Self {
        let endpoint = endpoint.parse::<Endpoint>().map_err(|error| self.cannot_read(&error)).ok();
        self.spec.grants.net.extend(endpoint);
        self
    }

    /// A host that it may send HTTP requests to: `"api.example"` for ports 80 and 443, or `"api.example:8080"`. The
    /// agent's operator must allow networking.
    #[must_use]
    pub fn allow_http(mut self, host: &str) -> Self {
        let host = host.parse::<HttpHost>().map_err(|error| self.cannot_read(&error)).ok();
        self.spec.grants.http.extend(host);
        self
    }

    /// Tells it nothing of the cluster: its environment is what was named here and nothing else.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.spec.grants.anonymous = true;
        self
    }

    /// A part of this span, unless its environment names another already or nothing may be added to that.
    #[must_use]
    pub fn called_by(mut self, caller: TraceContext) -> Self {
        if !self.is_anonymous() && !self.spec.env.iter().any(|(name, _)| name == TRACEPARENT) {
            caller.set_in(&mut self.spec.env);
        }
        self
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.spec.grants.anonymous
    }

    /// Its label.
    pub fn label(&self) -> &str {
        &self.spec.name
    }

    /// What it holds.
    pub fn wants(&self) -> &Resources {
        &self.spec.resources
    }

    /// Whether an agent is and allows what it needs, be it large enough or not.
    ///
    /// # Errors
    /// The first constraint that the agent does not meet.
    pub fn suits(&self, agent: &AgentInfo) -> Result<(), Constraint> {
        self.need().suits(agent.traits()).map_err(Clone::clone)
    }

    /// What a framework [says](crate::Framework::demand) when so many of these wait: what each holds, what its agent must be, and
    /// which volumes it mounts.
    pub fn want(&self, waiting: u32) -> Want {
        self.need().want(waiting, 0)
    }

    /// What it needs of an agent. Of more constraints than can be asked for at once, those of its grants are left to the agents.
    pub(crate) fn need(&self) -> Need {
        let mut constraints = self.constraints.clone();
        for granted in Constraint::of_grants(&self.spec.grants) {
            if constraints.len() < Want::CONSTRAINTS_MAX && !constraints.contains(&granted) {
                constraints.push(granted);
            }
        }
        Need { resources: self.spec.resources.clone(), constraints, volumes: self.spec.volumes() }
    }

    /// Whether it could run at all, given an agent that is large enough.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), BadTask> {
        let bad = |why: &dyn fmt::Display| BadTask { name: self.spec.name.clone(), why: why.to_string() };
        if let Some(unread) = &self.unread {
            return Err(bad(unread));
        }
        if let Some(source) = self.sources.first() {
            return Err(bad(&format_args!("{source} is not fetched yet: Client::resolve has that done")));
        }
        let (has, max) = (self.constraints.len(), Want::CONSTRAINTS_MAX);
        if has > max {
            return Err(bad(&format_args!("{has} constraints, at most {max} are taken")));
        }
        self.spec.check().map_err(|invalid| bad(&invalid))
    }

    /// The task under its name in the cluster. What is still at a [source](Self::from_source) is not in it.
    pub fn spec(&self, id: TaskId) -> TaskSpec {
        TaskSpec { id, ..self.spec.clone() }
    }

    /// About the bytes it takes on the wire.
    pub(crate) fn size(&self) -> usize {
        wire_size(&self.spec)
    }

    fn read<T: Default>(&mut self, amount: impl Amount<T>) -> T {
        amount.read().unwrap_or_else(|error| {
            self.cannot_read(&error);
            T::default()
        })
    }

    fn cannot_read(&mut self, error: &dyn fmt::Display) {
        self.unread.get_or_insert_with(|| error.to_string());
    }
}

/// About the bytes that a spec takes on the wire.
pub(crate) fn wire_size(spec: &TaskSpec) -> usize {
    /// Ids, digest, resources, limits and times.
    const FIXED: usize = 176;
    /// Tags and lengths of one field with content.
    const FRAME: usize = 12;
    let args = spec.args.iter().map(|arg| arg.len() + FRAME);
    let env = spec.env.iter().map(|(name, value)| name.len() + value.len() + 2 * FRAME);
    let inputs = spec.inputs.iter().map(|input| input.guest_path.len() + input.content.0.len() + 2 * FRAME);
    let folder = |Folder { guest_path, source }: &Folder| {
        let source = match source {
            FolderSource::Scratch(path) | FolderSource::Host(path) => path.len(),
            FolderSource::Volume { .. } => 2 * FRAME,
        };
        guest_path.len() + source + 3 * FRAME
    };
    let folders = spec.grants.folders.iter().map(folder);
    let hosts = spec.grants.net.iter().map(|endpoint| &endpoint.host);
    let hosts = hosts.chain(spec.grants.http.iter().map(|http| &http.host)).map(|host| host.len() + 2 * FRAME);
    let grants = folders.chain(hosts);
    FIXED + spec.name.len() + spec.stdin.len() + args.chain(env).chain(inputs).chain(grants).sum::<usize>()
}

/// An amount, or a text that says one. A text that does not is told of when the task is submitted.
pub trait Amount<T> {
    /// The amount.
    ///
    /// # Errors
    /// When the text is none.
    fn read(self) -> Result<T, NotAnAmount>;
}

impl Amount<MilliCpu> for MilliCpu {
    fn read(self) -> Result<MilliCpu, NotAnAmount> {
        Ok(self)
    }
}

impl Amount<Bytes> for Bytes {
    fn read(self) -> Result<Bytes, NotAnAmount> {
        Ok(self)
    }
}

impl<T: std::str::FromStr<Err = NotAnAmount>> Amount<T> for &str {
    fn read(self) -> Result<T, NotAnAmount> {
        self.parse()
    }
}

#[cfg(test)]
mod tests;
