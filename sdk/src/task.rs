//! What to run: a task, before it has a name in the cluster.

use std::fmt;
use std::time::Duration;

use haggle_core::quantity::NotAnAmount;
use haggle_core::{
    Bytes, Digest, FrameworkId, Fuel, Grants, Input, Limits, MilliCpu, Resources, Sharing, TaskId, TaskSpec,
};

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
    unread: Option<NotAnAmount>,
}

impl Task {
    /// The processor time of a task that names none.
    pub const DEFAULT_CPUS: MilliCpu = MilliCpu::from_cores(1);
    /// The memory of a task that names none.
    pub const DEFAULT_MEM: Bytes = Bytes::from_mib(64);

    /// Runs this module, which must be in the artifact store: see [`Client::upload`](crate::Client::upload).
    pub fn new(module: Digest) -> Self {
        let spec = TaskSpec {
            id: NOBODY,
            name: "task".to_owned(),
            module,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            resources: Resources::new(Self::DEFAULT_CPUS, Self::DEFAULT_MEM, Bytes::ZERO),
            sharing: Sharing::default(),
            limits: Limits::default(),
            inputs: Vec::new(),
            grants: Grants::default(),
        };
        Self { spec, unread: None }
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

    /// A file it may read at `guest_path`, whose content is in the artifact store.
    #[must_use]
    pub fn input(mut self, guest_path: impl Into<String>, content: Digest) -> Self {
        self.spec.inputs.push(Input { guest_path: guest_path.into(), content });
        self
    }

    /// Its label.
    pub fn label(&self) -> &str {
        &self.spec.name
    }

    /// What it holds.
    pub fn wants(&self) -> &Resources {
        &self.spec.resources
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
        self.spec.check().map_err(|invalid| bad(&invalid))
    }

    /// The task under its name in the cluster.
    pub fn spec(&self, id: TaskId) -> TaskSpec {
        TaskSpec { id, ..self.spec.clone() }
    }

    /// About the bytes it takes on the wire.
    pub(crate) fn size(&self) -> usize {
        wire_size(&self.spec)
    }

    fn read<T: Default>(&mut self, amount: impl Amount<T>) -> T {
        amount.read().unwrap_or_else(|error| {
            self.unread.get_or_insert(error);
            T::default()
        })
    }
}

/// About the bytes that a spec takes on the wire.
pub(crate) fn wire_size(spec: &TaskSpec) -> usize {
    /// Ids, digest, resources and limits.
    const FIXED: usize = 160;
    /// Tags and lengths of one field with content.
    const FRAME: usize = 12;
    let args = spec.args.iter().map(|arg| arg.len() + FRAME);
    let env = spec.env.iter().map(|(name, value)| name.len() + value.len() + 2 * FRAME);
    let inputs = spec.inputs.iter().map(|input| input.guest_path.len() + input.content.0.len() + 2 * FRAME);
    FIXED + spec.name.len() + spec.stdin.len() + args.chain(env).chain(inputs).sum::<usize>()
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
mod tests {
    use super::*;

    fn task() -> Task {
        Task::new(Digest([7; 32])).name("t")
    }

    fn why(task: &Task) -> String {
        task.check().expect_err("the task is wrong").to_string()
    }

    #[test]
    fn everything_that_was_said_ends_up_in_the_spec() {
        let id = TaskId { framework: FrameworkId(3), number: 7 };

        let spec = task()
            .args(["a", "b"])
            .arg("c")
            .env("K", "old")
            .env("K", "new")
            .stdin("in")
            .cpus("0.25")
            .mem("16MiB")
            .disk(Bytes::from_mib(2))
            .fuel(Fuel::new(9))
            .timeout(Duration::from_secs(1))
            .output_limit("4KiB")
            .input("/data/x", Digest([1; 32]))
            .spec(id);

        assert_eq!(spec.id, id);
        assert_eq!(spec.args, ["a", "b", "c"]);
        assert_eq!(spec.env, [("K".to_owned(), "new".to_owned())]);
        assert_eq!(spec.stdin, b"in");
        assert_eq!(spec.resources, Resources::new(MilliCpu::new(250), Bytes::from_mib(16), Bytes::from_mib(2)));
        assert_eq!(
            spec.limits,
            Limits {
                fuel: Some(Fuel::new(9)),
                time: Some(Duration::from_secs(1)),
                output: Bytes::from_kib(4),
                ..Limits::default()
            }
        );
        assert_eq!(spec.inputs, [Input { guest_path: "/data/x".to_owned(), content: Digest([1; 32]) }]);
    }

    #[test]
    fn a_text_that_is_no_amount_is_told_of_by_check() {
        assert_eq!(
            why(&task().cpus("half")),
            r#"task "t": "half" is not a number of cores like 2 or 0.25, in thousandths at the finest"#
        );
    }

    #[test]
    fn what_no_master_would_take_is_refused_here() {
        assert!(why(&task().cpus("0")).starts_with("task \"t\": a task needs some cpus"));
        assert!(why(&task().mem("0")).contains("some mem"));
        assert!(why(&task().timeout(Duration::ZERO)).contains("time limit of zero"));
        assert!(why(&task().input("data", Digest([0; 32]))).contains("not absolute"));
    }
}
