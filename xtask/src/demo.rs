//! `cargo xtask demo`: a cluster of processes on this machine, real work, and what its quotas do.

mod cluster;
mod corpus;
mod interrupt;
mod launch;
mod quotas;
mod shares;
mod stage;
mod words;

use std::time::Instant;

use crate::process::timed;
use crate::workspace::Workspace;
use crate::{bench, tasks};
use cluster::Cluster;
use interrupt::Interrupt;
pub(crate) use interrupt::Interrupted;
use stage::Stage;

/// How many agents there are: the fewest that make a cluster look like one.
const AGENTS: usize = 3;

/// Builds everything, shows everything, and says how long it took.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let started = Instant::now();
    let interrupt = Interrupt::catch()?;
    timed("example tasks to WebAssembly", || tasks::build(workspace))?;
    bench::build(workspace)?;
    let built = started.elapsed();

    let stage = Stage::set(workspace)?;
    let mut cluster = timed("one master and three agents", || Cluster::start(&stage, AGENTS, &interrupt))?;
    words::show(workspace, &stage, &cluster, &interrupt)?;
    quotas::show(&stage, &cluster, &interrupt)?;
    shares::show(&stage, &mut cluster, &interrupt)?;
    timed("shut down", || cluster.stop())?;

    let total = started.elapsed();
    println!(
        "\nEverything shown in {:.1} s: {:.1} s to build, {:.1} s to run.",
        total.as_secs_f64(),
        built.as_secs_f64(),
        (total - built).as_secs_f64()
    );
    Ok(())
}
