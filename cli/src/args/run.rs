//! What can be typed after `run`, `build` and `inspect`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use haggle_core::cluster::FrameworkInfo;
use haggle_core::{Bytes, Constraint, Endpoint, Fuel, HttpHost, MilliCpu, OutputOverrun};

use super::otlp::OtlpArgs;
use super::runtime::ScriptArgs;
use super::values::{self, Mount, OpenFolder};
use crate::completions;

/// What a task holds of memory when it names nothing: plenty for a Rust or C program, and sixteen fit in a GiB.
pub(crate) const DEFAULT_MEM: &str = "64MiB";

/// The most tasks of one array: each costs this command a few hundred bytes, and its table would say no more.
const INSTANCES_MAX: i64 = 1_000_000;

/// What still fails after this many attempts will fail again.
const RETRIES_MAX: i64 = 1000;

/// Run a task, or an array of them, and wait for the end
///
/// Without --master (or HAGGLE_MASTER) a cluster of one master and one agent is brought up inside this process, and
/// is gone afterwards. The task's output is this command's output, its exit code this command's exit code.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit codes:
  0-255  the task's own
  134    it trapped
  124    it reached --timeout
  137    it reached any other quota, or was killed
  125    the cluster was at fault, or what the command line names is not there
  130    Ctrl-C: the tasks were ended first
  2      the command line cannot be read
With --instances: 0 when every task finished, else the code of the first that did not, by index; with --gang, of
those that were not ended for another one's sake.

What a task of an array (--instances) or of a cluster (--master) is told, unless it is --anonymous:
  HAGGLE_TASK_INDEX, HAGGLE_TASK_COUNT     which of how many it is, from 0
  HAGGLE_GANG_SIZE                         with --gang: how many started together
  HAGGLE_TASK_ID, HAGGLE_AGENT             its id, and the name of the agent that runs it

What a task may touch: nothing, but for what is named.
  --input /data=./texts       reads these files of this machine; cannot change them
  --disk 64MiB                writes to an empty folder of its own, /scratch, which is gone when the task is
  --dir ./work::/work         finds a copy of ./work in there, open as /work, and may change the copy. ./work stays
                              as it is: what shall be kept goes to standard output
  --volume volume-1.3:/data   reads and writes a volume, which is there for the next task (`haggle volume`); with :ro
                              at the end it only reads
  --host-dir /srv::/srv       reads a folder of the agent's machine, where the agent's operator allows it
  --allow-net db:5432         connects there; --allow-http api.example sends requests there. Everything else on the
                              network stays out of reach, this machine's own ports included

Examples:
  haggle run hello.wat
  haggle run ./wordcount --input /data=./texts -- /data/one.txt
  haggle run spinner.wasm --cpus 0.25 --timeout 5s
  haggle run primes.wasm --fuel 1000000000 --mem 16MiB
  haggle run primes.wasm --cpus 0.1 --burst 2           # whatever is idle, and at least a tenth of a core
  haggle run chatty.wasm --output-limit 10KiB:truncate -- 100000
  haggle run app.wasm --dir .::/ --allow-http api.example
  haggle run primes.wasm --instances 100 --retries 2
  haggle run solver.wasm --instances 8 --gang           # all eight at once, or none
  haggle run index.wasm --revocable --retries 100       # on what others leave unused, again when that is wanted back
  haggle run train.wasm --constraint zone=a --resources gpu=1
  haggle run oci://registry.example/team/app:1.0        # the master fetches it; without one, this command does
  echo hello | haggle run upper.wasm --stdin -
  haggle run primes.wasm --instances 8 --json | jq .usage.cpu_seconds

Scripts, whose interpreter is fetched once (`haggle runtime ls`); the task finds them below /script:
  haggle run job.py --mem 128MiB -- --verbose
  haggle run -c 'print(6 * 7)' --runtime python
  echo 'console.log(6 * 7)' | haggle run - --runtime javascript
  haggle run job.py --with ./packages --requirements requirements.txt")]
