//! The third act: two endless loops on one agent, each held to its own part of a core.

use anyhow::bail;

use super::cluster::Cluster;
use super::interrupt::Interrupt;
use super::launch::{Launch, words};
use super::stage::Stage;

/// The quotas, in cores.
const QUOTAS: [f64; 2] = [0.25, 0.75];

/// How long they spin, in seconds: long enough for the rate to show, short enough to be watched.
const SECONDS: f64 = 5.0;

/// How far above its quota a task may end here, as a part of it. The executor itself is held to much less, by its own
/// tests and by the benchmark.
const TOLERANCE: f64 = 0.05;

/// Runs them side by side and compares what they used with what they were given.
pub(super) fn show(stage: &Stage, cluster: &mut Cluster, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!(
        "\n3. Shares: two endless loops side by side on one agent, for {SECONDS} s (the other agents leave first)"
    );
    cluster.keep_one_agent(stage, interrupt)?;
    let launches: Vec<Launch> = QUOTAS
        .iter()
        .map(|quota| {
            let flags = words(&format!("--json --cpus {quota} -- {SECONDS}"));
            Launch::start(stage, cluster, &format!("spinner-{quota}"), "spinner", &flags)
        })
        .collect::<anyhow::Result<_>>()?;

    println!(
        "   {:<14}{:>8}{:>12}{:>12}{:>12}{:>10}   AGENT",
        "TASK", "CPUS", "CPU TIME", "WALL TIME", "MEASURED", "OFF BY"
    );
    for (quota, launch) in QUOTAS.iter().zip(launches) {
        let ended = launch.wait_for_record(interrupt)?;
        let (cpu, wall) = (ended.cpu_seconds()?, ended.wall_seconds()?);
        let measured = cpu / wall;
        let off = measured / quota - 1.0;
        println!(
            "   {:<14}{quota:>8}{:>12}{:>12}{measured:>12.4}{:>10}   {}",
            format!("spinner-{quota}"),
            format!("{cpu:.3} s"),
            format!("{wall:.3} s"),
            format!("{:+.2} %", off * 100.0),
            ended.agent(),
        );
        if off > TOLERANCE {
            bail!("a task with {quota} cpus used {measured:.4} of a core");
        }
        if off < -TOLERANCE {
            println!("   {:<14}less than its share: this machine is busy with other things", "");
        }
    }
    Ok(())
}
