//! `cargo xtask bench`: every figure that Haggle promises, measured on this machine and printed with its unit, its
//! spread and what it must reach.

mod decisions;
mod executor;
mod figure;
mod heartbeat;
mod local;
mod machine;
mod processes;
mod rate;
mod startup;
mod tasks;

use clap::{Parser, ValueEnum};

/// Measures what Haggle promises.
#[derive(Parser)]
struct Args {
    /// Which figures; all of them when none is named.
    groups: Vec<Group>,
    /// Fail when a figure misses its goal.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The master's machine alone: what its decisions about one short task cost.
    Decisions,
    /// The executor alone: start of a cached no-op.
    Executor,
    /// The cluster over sockets: latency of one task, throughput of many, and the same work on plain threads.
    Tasks,
    /// The CPU rate of spinning tasks against their quota.
    Rate,
    /// From nothing to a result: `haggle up`, `haggle run`, and the memory of an idle cluster.
    Startup,
    /// How late a message to an agent is answered while guests spin on every CPU.
    Heartbeat,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let groups = if args.groups.is_empty() { Group::value_variants() } else { &args.groups };
    println!("{}\n", machine::describe());
    println!("| figure | median | min / p99 / max | samples | must reach | reached |");
    println!("|---|---|---|---|---|---|");
    let mut missed = Vec::new();
    for group in groups {
        let figures = match group {
            Group::Decisions => decisions::measure()?,
            Group::Executor => executor::measure()?,
            Group::Tasks => runtime()?.block_on(tasks::measure())?,
            Group::Rate => rate::measure()?,
            Group::Startup => runtime()?.block_on(startup::measure())?,
            Group::Heartbeat => runtime()?.block_on(heartbeat::measure())?,
        };
        for figure in figures {
            println!("{figure}");
            if !figure.reached() {
                missed.push(figure.name);
            }
        }
    }
    if args.strict && !missed.is_empty() {
        anyhow::bail!("missed: {}", missed.join(", "));
    }
    Ok(())
}

/// As a framework's own process would have it: one thread for its connection is plenty.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
