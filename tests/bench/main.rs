//! `cargo xtask bench`: every figure that Haggle promises, measured on this machine and printed with its unit, its
//! spread and what it must reach.

mod against;
mod agents;
mod allocator;
mod among;
mod decisions;
mod executor;
mod figure;
mod flood;
mod heartbeat;
mod held;
mod idle;
mod local;
mod machine;
mod pages;
mod processes;
mod queue;
mod records;
mod revocable;
mod scripts;
mod secure;
mod secured;
mod sides;
mod startup;
mod tasks;
mod traced;
mod utilisation;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};

use figure::Figure;
use haggle_memmove as _;
use mimalloc::MiMalloc;

/// As in the `haggle` command.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures what Haggle promises.
#[derive(Parser)]
struct Args {
    /// Which figures; all of them when none is named.
    groups: Vec<Group>,
    /// Takes few and short samples: shows that everything runs, and proves nothing.
    #[arg(long)]
    quick: bool,
    /// Fail when a figure misses its goal.
    #[arg(long)]
    strict: bool,
    /// Measure each group in turn with the programs of another build, in this folder, and print the ratios.
    #[arg(long, value_name = "DIR", conflicts_with = "rows")]
    against: Option<PathBuf>,
    /// How many turns each takes.
    #[arg(long, value_name = "N", default_value_t = 15, requires = "against")]
    turns: usize,
    /// Measure one group in this process, and print nothing but its rows.
    #[arg(long, hide = true)]
    rows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The master's machine alone: what its decisions about one short task cost.
    Decisions,
    /// Who is offered what, at the size of large clusters.
    Allocator,
    /// What the executor promises, which is all of the next nine.
    Executor,
    /// Start of a cached no-op, on one core and on two.
    Start,
    /// CPU rates against their quotas, and weights.
    Rate,
    /// What metering costs, and what the control of rates adds, over ten kernels.
    Overhead,
    /// The same kernels in milliseconds, to be compared between builds.
    Kernels,
    /// Suspended tasks in one executor: how large, how quickly started.
    Density,
    /// Ten times as many in one agent.
    Crowd,
    /// From the kill of a task to its end.
    Kill,
    /// Tasks that ask for more memory than they have, and what their process holds.
    Memory,
    /// The same beside processes, bubblewrap and containers.
    Peers,
    /// The part of the peers that needs a place of its own.
    #[value(hide = true)]
    Crun,
    /// The executor beside which the start is measured.
    #[value(hide = true)]
    Other,
    /// The cluster over sockets, which is all of the next five.
    Tasks,
    /// One no-op task after another.
    Latency,
    /// 10,000 no-op tasks at once.
    Throughput,
    /// No-op tasks through the queue of an allocation.
    Queue,
    /// The same work as tasks and on plain threads.
    Threads,
    /// How much of a cluster's processors tasks of 10 ms use.
    Utilisation,
    /// From nothing to a result: `haggle up`, `haggle run`, and the memory of an idle cluster.
    Startup,
    /// Very many tasks: an agent that registers with a million, and `haggle ps` with 300,000.
    Held,
    /// 10,000 idle agents at one master: its CPU, its memory for each, how long a list of them takes, and a task among them.
    Agents,
    /// How long the master takes for each page, with 1,000 agents and 100,000 tasks.
    Pages,
    /// What the master's machine alone holds for each agent, framework and running task.
    Records,
    /// What TLS, certificates and tokens cost beside plain text on loopback.
    Secure,
    /// What it costs to record traces of tasks, beside a cluster that records none.
    Traced,
    /// How late an honest framework's tasks are while one principal floods the master in each way that has a limit.
    Flood,
    /// What it adds to offer again what tasks leave unused, and whether these notice.
    Revocable,
    /// What an interpreter costs before the first line of a script, as a task and natively.
    Scripts,
    /// How late a message to an agent is answered while guests spin on every CPU.
    Heartbeat,
}

impl Group {
    const ALL: [Self; 15] = [
        Self::Decisions,
        Self::Allocator,
        Self::Executor,
        Self::Tasks,
        Self::Secure,
        Self::Traced,
        Self::Flood,
        Self::Startup,
        Self::Held,
        Self::Agents,
        Self::Pages,
        Self::Records,
        Self::Revocable,
        Self::Scripts,
        Self::Heartbeat,
    ];
    const EXECUTOR: [Self; 9] = [
        Self::Start,
        Self::Rate,
        Self::Overhead,
        Self::Kernels,
        Self::Density,
        Self::Crowd,
        Self::Kill,
        Self::Memory,
        Self::Peers,
    ];
    const TASKS: [Self; 5] = [Self::Latency, Self::Throughput, Self::Queue, Self::Threads, Self::Utilisation];

