//! Hostile guests as rows of a table, and one executor to run them on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use haggle_core::{
    Bytes, Digest, Ending, FrameworkId, Fuel, Grants, Limits, MilliCpu, OutputOverrun, Reason, Resources, Sharing,
    TaskId, TaskSpec, TaskState, Usage,
};
use haggle_executor::inputs::{LaidOut, lay_out};
use haggle_executor::{CompileLimits, Compiler, CompilerConfig, Config, Event, Executor, Launch, Meter, Wanted};
use haggle_kit::binary;
use tempfile::TempDir;

/// Longer than any guest takes on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

/// A guest that nothing ends but its time limit is ended within this much of it, however busy the machine is: one call
/// of the host that takes a second of processor time takes many on a machine that has others to serve.
const LATE_AT_MOST: Duration = Duration::from_secs(30);

/// One test for each row, and all rows together.
macro_rules! hostile {
    ($($(#[$doc:meta])* $name:ident: $guest:expr => $ends:expr;)*) => {
        $($(#[$doc])* #[test] fn $name() { crate::kit::hold(&$guest, &$ends); })*

        pub(crate) fn all() -> Vec<(&'static str, crate::kit::Guest, crate::kit::Ends)> {
            vec![$((stringify!($name), $guest, $ends)),*]
        }
    };
}
pub(crate) use hostile;

/// What is run, and with which quotas.
pub(crate) struct Guest {
    pub(crate) module: Vec<u8>,
    pub(crate) spec: TaskSpec,
    /// Whether it has a file to read.
    pub(crate) inputs: bool,
}

/// A core module with this body, which may use what is in [`PRELUDE`]. It has 16 MiB, of which one page is there
/// at the start, a whole core, no disk, and nothing that ends it but the default output limit.
pub(crate) fn wat(body: &str) -> Guest {
    bare(&format!("(module {PRELUDE} {body})"))
}

/// A command that does this.
pub(crate) fn start(code: &str) -> Guest {
    wat(&format!(r#"(memory (export "memory") 1) (func (export "_start") (local $i i32) (local $fd i32) {code})"#))
}

/// A command that does this for ever.
pub(crate) fn for_ever(code: &str) -> Guest {
    start(&format!("(loop $for_ever {code} (br $for_ever))"))
}

/// A whole module or component in text.
pub(crate) fn bare(text: &str) -> Guest {
    bytes(::wat::parse_str(text).unwrap())
}

/// Any bytes at all.
pub(crate) fn bytes(module: Vec<u8>) -> Guest {
    let spec = TaskSpec {
        id: TaskId { framework: FrameworkId(1), number: 0 },
        name: "guest".to_owned(),
        role: String::new(),
        module: Digest([0; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(16), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    };
    Guest { module, spec, inputs: false }
}

impl Guest {
    pub(crate) fn fuel(mut self, fuel: u64) -> Self {
        self.spec.limits.fuel = Some(Fuel::new(fuel));
        self
    }

    pub(crate) fn millis(mut self, millis: u64) -> Self {
        self.spec.limits.time = Some(Duration::from_millis(millis));
        self
    }

    pub(crate) fn milli_cpus(mut self, cpus: u64) -> Self {
        self.spec.resources.cpus = MilliCpu::new(cpus);
        self
    }

    pub(crate) fn mem(mut self, mem: Bytes) -> Self {
        self.spec.resources.mem = mem;
        self
    }

    pub(crate) fn disk(mut self, disk: Bytes) -> Self {
        self.spec.resources.disk = disk;
        self
    }

    pub(crate) fn output(mut self, output: Bytes) -> Self {
        self.spec.limits.output = output;
        self
    }

    /// What is too much of its output is dropped.
    pub(crate) fn truncates(mut self) -> Self {
        self.spec.limits.output_overrun = OutputOverrun::Truncate;
        self
    }

    pub(crate) fn stdin(mut self, bytes: usize) -> Self {
        self.spec.stdin = vec![b'x'; bytes];
        self
    }

    pub(crate) fn args(mut self, count: usize, length: usize) -> Self {
        self.spec.args = vec!["x".repeat(length); count];
        self
    }

    pub(crate) fn env(mut self, count: usize, length: usize) -> Self {
        self.spec.env = (0..count).map(|number| (format!("V{number}"), "x".repeat(length))).collect();
        self
    }

    /// With a file to read: `/data/a.txt`, in descriptor 3, or 5 beside a scratch folder.
    pub(crate) fn inputs(mut self) -> Self {
        self.inputs = true;
        self
    }

    /// The same guest as a component of WASI 0.2.
    pub(crate) fn component(mut self) -> Self {
        let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
        self.module = wit_component::ComponentEncoder::default()
            .module(&self.module)
            .unwrap()
            .adapter("wasi_snapshot_preview1", adapter)
            .unwrap()
            .encode()
            .unwrap();
        self
    }
}

/// How a task has to end.
#[derive(Debug)]
pub(crate) struct Ends {
    verdict: (TaskState, Option<Reason>),
    code: Option<i32>,
    /// What the message has to contain.
    says: &'static str,
}

fn failed(reason: Reason, says: &'static str) -> Ends {
    Ends { verdict: (TaskState::Failed, Some(reason)), code: None, says }
}

/// The guest had to live with what it was refused.
pub(crate) fn finished() -> Ends {
    Ends { verdict: (TaskState::Finished, None), code: Some(0), says: "" }
}

pub(crate) fn exit(code: i32) -> Ends {
    Ends { code: Some(code), ..failed(Reason::Exit, "exited with code") }
}

pub(crate) fn trap(says: &'static str) -> Ends {
    failed(Reason::Trap, says)
}

pub(crate) fn invalid(says: &'static str) -> Ends {
    failed(Reason::ModuleInvalid, says)
}

pub(crate) fn out_of_fuel() -> Ends {
    failed(Reason::FuelExhausted, "all it was given")
}

pub(crate) fn out_of_time() -> Ends {
    failed(Reason::TimeLimit, "is limited to")
}

pub(crate) fn out_of_memory() -> Ends {
    failed(Reason::MemoryLimit, "memory, is limited to")
}

/// What it threw is still there.
pub(crate) fn out_of_exceptions() -> Ends {
    failed(Reason::MemoryLimit, "of exceptions that it threw")
}

/// It took something that its host cannot refuse.
pub(crate) fn too_many_resources() -> Ends {
    failed(Reason::MemoryLimit, "open files, streams and the like at once")
}

pub(crate) fn out_of_disk() -> Ends {
    failed(Reason::DiskLimit, "is limited to")
}

pub(crate) fn out_of_output() -> Ends {
    failed(Reason::OutputLimit, "of output, is limited to")
}

/// An executor with two workers and a folder of its own, and a compiler in front of it.
pub(crate) struct Bench {
    executor: Executor,
    compiler: Compiler,
    /// Where the ends of tasks go that never come to the executor.
    ends: Sender<Event>,
    events: Receiver<Event>,
    dir: TempDir,
    launched: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::compiling_within(CompileLimits::default())
    }

    /// With these limits for the compilation of one module.
    pub(crate) fn compiling_within(limits: CompileLimits) -> Self {
        Self::compiling_by(binary("haggle"), limits)
    }

    /// Compilers are started by this program.
    pub(crate) fn compiling_by(program: PathBuf, limits: CompileLimits) -> Self {
        let dir = TempDir::new().unwrap();
        let (sender, events) = channel();
        let ends = sender.clone();
        let compiler = CompilerConfig { limits, ..CompilerConfig::new(program, dir.path().join("cache")) };
        let config = Config {
            workers: 2,
            scratch_dir: dir.path().join("scratch"),
            max_tasks: 512,
            meter: Meter::Fuel,
            allow_network: true,
            idle_only: false,
        };
        let executor = Executor::start(config, move |event| {
            // Nobody reads what they write. The bench may be gone before the last event.
            if !matches!(event, Event::Output { .. }) {
                let _ = sender.send(event);
            }
        });
        std::fs::write(dir.path().join("input"), "to be read").unwrap();
        let (executor, compiler) = (executor.unwrap(), Compiler::start(compiler).unwrap());
        Self { executor, compiler, ends, events, dir, launched: 0 }
    }

    pub(crate) fn launch(&mut self, guest: &Guest) -> TaskId {
        self.launched += 1;
        let mut spec = guest.spec.clone();
        spec.id.number = self.launched;
        // The executor takes the name of a module for granted.
        spec.module.0[..8].copy_from_slice(&self.launched.to_le_bytes());
        let id = spec.id;
        let wasm = self.dir.path().join(format!("module-{}", self.launched));
        std::fs::write(&wasm, &guest.module).unwrap();
        let inputs = if guest.inputs { vec![("/data/a.txt".to_owned(), self.input())] } else { Vec::new() };
        let LaidOut { folders, copies } = lay_out(&self.dir.path().join(format!("inputs/{id}")), &inputs).unwrap();
        let (executor, ends, meter) = (self.executor.clone(), self.ends.clone(), Meter::Fuel);
        let TaskSpec { id: TaskId { framework, .. }, module, resources: Resources { cpus: share, .. }, .. } = spec;
        let wanted = Wanted { framework, module, path: wasm, meter, share };
        self.compiler.compile(wanted, move |compiled| match compiled {
            Ok(module) => {
                executor.launch(Launch {
                    spec: Arc::new(spec),
                    module,
                    meter,
                    folders,
                    volumes: Vec::new(),
                    copies,
                    env: Vec::new(),
                });
            }
            Err(error) => {
                let ending = Ending {
                    state: TaskState::Failed,
                    reason: Some(error.reason()),
                    message: error.to_string(),
                    exit_code: None,
                    exceeded: None,
                    usage: Usage::default(),
                };
                let _ = ends.send(Event::Ended { task: id, ending });
            }
        });
        id
    }

    /// The host's file behind `/data/a.txt`.
    pub(crate) fn input(&self) -> PathBuf {
        self.dir.path().join("input")
    }

    /// The next task that ends, and how.
    pub(crate) fn ended(&self) -> (TaskId, Ending) {
        loop {
            if let Event::Ended { task, ending } = self.events.recv_timeout(PATIENCE).expect("every task ends") {
                return (task, ending);
            }
        }
    }

    pub(crate) fn run(&mut self, guest: &Guest) -> Ending {
        self.launch(guest);
        self.ended().1
    }

    /// Nothing of any guest is left, and the host's own file is what it was.
    pub(crate) fn assert_clean(&self) {
        let left = std::fs::read_dir(self.dir.path().join("scratch")).unwrap().count();
        assert_eq!(left, 0, "scratch folders are gone with their tasks");
        assert_eq!(std::fs::read_to_string(self.input()).unwrap(), "to be read");
    }
}

/// Runs one guest alone: it ends as it has to, within its quotas, and an honest task runs after it.
pub(crate) fn hold(guest: &Guest, ends: &Ends) {
    let mut bench = Bench::new();

    let ending = bench.run(guest);

    check("it", guest, &ending, ends);
    bench.assert_clean();
    check("an honest task after it", &start(""), &bench.run(&start("")), &finished());
}

/// The ending is the one that was wanted, and no quota was exceeded on the way.
pub(crate) fn check(name: &str, guest: &Guest, ending: &Ending, ends: &Ends) {
    let told = format!("{name} ended with {ending:?}");
    assert_eq!((ending.state, ending.reason), ends.verdict, "{told}");
    assert!(ending.message.contains(ends.says), "{told}, which should say {:?}", ends.says);
    if ends.code.is_some() {
        assert_eq!(ending.exit_code, ends.code, "{told}");
    }
    let Ending { usage, .. } = ending;
    // A task that holds too much from the start says so by its peak.
    assert!(usage.peak_mem <= guest.spec.resources.mem || usage.fuel.is_zero(), "{told}");
    assert!(usage.peak_disk <= guest.spec.resources.disk, "{told}");
    assert!(usage.output <= guest.spec.limits.output, "{told}");
    assert!(guest.spec.limits.fuel.is_none_or(|fuel| usage.fuel <= fuel), "{told}");
    assert!(guest.spec.limits.time.is_none_or(|time| usage.wall <= time + LATE_AT_MOST), "{told}");
}

/// What every guest can call, and a few helpers. Bytes 0 to 255 of the memory are theirs; byte 256 on is text.
const PRELUDE: &str = include_str!("prelude.wat");
