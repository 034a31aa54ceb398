//! More suspended tasks than one process can hold, in one agent: how large each is, with all that keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use haggle_core::{Bytes, MilliCpu};
use haggle_kit::guests::compile;
use haggle_kit::{AgentFlags, Cluster};
use haggle_sdk::{Progress, Runner, Task};

use super::guests::sleeper;
use super::proc;
use crate::Effort;
use crate::figure::{Figure, Goal};

const TASKS: usize = 100_000;
const AN_HOUR: u64 = 3_600_000_000_000;

/// An agent promises memory that this machine need not have: none of these tasks takes what it might.
const AGENT: AgentFlags = AgentFlags { cpus: "2", mem: "128GiB" };

/// Longer than it takes to start them all on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let tasks = effort.of(TASKS, TASKS / 50);
    let mut cluster = Cluster::start(&[AGENT]).await;
    let client = cluster.client().await;
    let module = client.upload_bytes(compile(&sleeper(AN_HOUR))).await?;
    let running = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&running);
    let count = move |progress: &Progress| {
        if matches!(progress, Progress::Running { .. }) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let session = Runner::new(&client).name("crowd").grace(Duration::from_secs(60)).start_with(count).await?;

    let agent = cluster.agents[0].pid();
    let before = held(agent);
    let began = Instant::now();
    let mut handles = Vec::with_capacity(tasks);
    for _ in 0..tasks {
        // Idle processor time is all that a sleeper needs, and two cores have no more than 2,000 times 0.001 cpus.
        let task = Task::new(module).cpus(MilliCpu::new(0)).burst(MilliCpu::from_cores(1)).mem(Bytes::from_mib(1));
        handles.push(session.submit(task).await?);
    }
    while running.load(Ordering::Relaxed) < tasks {
        anyhow::ensure!(began.elapsed() < PATIENCE, "{} of {tasks} tasks run", running.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = tasks as f64 / began.elapsed().as_secs_f64();
    let mut figures = Vec::new();
    match (before, settled(agent).await) {
        (Ok(before), Ok((after, processes))) => {
            let name = format!(
                "{tasks} tasks that sleep, one agent and its {} executors: memory of each, with page tables",
                processes - 1
            );
            let each = after.saturating_sub(before) as f64 / 1024.0 / tasks as f64;
            figures.push(Figure::new(name, "KiB", Goal::Below(32.0), vec![each]));
        }
        (Err(error), _) | (_, Err(error)) => proc::skipped("the size of tasks in an agent", error),
    }
    figures.push(Figure::new("… submitted until all run", "tasks/s", Goal::Reported, vec![started]));
    session.close().await;
    cluster.agents[0].terminate();
    cluster.agents[0].exited().await;
    Ok(figures)
}

/// What an agent and all its processes hold once that no longer changes, and how many processes they are.
async fn settled(agent: u32) -> anyhow::Result<(u64, usize)> {
    let mut last = held(agent)?;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = held(agent)?;
        if now.abs_diff(last) < 1 << 20 {
            return Ok((now, proc::family(agent).len()));
        }
        last = now;
    }
}

fn held(agent: u32) -> anyhow::Result<u64> {
    proc::family(agent).into_iter().map(|pid| Ok(proc::held(pid)?.get())).sum()
}