    /// What is measured each in a process of its own.
    fn parts(self) -> Vec<Self> {
        match self {
            Self::Executor => Self::EXECUTOR.to_vec(),
            Self::Tasks => Self::TASKS.to_vec(),
            other => vec![other],
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn measure(self, effort: Effort) -> anyhow::Result<Vec<Figure>> {
        match self {
            Self::Decisions => decisions::measure(),
            Self::Allocator => Ok(allocator::measure(effort)),
            Self::Executor | Self::Tasks => anyhow::bail!("is measured in its parts"),
            Self::Start => executor::start::measure(effort),
            Self::Rate => executor::rate::measure(effort),
            Self::Overhead => executor::overhead::measure(effort),
            Self::Kernels => executor::kernels::measure(effort),
            Self::Density => executor::density::measure(effort),
            Self::Crowd => runtime()?.block_on(executor::crowd::measure(effort)),
            Self::Kill => executor::kill::measure(effort),
            Self::Memory => executor::memory::measure(effort),
            Self::Peers => executor::peers::measure(effort),
            Self::Crun => executor::peers::measure_crun(effort),
            Self::Other => executor::start::be_the_other(),
            Self::Latency => runtime()?.block_on(tasks::latency()),
            Self::Throughput => runtime()?.block_on(tasks::throughput()),
            Self::Queue => runtime()?.block_on(queue::measure(effort)),
            Self::Threads => runtime()?.block_on(tasks::against_threads()),
            Self::Utilisation => runtime()?.block_on(utilisation::measure(effort)),
            Self::Startup => runtime()?.block_on(startup::measure()),
            Self::Held => runtime()?.block_on(held::measure(effort)),
            Self::Agents => runtime()?.block_on(agents::measure(effort)),
            Self::Pages => runtime()?.block_on(pages::measure(effort)),
            Self::Records => records::measure(effort),
            Self::Secure => runtime()?.block_on(secure::measure(effort)),
            Self::Traced => runtime()?.block_on(traced::measure(effort)),
            Self::Flood => runtime()?.block_on(flood::measure(effort)),
            Self::Revocable => runtime()?.block_on(revocable::measure(effort)),
            Self::Scripts => scripts::measure(effort),
            Self::Heartbeat => runtime()?.block_on(heartbeat::measure()),
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// So many, or few.
    fn of<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// The exit code of a process that measured a group which misses a goal.
const MISSED: u8 = 3;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.rows {
        let effort = Effort { quick: args.quick };
        let [group] = args.groups[..] else { anyhow::bail!("measures one group in one process") };
        let figures = group.measure(effort)?;
        figures.iter().for_each(|figure| println!("{figure}"));
        let reached = figures.iter().all(Figure::reached);
        return Ok(if reached { ExitCode::SUCCESS } else { ExitCode::from(MISSED) });
    }

    println!("{}\n", machine::describe());
    println!("| figure | median | min / p99 / max | samples | must reach | reached |");
    println!("|---|---|---|---|---|---|");
    let groups = if args.groups.is_empty() { &Group::ALL } else { &args.groups[..] };
    let mut missed = Vec::new();
    for group in groups.iter().flat_map(|group| group.parts()) {
        if let Some(others) = &args.against {
            against::measure(group, others, args.turns)?.iter().for_each(|ratio| println!("{ratio}"));
            continue;
        }
        let status = command(group, args.quick)?.status()?;
        match status.code() {
            Some(0) => {}
            Some(code) if code == i32::from(MISSED) => missed.push(group.name()),
            _ => anyhow::bail!("`{}` was not measured: {status}", group.name()),
        }
    }
    if args.strict && !missed.is_empty() {
        anyhow::bail!("figures were missed in {}", missed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// A process of its own for each group, so that none inherits the memory and the threads of another.
fn command(group: Group, quick: bool) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(group.name()).arg("--rows");
    if quick {
        command.arg("--quick");
    }
    Ok(command)
}

/// As a framework's own process would have it: one thread for its connection is plenty.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
