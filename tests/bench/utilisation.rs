//! How much of a cluster's processors short tasks use: what is lost between one and the next.

use std::time::{Duration, Instant};

use haggle_core::{Bytes, MilliCpu, TaskState};
use haggle_kit::{AgentFlags, Cluster, guests};
use haggle_sdk::{Runner, Task};

use crate::Effort;
use crate::figure::{Figure, Goal};
use crate::tasks::{WORK, all, calibrate, guest_cpu};

/// Each with one core of this machine.
const AGENT: AgentFlags = AgentFlags { cpus: "1", mem: "1GiB" };
const AGENTS: [AgentFlags; 2] = [AGENT; 2];

const SHORT: Duration = Duration::from_millis(10);

/// Two seconds of work on two cores.
const TASKS: usize = 400;
const ROUNDS: usize = 9;

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let rounds = (calibrate(guest_cpu)? as f64 * SHORT.as_secs_f64() / WORK.as_secs_f64()) as u64;
    let cluster = Cluster::start(&AGENTS).await;
    let client = cluster.client().await;
    let module = client.upload_bytes(guests::compile(&guests::work(rounds))).await?;
    let short = Task::new(module).cpus(MilliCpu::from_cores(1)).mem(Bytes::from_mib(1));
    let session = Runner::new(&client).name("short").start().await?;
    all(&session, vec![short.clone(); AGENTS.len()]).await?;
    let mut samples = Vec::new();
    for _ in 0..effort.of(ROUNDS, 1) {
        let began = Instant::now();
        let ends = all(&session, vec![short.clone(); TASKS]).await?;
        let passed = began.elapsed().as_secs_f64() * AGENTS.len() as f64;
        anyhow::ensure!(ends.iter().all(|end| end.state == TaskState::Finished), "not every task finished");
        let used: f64 = ends.iter().filter_map(|end| end.usage).map(|usage| usage.cpu.as_secs_f64()).sum();
        samples.push(used / passed * 100.0);
    }
    session.close().await;
    let name = "CPU time that tasks of 10 ms use of two agents of one cpu, from their submission to the last end";
    Ok(vec![Figure::new(name, "%", Goal::AtLeast(95.0), samples)])
}
