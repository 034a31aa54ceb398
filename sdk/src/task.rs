//! What to run: a task, before it has a name in the cluster.

use std::time::Duration;

use haggle_core::quantity::NotAnAmount;
use haggle_core::{Bytes, Digest, Fuel, Input, Limits, MilliCpu, Resources, TaskId, TaskSpec};
use haggle_proto::MESSAGE_MAX;

/// The largest task that can be sent: a launch takes its message for itself and leaves room for its frame.
const SIZE_MAX: usize = MESSAGE_MAX / 4;

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
    name: String,
    module: Digest,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    resources: Resources,
    limits: Limits,
    inputs: Vec<Input>,
    unread: Option<NotAnAmount>,
}

impl Task {
    /// The processor time of a task that names none.
    pub const DEFAULT_CPUS: MilliCpu = MilliCpu::from_cores(1);
    /// The memory of a task that names none.
    pub const DEFAULT_MEM: Bytes = Bytes::from_mib(64);

    /// Runs this module, which must be in the artifact store: see [`Client::upload`](crate::Client::upload).
    pub fn new(module: Digest) -> Self {
        Self {
            name: "task".to_owned(),
            module,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            resources: Resources::new(Self::DEFAULT_CPUS, Self::DEFAULT_MEM, Bytes::ZERO),
            limits: Limits::default(),
            inputs: Vec::new(),
            unread: None,
        }
    }

    /// A label for people.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment; one of the same name is replaced.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value.into()));
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Processor time, a ceiling and a share: `"0.5"` or a [`MilliCpu`].
    #[must_use]
    pub fn cpus(mut self, cpus: impl Amount<MilliCpu>) -> Self {
        self.resources.cpus = self.read(cpus);
        self
    }

    /// Memory, a hard limit: `"64MiB"` or [`Bytes`].
    #[must_use]
    pub fn mem(mut self, mem: impl Amount<Bytes>) -> Self {
        self.resources.mem = self.read(mem);
        self
    }

    /// The size of its scratch folder, a hard limit: `"16MiB"` or [`Bytes`].
    #[must_use]
    pub fn disk(mut self, disk: impl Amount<Bytes>) -> Self {
        self.resources.disk = self.read(disk);
        self
    }

    /// Everything it holds at once, with ports and named scalars.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// How many instructions it may execute.
    #[must_use]
    pub fn fuel(mut self, fuel: Fuel) -> Self {
        self.limits.fuel = Some(fuel);
        self
    }

    /// How long it may run, by the clock on the wall.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.limits.time = Some(time);
        self
    }

    /// How much it may write to standard output and standard error together: `"1MiB"` or [`Bytes`].
    #[must_use]
    pub fn output_limit(mut self, output: impl Amount<Bytes>) -> Self {
        self.limits.output = self.read(output);
        self
    }

    /// A file it may read at `guest_path`, whose content is in the artifact store.
    #[must_use]
    pub fn input(mut self, guest_path: impl Into<String>, content: Digest) -> Self {
        self.inputs.push(Input { guest_path: guest_path.into(), content });
        self
    }

    /// Its label.
    pub fn label(&self) -> &str {
        &self.name
    }

    /// What it holds.
    pub fn wants(&self) -> &Resources {
        &self.resources
    }

    /// Whether it can be sent at all.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), BadTask> {
        self.fault().map_or(Ok(()), |why| Err(BadTask { name: self.name.clone(), why }))
    }

    /// The task under its name in the cluster.
    pub fn spec(&self, id: TaskId) -> TaskSpec {
        TaskSpec {
            id,
            name: self.name.clone(),
            module: self.module,
            args: self.args.clone(),
            env: self.env.clone(),
            stdin: self.stdin.clone(),
            resources: self.resources.clone(),
            limits: self.limits.clone(),
            inputs: self.inputs.clone(),
        }
    }

    /// About the bytes it takes on the wire.
    pub(crate) fn size(&self) -> usize {
        parts_size(&self.name, &self.args, &self.env, &self.stdin, &self.inputs)
    }

    fn read<T: Default>(&mut self, amount: impl Amount<T>) -> T {
        amount.read().unwrap_or_else(|error| {
            self.unread.get_or_insert(error);
            T::default()
        })
    }

    fn fault(&self) -> Option<String> {
        if let Some(unread) = &self.unread {
            return Some(unread.to_string());
        }
        if self.resources.cpus.is_zero() {
            return Some("wants 0.000 cpu, must be at least 0.001 cpu".to_owned());
        }
        if self.resources.mem.is_zero() {
            return Some("wants 0 B of memory, must be more than none".to_owned());
        }
        if self.limits.fuel.is_some_and(Fuel::is_zero) {
            return Some("has 0 fuel, must be more than none".to_owned());
        }
        if self.limits.time.is_some_and(|time| time.is_zero()) {
            return Some("has no time to run, must be more than none".to_owned());
        }
        let odd_name = |name: &str| name.is_empty() || name.contains(['=', '\0']);
        if let Some((name, _)) = self.env.iter().find(|(name, value)| odd_name(name) || value.contains('\0')) {
            return Some(format!("the variable {name:?} must have a name without '=', and no zero byte"));
        }
        if let Some(arg) = self.args.iter().find(|arg| arg.contains('\0')) {
            return Some(format!("the argument {arg:?} has a zero byte"));
        }
        if let Some(input) = self.inputs.iter().find(|input| !is_plain_path(&input.guest_path)) {
            return Some(format!("the input path {:?} must be absolute, without '.' or '..'", input.guest_path));
        }
        let size = self.size();
        (size > SIZE_MAX).then(|| {
            format!(
                "arguments, environment and standard input are {}, at most {} can be sent; larger input belongs \
                 in a file",
                Bytes::new(size as u64),
                Bytes::new(SIZE_MAX as u64)
            )
        })
    }
}

/// About the bytes that a spec takes on the wire.
pub(crate) fn wire_size(spec: &TaskSpec) -> usize {
    parts_size(&spec.name, &spec.args, &spec.env, &spec.stdin, &spec.inputs)
}

fn parts_size(name: &str, args: &[String], env: &[(String, String)], stdin: &[u8], inputs: &[Input]) -> usize {
    /// Ids, digest, resources and limits.
    const FIXED: usize = 160;
    /// Tags and lengths of one field with content.
    const FRAME: usize = 12;
    FIXED
        + name.len()
        + stdin.len()
        + args.iter().map(|arg| arg.len() + FRAME).sum::<usize>()
        + env.iter().map(|(name, value)| name.len() + value.len() + 2 * FRAME).sum::<usize>()
        + inputs.iter().map(|input| input.guest_path.len() + 32 + 2 * FRAME).sum::<usize>()
}

fn is_plain_path(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0')))
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
    use haggle_core::FrameworkId;

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
            Limits { fuel: Some(Fuel::new(9)), time: Some(Duration::from_secs(1)), output: Bytes::from_kib(4) }
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
        assert!(why(&task().cpus("0")).contains("at least 0.001 cpu"));
        assert!(why(&task().mem("0")).contains("memory"));
        assert!(why(&task().fuel(Fuel::ZERO)).contains("0 fuel"));
        assert!(why(&task().timeout(Duration::ZERO)).contains("time"));
        assert!(why(&task().env("A=B", "c")).contains("without '='"));
        assert!(why(&task().input("data", Digest([0; 32]))).contains("absolute"));
        assert!(why(&task().input("/a/../b", Digest([0; 32]))).contains("absolute"));
        assert!(why(&task().stdin(vec![0; SIZE_MAX])).contains("can be sent"));
    }
}