pub(crate) struct RunArgs {
    /// A .wasm or .wat file, a script (.py, .js, or with a #! line), - for a script on standard input, the folder of a cargo
    /// package, sha256:DIGEST of a module that the master has, or where it is to fetch one from: oci://registry/name:tag,
    /// s3://bucket/key or https://host/path
    #[arg(value_name = "MODULE", required_unless_present = "code", value_hint = ValueHint::AnyPath)]
    pub(crate) module: Option<String>,
    /// Arguments for the task
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,

    #[command(flatten)]
    pub(crate) script: ScriptArgs,

    /// Processor cores: a share and a ceiling [default: 1, or all of the largest agent when that has less]
    #[arg(long, value_name = "N", help_heading = "Quotas", value_parser = values::cpus_or_none)]
    pub(crate) cpus: Option<MilliCpu>,
    /// Its --cpus are revocable: what other tasks hold and do not use. It runs while nothing else wants the processor, and ends
    /// as GONE, PREEMPTED when they want it back; --retries runs it again
    #[arg(long, help_heading = "Quotas")]
    pub(crate) revocable: bool,
    /// Share beside other tasks of its framework that want the same processor, as one of N cpus has it [default: its --cpus]
    #[arg(long, value_name = "N", help_heading = "Quotas", value_parser = values::share)]
    pub(crate) weight: Option<MilliCpu>,
    /// Idle processor cores that it may use beyond its --cpus, which may then be 0
    #[arg(long, value_name = "N", help_heading = "Quotas", default_value = "0", value_parser = values::cpus_or_none)]
    pub(crate) burst: MilliCpu,
    /// Memory
    #[arg(long, value_name = "SIZE", help_heading = "Quotas", default_value = DEFAULT_MEM, value_parser = values::positive_size)]
    pub(crate) mem: Bytes,
    /// Room in a scratch folder [default: none; with --dir, 64MiB more than the copies take]
    #[arg(long, value_name = "SIZE", help_heading = "Quotas", value_parser = values::size)]
    pub(crate) disk: Option<Bytes>,
    /// Resources of the operator's own making that it holds, as agents have them (`haggle agent --resources`)
    #[arg(long, value_name = "NAME=N", help_heading = "Quotas", value_parser = values::scalars)]
    pub(crate) resources: Option<BTreeMap<String, u64>>,
    /// Executed instructions [default: no limit]
    #[arg(long, value_name = "N", help_heading = "Quotas", value_parser = values::fuel)]
    pub(crate) fuel: Option<Fuel>,
    /// Time from start to end, like 500ms, 30s, 1h [default: no limit]
    #[arg(long, value_name = "TIME", help_heading = "Quotas", value_parser = values::duration)]
    pub(crate) timeout: Option<Duration>,
    /// Bytes written to standard output and standard error together; more ends the task, or is dropped with :truncate
    #[arg(
        long,
        value_name = "SIZE[:end|:truncate]",
        help_heading = "Quotas",
        default_value = "1MiB",
        value_parser = values::output_limit
    )]
    pub(crate) output_limit: (Bytes, OutputOverrun),

    /// A variable of the task's environment, which is otherwise empty; repeatable
    #[arg(long, value_name = "NAME=VALUE", help_heading = "What it gets", value_parser = values::variable)]
    pub(crate) env: Vec<(String, String)>,
    /// A file to read as standard input, or - for this command's own
    #[arg(long, value_name = "FILE", help_heading = "What it gets")]
    pub(crate) stdin: Option<PathBuf>,
    /// A file or folder of this machine that the task may read under a path of its own; repeatable
    #[arg(long = "input", value_name = "GUEST_PATH=HOST_PATH", help_heading = "What it gets", value_parser = values::input)]
    pub(crate) inputs: Vec<(String, PathBuf)>,
    /// A folder of this machine of which the task finds a copy to work on; what it changes is gone with it; repeatable
    #[arg(long = "dir", value_name = "HOST_DIR[::GUEST_DIR]", help_heading = "What it gets", value_parser = values::folder)]
    pub(crate) dirs: Vec<OpenFolder>,
    /// A folder of the agent's machine to read, where the agent's operator allows it; repeatable
    #[arg(
        long = "host-dir",
        value_name = "AGENT_DIR[::GUEST_DIR]",
        help_heading = "What it gets",
        value_parser = values::host_folder
    )]
    pub(crate) host_dirs: Vec<OpenFolder>,
    /// A volume that it mounts, which stays when the task has ended; with :ro, to read only; repeatable
    ///
    /// It is launched on the agent that holds the volume, once no other task has it, and in the volume's role or one below
    /// it (--role). `haggle volume ls` lists those that there are.
    #[arg(long = "volume", value_name = "VOLUME:GUEST_DIR[:ro]", help_heading = "What it gets", value_parser = values::mount, add = completions::volumes())]
    pub(crate) volumes: Vec<Mount>,
    /// A port of a host that it may connect to over TCP and send to over UDP; repeatable
    #[arg(long = "allow-net", value_name = "HOST:PORT", help_heading = "What it gets", value_parser = values::endpoint)]
    pub(crate) allow_net: Vec<Endpoint>,
    /// A host that it may send HTTP requests to, on ports 80 and 443 unless one is named; repeatable
    #[arg(long = "allow-http", value_name = "HOST[:PORT]", help_heading = "What it gets", value_parser = values::http_host)]
    pub(crate) allow_http: Vec<HttpHost>,
    /// Tell it nothing of the cluster: no HAGGLE_ variables [default for one task that needs no cluster]
    #[arg(long, help_heading = "What it gets")]
    pub(crate) anonymous: bool,

    /// What its agent must be, by an attribute or by hostname: zone=a, zone!=a, gpu (it is there), !gpu; repeatable
    ///
    /// `haggle agents` shows what each agent says of itself. A task that is granted folders or a network goes to agents that allow
    /// them without a word. When no agent is what it needs, the command ends at once and says which agents lack what.
    #[arg(long = "constraint", value_name = "ATTR[=VALUE]", help_heading = "Where it runs", value_parser = values::constraint)]
    pub(crate) constraints: Vec<Constraint>,

    /// Run an array of this many tasks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=INSTANCES_MAX))]
    pub(crate) instances: Option<u32>,
    /// Start all --instances at once or none of them, over agents; when one ends otherwise than well, end the others
    ///
    /// They wait until there is room for all, and hold nothing while they wait. With --retries, all of them start again.
    #[arg(long, requires = "instances")]
    pub(crate) gang: bool,
    /// Run a task that failed or was lost again, up to this many times
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=RETRIES_MAX))]
    pub(crate) retries: u32,
    /// Whose share it counts towards
    #[arg(long, value_name = "ROLE", default_value = FrameworkInfo::DEFAULT_ROLE, value_parser = values::role, add = completions::roles())]
    pub(crate) role: String,
    /// A label for people [default: the module's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Which program of a cargo package that has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    #[command(flatten)]
    pub(crate) traces: OtlpArgs,
    /// Print one JSON object per task as it ends, and not what the tasks write
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but what the task writes; with --instances, nothing at all but the final table
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Compile a cargo package to WebAssembly
///
/// Prints where the module is. Uses the target wasm32-wasip1 of the cargo on the path, or $HAGGLE_WASM_CARGO.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle build ./my-task
  haggle build ./my-task -o my-task.wasm")]
pub(crate) struct BuildArgs {
    /// The folder with the Cargo.toml
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Put the module here as well
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Which program of a package that has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
}

/// Show what a module is, what it needs, and its digest; of a script, what would run it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle inspect hello.wasm
  haggle inspect job.py
  haggle inspect oci://registry.example/team/app:1.0
  haggle inspect hello.wat --json | jq -r .digest")]
pub(crate) struct InspectArgs {
    /// A .wasm or .wat file, a script, the folder of a cargo package, or oci://registry/name:tag, s3://bucket/key or
    /// https://host/path, which is fetched to this machine
    #[arg(value_name = "MODULE", value_hint = ValueHint::AnyPath)]
    pub(crate) module: String,
    /// The interpreter of a script [default: by its name's end or its #! line]
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
    /// Which program of a package that has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
